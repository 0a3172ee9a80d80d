"""What is missing or contradictory in a case; every file is read whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from renalseg.cohort.aggregation import AGGREGATED_NAMES
from renalseg.cohort.case import Case
from renalseg.cohort.cohort import Cohort
from renalseg.cohort.layout import Layout
from renalseg.cohort.masks import grid_difference
from renalseg.errors import VolumeError
from renalseg.faults import problem_of
from renalseg.labels import Label
from renalseg.volume import Volume, read_image, read_labels


@dataclass(frozen=True)
class CaseCheck:
    """What was found of one case.

    Attributes:
        case_id: The case.
        problems: One line each; none if all is well.
    """

    case_id: str
    problems: tuple[str, ...]


def check_cohort(cohort: Cohort) -> Iterator[CaseCheck]:
    """Check one case after the other; a bad case does not keep the next from being checked."""
    for case in cohort.cases:
        try:
            problems = tuple(case_problems(case))
        except Exception as error:  # whatever it is, the other cases are checked
            problems = (problem_of(error, case.folder),)
        yield CaseCheck(case.case_id, problems)


def case_problems(case: Case) -> list[str]:
    """What a case lacks or contradicts itself in, one line each.

    It lacks imaging, annotations or a kidney; a file cannot be read; or a file's shape or affine
    is not that of the imaging (without imaging, of the first label map that can be read).
    """
    problems: list[str] = []
    frame: tuple[str, Volume] | None = None
    if not case.image_path.is_file():
        problems.append(f"{case.folder}: no imaging.nii.gz; get the CT with the data set's tool")
    else:
        try:
            # the grid alone is kept: a CT takes 100 MB and more
            frame = ("imaging.nii.gz", _blank(read_image(case.image_path)))
        except VolumeError as error:
            problems.append(str(error))
    for path, top in _label_files(case):
        try:
            labels = _blank(read_labels(path, max_label=top, contiguous=False))
        except VolumeError as error:
            problems.append(str(error))
            continue
        if frame is None:
            frame = (path.name, labels)
        elif not labels.same_grid(frame[1]):
            problems.append(grid_difference(str(path), labels, *frame))
    return problems + _missing_annotations(case)


def _label_files(case: Case) -> Iterator[tuple[Path, int]]:
    """Label maps that stand in a case, each with the highest label that it may hold."""
    maps = AGGREGATED_NAMES.values() if case.layout is Layout.KITS21 else ("segmentation.nii.gz",)
    for name in maps:
        if (case.folder / name).is_file():
            yield case.folder / name, max(Label)
    for instance in case.instances:
        for annotation in instance.annotations:
            yield annotation.path, 1


def _missing_annotations(case: Case) -> list[str]:
    if not case.instances:
        if case.layout is Layout.KITS19 and case.segmentation_path.is_file():
            return []
        return [f"{case.folder}: no annotations; get the case again"]
    if not any(instance.label is Label.KIDNEY for instance in case.instances):
        return [f"{case.folder}: no kidney instance; get the case's annotations again"]
    return []


def _blank(volume: Volume) -> Volume:
    """The volume's grid with a one-voxel array behind it."""
    return volume.like(np.broadcast_to(np.zeros((), np.uint8), volume.shape))
