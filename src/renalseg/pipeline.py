"""One scan through everything: read, predict, clean, save."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from renalseg.errors import RenalsegError, VolumeError
from renalseg.inference.ensemble import LoadedMember, combine, load_members, to_labels
from renalseg.inference.scan import Scan
from renalseg.labels import FOREGROUND
from renalseg.models.device import AUTO, resolve_device
from renalseg.models.ensemble import Ensemble
from renalseg.postprocess import postprocess
from renalseg.volume import SUFFIXES, Volume, read_image, read_labels


@dataclass(frozen=True)
class Segmentation:
    """What was found in a scan.

    Attributes:
        labels: Label map on the scan's grid.
        made_by: Names of the models that made it.
    """

    labels: Volume
    made_by: tuple[str, ...]

    def volumes_ml(self) -> dict[str, float]:
        """Volume of each class in ml."""
        slice_mm, row_mm, column_mm = self.labels.spacing_mm
        voxel_ml = slice_mm * row_mm * column_mm / 1000
        return {
            label.title: float((self.labels.array == label).sum()) * voxel_ml
            for label in FOREGROUND
        }

    def save(self, path: Path) -> None:
        """Write the label map on the grid that the scan was read from."""
        self.labels.save(path)


@dataclass(frozen=True)
class Segmenter:
    """An ensemble in memory, ready for any number of scans."""

    members: tuple[LoadedMember, ...]
    postprocess: bool

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        member: str | None = None,
        clean: bool | None = None,
        device: str = AUTO,
    ) -> "Segmenter":
        """Load an ensemble folder, or a single nnU-Net v2 model folder.

        Args:
            folder: The folder.
            member: Take only this member.
            clean: Whether to post-process (section 3.5); None leaves it to the manifest.
            device: A torch device, or ``auto``.

        Raises:
            ModelError: If the folder is no ensemble, or incomplete.
        """
        ensemble = Ensemble.open(folder)
        if member is not None:
            ensemble = ensemble.only(member)
        wanted = ensemble.manifest.postprocess if clean is None else clean
        return cls(load_members(ensemble, resolve_device(device)), wanted)

    def segment(self, volume: Volume) -> Segmentation:
        """Segment a scan given as a canonical volume in HU."""
        labels = to_labels(combine(self.members, Scan(volume)))
        if self.postprocess:
            labels = postprocess(labels)
        return Segmentation(volume.like(labels), tuple(member.name for member in self.members))


@dataclass(frozen=True)
class Prediction:
    """What became of one scan of a batch.

    Attributes:
        source: The scan.
        target: Its mask.
        segmentation: The result; None where the mask stood already or the scan failed.
        problem: Why it failed, or None.
    """

    source: Path
    target: Path
    segmentation: Segmentation | None = None
    problem: str | None = None


def predict_files(
    pairs: list[tuple[Path, Path]], load: Callable[[], Segmenter], *, overwrite: bool = False
) -> Iterator[Prediction]:
    """Segment scans one after the other; a scan that cannot be read does not stop the others.

    Args:
        pairs: Scan and mask files.
        load: Loads the ensemble; called once, when the first scan has been read.
        overwrite: Make masks again that stand already.
    """
    segmenter: Segmenter | None = None
    for source, target in pairs:
        if target.exists() and not overwrite:
            yield Prediction(source, target)
            continue
        try:
            volume = read_image(source)
        except RenalsegError as error:
            yield Prediction(source, target, problem=str(error))
            continue
        segmenter = segmenter or load()
        segmentation = segmenter.segment(volume)
        target.parent.mkdir(parents=True, exist_ok=True)
        segmentation.save(target)
        yield Prediction(source, target, segmentation)


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
    if source.is_file():
        return [(source, output if names_file else output / f"{_stem(source)}.nii.gz")]
    if names_file:
        raise VolumeError(f"{output}: is one file, but {source} is a folder; give a folder with -o")
    scans = sorted(p for p in source.iterdir() if p.is_file() and p.name.lower().endswith(SUFFIXES))
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
