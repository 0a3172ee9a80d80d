"""A folder of scans on a Ray cluster: each worker loads the ensemble once (extra ``ray``).

All nodes must see the same folders under the same names. A scan whose worker or node is lost is
done by another, and masks that stand are kept, so a run that was interrupted goes on.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import replace
from functools import cache
from pathlib import Path

from renalseg.batch import MASKS, Options, Prediction, missing, predict_files
from renalseg.cluster import cluster
from renalseg.errors import RenalsegError
from renalseg.faults import Problem
from renalseg.models.ensemble import Ensemble
from renalseg.pipeline import Segmenter
from renalseg.results import Wanted
from renalseg.volume.source import Reading


def predict_on_cluster(
    pairs: Sequence[tuple[Path, Path]],
    options: Options,
    address: str,
    *,
    wanted: Wanted = MASKS,
    reading: Reading | None = None,
    overwrite: bool = False,
    cores: int = 1,
) -> Iterator[Prediction]:
    """Segment scans on a Ray cluster, one per GPU, or per share of the cores.

    Args:
        pairs: Scans and the files that say where their results go.
        options: How the ensemble is loaded.
        address: Of the cluster; see :func:`renalseg.cluster.cluster`.
        wanted: What to write of each scan.
        reading: How DICOM is read.
        overwrite: Make results again that stand already.
        cores: Cores for each scan, where there are no GPUs.

    Yields:
        What became of each scan, as they are finished.

    Raises:
        VolumeError: If a mask would replace a scan.
        ModelError: If the ensemble cannot be loaded.
        WorkerError: If there is no such cluster.
    """
    todo = missing(pairs, wanted, overwrite=overwrite)
    made = set(todo)
    yield from (Prediction(*pair) for pair in pairs if pair not in made)
    if not todo:
        return
    ensemble = Ensemble.open(options.folder)  # what is none is said before a worker starts
    if options.member is not None:
        ensemble.only(options.member)
    there = replace(options, folder=ensemble.folder.resolve())
    with cluster(address, cores=cores) as pool:
        from ray.exceptions import RayError

        futures = {}
        for source, target in todo:
            pair = source.resolve(), target.resolve()
            futures[pool.submit(_predict_one, pair, there, wanted, reading)] = source, target
        for future in as_completed(futures):
            source, target = futures[future]
            try:
                result: Prediction = future.result()
            except RayError as error:  # its worker or node was lost again and again
                reason = " ".join(str(error).split())[:200]
                yield Prediction(source, target, problem=Problem(f"{source}: {reason}"))
            except RenalsegError:  # without an ensemble no scan fares better
                raise
            except Exception as error:  # whatever it is, the other scans go on
                yield Prediction.failed(source, target, error)
            else:
                yield replace(result, source=source, target=target)


def _predict_one(
    pair: tuple[Path, Path], options: Options, wanted: Wanted, reading: Reading | None
) -> Prediction:
    """Segment one scan; runs in a worker."""
    (result,) = predict_files(
        [pair], lambda: _loaded(options), wanted=wanted, reading=reading, overwrite=True
    )
    return result


@cache
def _loaded(options: Options) -> Segmenter:
    return options.load()
