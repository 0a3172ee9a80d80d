"""Many scans through one loaded ensemble: the next is read and the last written meanwhile."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from threading import Event

from renalseg.errors import CancelledError, RenalsegError, VolumeError
from renalseg.inference.forward import Backend
from renalseg.inference.profiles import ProfileName, Roi
from renalseg.models.device import AUTO
from renalseg.pipeline import OnTile, Segmentation, Segmenter
from renalseg.postprocess import postprocess
from renalseg.volume import SUFFIXES, Volume, read_image, read_labels
from renalseg.volume.files import remove_leftovers


@dataclass(frozen=True)
class Options:
    """How an ensemble is to be loaded; see :meth:`renalseg.pipeline.Segmenter.load`."""

    folder: Path
    member: str | None = None
    clean: bool | None = None
    device: str = AUTO
    profile: ProfileName = "balanced"
    roi: Roi = "auto"
    backend: Backend = "auto"
    memory_gb: float | None = None

    def load(self) -> Segmenter:
        """Load it."""
        options = {f.name: getattr(self, f.name) for f in fields(self)}
        return Segmenter.load(options.pop("folder"), **options)


@dataclass(frozen=True)
class Prediction:
    """What became of one scan of a batch.

    Attributes:
        source: The scan.
        target: Its mask.
        volumes_ml: Volume of each class; None where the mask stood already or the scan failed.
        warnings: What a person should know before they trust it.
        problem: Why it failed, or None.
    """

    source: Path
    target: Path
    volumes_ml: dict[str, float] | None = None
    warnings: tuple[str, ...] = ()
    problem: str | None = None


def entropy_path(mask: Path) -> Path:
    """Where the uncertainty of a mask goes: ``mask.nii.gz`` has ``mask-entropy.nii.gz``."""
    stem = _stem(mask)
    return mask.with_name(f"{stem}-entropy{mask.name[len(stem) :]}")


def predict_files(
    pairs: Sequence[tuple[Path, Path]],
    load: Callable[[], Segmenter],
    *,
    overwrite: bool = False,
    uncertainty: Callable[[Path], Path] | None = None,
    on_scan: Callable[[Path, Segmenter, Volume], None] | None = None,
    on_tile: OnTile | None = None,
    cancel: Event | None = None,
) -> Iterator[Prediction]:
    """Segment scans one after the other; a scan that fails does not stop the others.

    While one is computed the next is read and the one before is written, each by a thread of this
    process; no other process is started.

    Args:
        pairs: Scan and mask files.
        load: Loads the ensemble; called once, when the first scan has been read.
        overwrite: Make masks again that stand already.
        uncertainty: Says for a mask where its entropy map goes; None makes none.
        on_scan: Told of each scan before it is computed.
        on_tile: Told of the progress of each scan.
        cancel: Set it from another thread to stop.

    Yields:
        What became of each scan, in their order, once its mask is written.

    Raises:
        VolumeError: If a mask would replace a scan.
        ModelError: If the ensemble cannot be loaded.
        CancelledError: If ``cancel`` was set.
    """
    todo = missing(pairs, overwrite=overwrite)
    targets = {target for _, target in todo}
    loaded = cache(load)

    def segment(source: Path, coming: Future[Volume]) -> Segmentation:
        volume, segmenter = coming.result(), loaded()
        if on_scan:
            on_scan(source, segmenter, volume)
        entropy = uncertainty is not None
        return segmenter.segment(
            volume, source, on_tile=on_tile, cancel=cancel, uncertainty=entropy
        )

    waiting: Future[Prediction] | None = None
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        ahead = _read_ahead(reader, [source for source, _ in todo])
        for source, target in pairs:
            if target not in targets:
                result = writer.submit(Prediction, source, target)
            else:
                coming = next(ahead)
                if coming.exception() is None:
                    loaded()  # without an ensemble no scan fares better: this error is everyone's
                try:
                    segmentation = segment(source, coming)
                except (RenalsegError, OSError, MemoryError, RuntimeError) as error:
                    problem = _problem(source, error)
                    result = writer.submit(Prediction, source, target, problem=problem)
                else:
                    result = writer.submit(_write, source, target, segmentation, uncertainty)
                    del segmentation
            if waiting is not None:
                yield waiting.result()
            waiting = result
        if waiting is not None:
            yield waiting.result()


def missing(
    pairs: Sequence[tuple[Path, Path]], *, overwrite: bool = False
) -> list[tuple[Path, Path]]:
    """The scans whose masks are still to be made.

    Args:
        pairs: Scan and mask files.
        overwrite: Masks that stand are made again.

    Raises:
        VolumeError: If a mask would replace a scan.
    """
    scans = {source.resolve() for source, _ in pairs}
    for _, target in pairs:
        if target.resolve() in scans:
            raise VolumeError(f"{target}: its mask would replace this scan; give another folder")
    return [pair for pair in pairs if overwrite or not pair[1].is_file()]


def _read_ahead(reader: Executor, sources: Sequence[Path]) -> Iterator[Future[Volume]]:
    """Scans in their order; when one is taken, the next is begun."""
    begun: deque[Future[Volume]] = deque()
    for source in sources:
        begun.append(reader.submit(read_image, source))
        if len(begun) == 2:
            yield begun.popleft()
    while begun:
        yield begun.popleft()


def _write(
    source: Path,
    target: Path,
    segmentation: Segmentation,
    uncertainty: Callable[[Path], Path] | None,
) -> Prediction:
    files = [target] if uncertainty is None else [uncertainty(target), target]
    try:
        for file in files:
            remove_leftovers(file)
        if uncertainty is not None and segmentation.entropy is not None:
            segmentation.entropy.save(uncertainty(target))
        segmentation.save(target)
    except VolumeError as error:
        return Prediction(source, target, problem=str(error))
    except OSError as error:
        reason = error.strerror or error
        problem = f"{target}: cannot be written ({reason}); check folder and space"
        return Prediction(source, target, problem=problem)
    volumes_ml, texts = segmentation.volumes_ml(), [w.text for w in segmentation.warnings]
    return Prediction(source, target, volumes_ml, tuple(texts))


def _problem(source: Path, error: Exception) -> str:
    """One line that names the scan; an error that is none of a scan's is raised again."""
    text = str(error)
    if isinstance(error, CancelledError):
        raise error
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in text):
        return f"{source}: not enough memory; set --memory, or use fewer members (--profile fast)"
    if isinstance(error, RuntimeError):
        raise error
    return text if str(source) in text else f"{source}: {text}"


def postprocess_file(source: Path, target: Path) -> int:
    """Clean a label map file on its own grid (section 3.5).

    Returns:
        The number of voxels that changed.

    Raises:
        VolumeError: If the file is not a label map.
    """
    labels = read_labels(source)
    cleaned = postprocess(labels.array)
    target.parent.mkdir(parents=True, exist_ok=True)
    labels.like(cleaned).save(target)
    return int((cleaned != labels.array).sum())


def pair_files(source: Path, output: Path) -> list[tuple[Path, Path]]:
    """Say where the mask of each scan goes.

    Args:
        source: A scan, a folder of scans, or a cohort in KiTS layout.
        output: A file with one of the suffixes of volumes (for one scan), or a folder.

    Raises:
        VolumeError: If there is no scan, or several scans and one output file.
    """
    if not source.exists():
        raise VolumeError(f"{source}: no such file or folder; give a scan or a folder of scans")
    names_file = output.name.lower().endswith(SUFFIXES)
    if not source.is_dir():
        return [(source, output if names_file else output / f"{_stem(source)}.nii.gz")]
    if names_file:
        raise VolumeError(f"{output}: is one file, but {source} is a folder; give a folder with -o")
    named = (p for p in source.iterdir() if p.name.lower().endswith(SUFFIXES))
    scans = sorted(p for p in named if p.is_file() and not p.name.startswith("."))
    pairs = [(scan, output / f"{_stem(scan)}.nii.gz") for scan in scans]
    if not pairs:
        cases = sorted(source.glob("case_*/imaging.nii.gz"))
        pairs = [(scan, output / f"{scan.parent.name}.nii.gz") for scan in cases]
    if not pairs:
        known = ", ".join(SUFFIXES)
        raise VolumeError(f"{source}: no scan in it; expected files ending in {known}")
    doubled = {target for _, target in pairs if [t for _, t in pairs].count(target) > 1}
    if doubled:
        name = sorted(doubled)[0].name
        raise VolumeError(f"{source}: two scans would both become {name}; rename one")
    return pairs


def _stem(path: Path) -> str:
    lower = path.name.lower()
    suffix = max((s for s in SUFFIXES if lower.endswith(s)), key=len, default="")
    return path.name[: len(path.name) - len(suffix)]
