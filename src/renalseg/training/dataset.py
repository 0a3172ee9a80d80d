"""A cohort as a raw nnU-Net v2 data set: images linked, labels written, splits on file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from renalseg.errors import ExperimentError
from renalseg.files import write_json
from renalseg.labels import FOREGROUND
from renalseg.models.plans import Shape, Triple
from renalseg.training.annotations import Annotations
from renalseg.volume import Volume, read_image

#: nnU-Net's own seed for splits; version 1, which the paper used, has the same.
SPLIT_SEED = 12345


@dataclass(frozen=True)
class TrainingCase:
    """One scan to train on.

    Attributes:
        case_id: Its name in the data set.
        image: Its CT.
        labels: Reads its label map for a choice of annotations.
    """

    case_id: str
    image: Path
    labels: Callable[[Annotations], Volume]


@dataclass(frozen=True)
class TrainingSet:
    """What networks are trained on.

    Attributes:
        number: nnU-Net's number of the data set.
        title: Its name, e.g. ``KiTS``.
        classes: Names of the foreground classes, in the order of their values from 1.
        cases: The scans.
        splits: Into how many parts cross-validation cuts the cases; 1 trains on all of them.
    """

    number: int
    title: str
    classes: tuple[str, ...]
    cases: tuple[TrainingCase, ...]
    splits: int

    @property
    def name(self) -> str:
        """The name of nnU-Net's folder."""
        return f"Dataset{self.number:03d}_{self.title}"

    def dataset_json(self) -> dict[str, Any]:
        """nnU-Net's description of the data set."""
        labels = {"background": 0} | {name: i + 1 for i, name in enumerate(self.classes)}
        return {
            "name": self.title,
            "channel_names": {"0": "CT"},
            "labels": labels,
            "numTraining": len(self.cases),
            "file_ending": ".nii.gz",
            "overwrite_image_reader_writer": "SimpleITKIO",
        }

    def folds(self) -> list[dict[str, list[str]]]:
        """Cross-validation splits, drawn as nnU-Net draws them."""
        names = sorted(case.case_id for case in self.cases)
        return crossval_splits(names, self.splits)


KIDNEY_CLASSES = tuple(label.title for label in FOREGROUND)


def crossval_splits(names: Sequence[str], parts: int) -> list[dict[str, list[str]]]:
    """Split case names as nnU-Net does: shuffled k-fold with its fixed seed.

    Args:
        names: Sorted names.
        parts: Number of folds; 1 gives a single fold that trains and validates on every case.

    Raises:
        ExperimentError: There are fewer cases than folds.
    """
    if len(names) < parts:
        raise ExperimentError(
            f"expected a case or more for each of {parts} folds, got {len(names)}; add cases, or "
            "lower `splits` in the experiment file"
        )
    if parts == 1:
        return [{"train": list(names), "val": list(names)}]
    from nnunetv2.utilities.crossval_split import generate_crossval_split

    splits = generate_crossval_split(list(names), seed=SPLIT_SEED, n_splits=parts)
    return [{part: [str(name) for name in split[part]] for part in split} for split in splits]


def write_raw(training_set: TrainingSet, root: Path) -> Path:
    """Write ``imagesTr``, ``labelsTr`` and ``dataset.json``; what stands there is kept.

    Args:
        training_set: The cases.
        root: nnU-Net's folder of raw data sets.

    Returns:
        The data set's folder.

    Raises:
        RenalsegError: If an image or its annotations cannot be read.
    """
    folder = root / training_set.name
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for case in training_set.cases:
        link_image(case.image, folder / "imagesTr" / f"{case.case_id}_0000.nii.gz")
        label = folder / "labelsTr" / f"{case.case_id}.nii.gz"
        if not label.exists():
            case.labels("majority").save(label)
    write_json(training_set.dataset_json(), folder / "dataset.json")
    return folder


def link_image(source: Path, target: Path) -> None:
    """Give a training scan its nnU-Net name; a scan not stored I-P-L is stored so anew."""
    if target.exists():
        return
    target.unlink(missing_ok=True)
    if storage(source) == "IPL" and source.name.endswith(".nii.gz"):
        try:
            target.symlink_to(source.resolve())
        except OSError:  # a file system without links
            _save_canonical(source, target)
    else:
        _save_canonical(source, target)


def _save_canonical(source: Path, target: Path) -> None:
    volume = read_image(source)
    Volume(volume.array, volume.affine).save(target)


def storage(path: Path) -> str:
    """The orientation in which a NIfTI file stores its voxels, e.g. ``IPL``."""
    import nibabel

    image: Any = nibabel.load(path)
    return "".join(nibabel.aff2axcodes(image.affine))


def geometry(path: Path) -> tuple[Triple, Shape]:
    """Voxel size in mm and shape of a NIfTI file stored I-P-L: slice, row, column."""
    import nibabel

    image: Any = nibabel.load(path)
    slice_mm, row_mm, column_mm = (float(size) for size in image.header.get_zooms()[:3])
    slices, rows, columns = (int(count) for count in image.shape[:3])
    return (slice_mm, row_mm, column_mm), (slices, rows, columns)
