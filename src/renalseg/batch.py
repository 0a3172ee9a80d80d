"""Many scans through one loaded ensemble: the next is read and the last written meanwhile."""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from threading import Event

from renalseg.errors import CancelledError, VolumeError
from renalseg.faults import Problem, problem_of
from renalseg.formats import Format, data_files, names_file, result_path, stem
from renalseg.inference.forward import Backend
from renalseg.inference.profiles import ProfileName, Roi
from renalseg.models.default_model import DEFAULT
from renalseg.models.device import AUTO
from renalseg.outputs import Inputs, check_output
from renalseg.pipeline import OnTile, Segmenter
from renalseg.postprocess import postprocess
from renalseg.results import Wanted, check_formats, write_results
from renalseg.segmentation import Segmentation
from renalseg.volume import SUFFIXES, Volume, read_labels
from renalseg.volume.dicom import is_dicom_source, is_one_study
from renalseg.volume.presence import why_absent
from renalseg.volume.source import Reading, Source, read_source

#: The mask alone.
MASKS = Wanted()
_NO_MEMORY = "not enough memory; set --memory, or use fewer members (--profile fast)"


@dataclass(frozen=True)
class Options:
    """How an ensemble is to be loaded; see :meth:`renalseg.pipeline.Segmenter.load`."""

    folder: Path = Path(DEFAULT)
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
    problem: Problem | None = None

    @classmethod
    def failed(cls, source: Path, target: Path, error: Exception) -> "Prediction":
        """The outcome of a scan that failed; the details of a fault are written to a file."""
        return cls(source, target, problem=problem_of(error, source, no_memory=_NO_MEMORY))


def predict_files(
    pairs: Sequence[tuple[Path, Path]],
    load: Callable[[], Segmenter],
    *,
    wanted: Wanted = MASKS,
    reading: Reading | None = None,
    overwrite: bool = False,
    on_scan: Callable[[Path, Segmenter, Volume], None] | None = None,
    on_tile: OnTile | None = None,
    cancel: Event | None = None,
) -> Iterator[Prediction]:
    """Segment scans one after the other; a scan that fails does not stop the others.

    While one is computed the next is read and the one before is written, each by a thread of this
    process; no other process is started.

    Args:
        pairs: Scans and the files that say where their results go.
        load: Loads the ensemble; called once, when the first scan has been read.
        wanted: What to write of each scan.
        reading: How DICOM is read.
        overwrite: Make results again that stand already.
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
    todo = missing(pairs, wanted, overwrite=overwrite)
    inputs = Inputs(*(source for source, _ in pairs))
    refused = wanted.refusals(todo, inputs)
    todo = [pair for pair in todo if pair not in refused]
    targets = {target for _, target in todo}
    loaded = cache(load)

    def segment(scan: Source, target: Path) -> Segmentation:
        check_formats(scan, wanted.files(target))
        segmenter = loaded()
        if on_scan:
            on_scan(scan.path, segmenter, scan.volume)
        return segmenter.segment(
            scan.volume,
            scan.path,
            notes=scan.notes,
            on_tile=on_tile,
            cancel=cancel,
            uncertainty=wanted.votes,
        )

    waiting: Future[Prediction] | None = None
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        ahead = _read_ahead(reader, [source for source, _ in todo], reading)
        for source, target in pairs:
            if (source, target) in refused:
                result = writer.submit(Prediction.failed, source, target, refused[source, target])
            elif target not in targets:
                result = writer.submit(Prediction, source, target)
            else:
                coming = next(ahead)
                if coming.exception() is None:
                    loaded()  # without an ensemble no scan fares better: this error is everyone's
                try:
                    scan = coming.result()
                    segmentation = segment(scan, target)
                except CancelledError:
                    raise
                except Exception as error:  # whatever it is, the other scans go on
                    result = writer.submit(Prediction.failed, source, target, error)
                else:
                    result = writer.submit(_write, scan, target, segmentation, wanted, inputs)
                    del scan, segmentation
            if waiting is not None:
                yield waiting.result()
            waiting = result
        if waiting is not None:
            yield waiting.result()


def missing(
    pairs: Sequence[tuple[Path, Path]], wanted: Wanted = MASKS, *, overwrite: bool = False
) -> list[tuple[Path, Path]]:
    """The scans whose results are still to be made.

    Args:
        pairs: Scans and the files that say where their results go.
        wanted: What is to stand of each.
        overwrite: Results that stand are made again.

    Raises:
        VolumeError: If a mask would replace a scan.
    """
    scans = Inputs(*(source for source, _ in pairs if not source.is_dir()))
    for _, target in pairs:
        if scans.hold(target):
            raise VolumeError(f"{target}: its mask would replace this scan; give another folder")
    return [pair for pair in pairs if overwrite or not wanted.is_done(pair[1])]


def _read_ahead(
    reader: Executor, sources: Sequence[Path], reading: Reading | None
) -> Iterator[Future[Source]]:
    """Scans in their order; when one is taken, the next is begun."""
    begun: deque[Future[Source]] = deque()
    for source in sources:
        begun.append(reader.submit(read_source, source, reading))
        if len(begun) == 2:
            yield begun.popleft()
    while begun:
        yield begun.popleft()


def _write(
    scan: Source, target: Path, segmentation: Segmentation, wanted: Wanted, inputs: Inputs
) -> Prediction:
    try:
        wanted.check(target, inputs)  # again: a file may have come there meanwhile
        write_results(segmentation, scan, target, wanted)
    except Exception as error:  # whatever it is, the other scans go on
        return Prediction.failed(scan.path, target, error)
    volumes_ml, texts = segmentation.volumes_ml(), [w.text for w in segmentation.warnings]
    return Prediction(scan.path, target, volumes_ml, tuple(texts))


def postprocess_file(source: Path, target: Path, *, overwrite: bool = False) -> int:
    """Clean a label map file on its own grid (section 3.5).

    Args:
        source: The file.
        target: Where the result goes.
        overwrite: Whether it may replace another label map, but for the source itself.

    Returns:
        The number of voxels that changed.

    Raises:
        VolumeError: If the file is not a label map.
        OutputError: If the result would replace something else, or cannot be written.
    """
    check_output(
        target,
        Inputs(source),
        is_ours=lambda path: overwrite and _is_label_map(path),
        hint="--overwrite replaces a label map",
    )
    for path in data_files(target):
        check_output(path, Inputs(source))
    labels = read_labels(source)
    cleaned = postprocess(labels.array)
    target.parent.mkdir(parents=True, exist_ok=True)
    labels.like(cleaned).save(target)
    return int((cleaned != labels.array).sum())


def _is_label_map(path: Path) -> bool:
    try:
        read_labels(path)
    except VolumeError:
        return False
    return True


def pair_files(
    source: Path, output: Path | None, formats: Sequence[Format] = ()
) -> list[tuple[Path, Path]]:
    """Say where the results of each scan go.

    Args:
        source: A scan, a folder of scans, a cohort in KiTS layout, or DICOM: a file, a zip, a
            folder with one study, or a folder of such folders and zips.
        output: A file whose name says a format (for one scan), or a folder. Without it the results
            of one scan stand beside it, and their names begin with the scan's and ``_mask``.
        formats: What will be written; the first names the files in a folder.

    Raises:
        VolumeError: If there is no scan, or a folder of scans and no folder for their results, or
            they cannot stand where they should.
    """
    if not source.exists():
        why = why_absent(source) or "no such file or folder"
        raise VolumeError(f"{source}: {why}; give a scan or a folder of scans")
    scans = _scans(source)
    if output is None:
        name, output = _beside(source, scans)
        scans = {source: name}
    elif names_file(output):
        if source.is_dir() and list(scans) != [source]:
            raise VolumeError(
                f"{output}: is one file, but {source} is a folder; give a folder with -o"
            )
        return [(source, output)]
    pairs = []
    for scan, name in scans.items():
        usual = Format.SEG if is_dicom_source(scan) else Format.NIFTI
        first = formats[0] if formats else usual
        pairs.append((scan, result_path(output / f"{name}.nii.gz", first)))
    counts = Counter(target for _, target in pairs)
    doubled = sorted(target for target, count in counts.items() if count > 1)
    if doubled:
        name = doubled[0].name
        raise VolumeError(f"{source}: two scans would both become {name}; rename one")
    return pairs


def _beside(source: Path, scans: Mapping[Path, str]) -> tuple[str, Path]:
    """The name and the folder of the results of a scan for which none are given."""
    if list(scans) != [source]:
        raise VolumeError(f"{source}: holds scans; give a folder for their results with -o")
    folder = source.resolve().parent
    if not os.access(folder, os.W_OK):
        raise VolumeError(f"{folder}: may not be written to; give another place with -o")
    return f"{scans[source]}_mask", folder


def _scans(source: Path) -> dict[Path, str]:
    """The scans that are meant, and the name that each gives its results."""
    if not source.is_dir():
        return {source: stem(source)}
    cases = _cases(source)
    if cases:
        return {path: path.parent.name for path in cases}
    if is_one_study(source):
        return {source: source.resolve().name}
    inside = [path for path in sorted(source.iterdir()) if not path.name.startswith(".")]
    scans = [path for path in inside if _is_image(path) or is_dicom_source(path)]
    if not scans:
        known = ", ".join(SUFFIXES)
        raise VolumeError(f"{source}: no scan in it; expected DICOM, or files ending in {known}")
    return {path: path.name if path.is_dir() else stem(path) for path in scans}


def _cases(source: Path) -> list[Path]:
    """The scans of a cohort in KiTS layout; those whose content is missing too, to be told."""
    inside = sorted(source.glob("case_*"))
    if any(_is_image(path) for path in source.iterdir()):
        return []
    scans = [case / "imaging.nii.gz" for case in inside]
    return [scan for scan in scans if os.path.lexists(scan)]


def _is_image(path: Path) -> bool:
    """Whether it is an image file, or a link that should lead to one."""
    return path.name.lower().endswith(SUFFIXES) and path.name[0] != "." and not path.is_dir()
