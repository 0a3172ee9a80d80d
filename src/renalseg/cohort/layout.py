"""How the three KiTS data sets lay out a case's folder, and how to tell them apart."""

from enum import StrEnum
from pathlib import Path

from renalseg.errors import CohortError

#: Where the repositories of KiTS21, KiTS19 and KiTS23 keep their cases.
_DATA_FOLDERS = (".", "kits21/data", "data", "dataset")


class Layout(StrEnum):
    """A KiTS data set's way to lay out a case."""

    KITS19 = "KiTS19"
    KITS21 = "KiTS21"
    KITS23 = "KiTS23"

    @property
    def annotations(self) -> str | None:
        """The folder in a case that holds one file per instance and annotator."""
        return {Layout.KITS21: "segmentations", Layout.KITS23: "instances"}.get(self)

    @property
    def segmentation(self) -> str:
        """The file in a case that holds the data set's own label map."""
        if self is Layout.KITS21:
            return "aggregated_MAJ_seg.nii.gz"
        return "segmentation.nii.gz"


def data_folder(folder: Path) -> Path:
    """The folder that holds the cases: the given one, or the one that a KiTS repository keeps.

    Raises:
        CohortError: There is no such folder, or no case in it.
    """
    if not folder.is_dir():
        raise CohortError(f"{folder}: no such folder; name the folder that holds case_00000 etc.")
    for inner in _DATA_FOLDERS:
        candidate = folder / inner
        if case_folders(candidate):
            return candidate
    raise CohortError(
        f"{folder}: no cases; expected folders such as case_00000 in it, in kits21/data, in data "
        "or in dataset"
    )


def case_folders(folder: Path) -> list[Path]:
    """The folders of cases in a folder, by name."""
    return sorted(
        path
        for path in folder.glob("case_*")
        if path.name.removeprefix("case_").isdecimal() and path.is_dir()
    )


def detect(cases: list[Path]) -> Layout:
    """Tell a data set's layout from what stands in its cases.

    The first case that holds annotations of single instances decides; without any, the first
    with an aggregated map does; cohorts with neither have nothing but whole label maps: KiTS19.
    """
    for case in cases:
        if (case / "segmentations").is_dir():
            return Layout.KITS21
        if (case / "instances").is_dir():
            return Layout.KITS23
    if any((case / Layout.KITS21.segmentation).is_file() for case in cases):
        return Layout.KITS21
    return Layout.KITS19
