"""A folder of scans on a Ray cluster: each worker loads the ensemble once (extra ``ray``).

All nodes must see the same folders under the same names. A scan whose worker or node is lost is
done by another, and masks that stand are kept, so a run that was interrupted goes on.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, as_completed
from functools import cache
from pathlib import Path

from renalseg.batch import Options, Prediction, entropy_path, predict_files
from renalseg.cluster import cluster
from renalseg.errors import WorkerError
from renalseg.pipeline import Segmenter


def predict_on_cluster(
    pairs: Sequence[tuple[Path, Path]],
    options: Options,
    address: str,
    *,
    overwrite: bool = False,
    uncertainty: bool = False,
    cores: int = 1,
) -> Iterator[Prediction]:
    """Segment scans on a Ray cluster, one per GPU, or per share of the cores.

    Args:
        pairs: Scan and mask files.
        options: How the ensemble is loaded.
        address: Of the cluster; see :func:`renalseg.cluster.cluster`.
        overwrite: Make masks again that stand already.
        uncertainty: Also write entropy maps.
        cores: Cores for each scan, where there are no GPUs.

    Yields:
        What became of each scan, as they are finished.

    Raises:
        WorkerError: If there is no such cluster.
    """
    options.load()  # a folder that is no ensemble is said once, and not by every worker
    there = [(s.resolve(), t.resolve()) for s, t in pairs]
    absolute = replace_folder(options)
    with cluster(address, cores=cores) as pool:
        futures: dict[Future[Prediction], tuple[Path, Path]] = {}
        for pair in there:
            if pair[1].exists() and not overwrite:
                yield Prediction(*pair)
            else:
                future = pool.submit(_predict_one, pair, absolute, uncertainty)
                futures[future] = pair
        for future in as_completed(futures):
            error = future.exception()
            if error is None:
                yield future.result()
            elif isinstance(error, WorkerError | OSError) or "ray" in type(error).__module__:
                yield Prediction(*futures[future], problem=f"{futures[future][0]}: {error}")
            else:
                raise error


def replace_folder(options: Options) -> Options:
    """The same options with a folder that means the same on every node."""
    from dataclasses import replace

    return replace(options, folder=options.folder.resolve())


def _predict_one(pair: tuple[Path, Path], options: Options, uncertainty: bool) -> Prediction:
    """Segment one scan; runs in a worker."""
    (result,) = predict_files(
        [pair],
        lambda: _loaded(options),
        overwrite=True,
        uncertainty=entropy_path if uncertainty else None,
    )
    return result


@cache
def _loaded(options: Options) -> Segmenter:
    return options.load()
