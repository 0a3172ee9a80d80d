"""The label maps that a prediction is scored against."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from renalseg.cohort.aggregation import aggregate, own_segmentation
from renalseg.cohort.case import Case
from renalseg.cohort.masks import CaseMasks, grid_difference
from renalseg.cohort.plausible import PlausibleMap, plausible_maps
from renalseg.errors import CohortError
from renalseg.types import LabelArray
from renalseg.volume import Volume, read_labels
from renalseg.volume.boxes import BoxedLabels

#: kits21: every file of plausible maps; kits23: the majority vote alone.
Protocol = Literal["kits21", "kits23"]


@dataclass(frozen=True)
class Reference:
    """A label map to score against.

    Attributes:
        name: The map's file name without suffix.
        count: How often it counts in the case's mean: a plausible map that stands in two groups
            is scored once and counted twice.
    """

    name: str
    count: int
    _read: Callable[[], Volume] = field(repr=False, compare=False)
    _boxed: Callable[[], BoxedLabels] | None = field(default=None, repr=False, compare=False)

    def read(self) -> Volume:
        """The labels on their grid, in whatever order the file has them in memory.

        Raises:
            CohortError: The case's annotations lie on several grids.
            VolumeError: A file cannot be read.
        """
        return self._read()

    @property
    def array(self) -> LabelArray:
        """The labels, canonical orientation; read anew on every call."""
        return np.ascontiguousarray(self.read().array)

    @property
    def boxed(self) -> BoxedLabels:
        """The labels in boxes, canonical orientation; read anew on every call."""
        return self._boxed() if self._boxed else BoxedLabels.of(self.read().array, copy=True)


def references(
    case: Case, protocol: Protocol = "kits21", masks: CaseMasks | None = None
) -> list[Reference]:
    """What the case's predictions are scored against.

    With several annotators KiTS21 (and the paper) take all files of plausible maps: those that
    stand in ``segmentation_samples``, and the others drawn now. With one per instance, or none but
    a label map, and always in KiTS23, it is the data set's label map, and where that is missing,
    the annotations merged by majority.

    Args:
        case: The case.
        protocol: Whose rule is followed.
        masks: The case's decoded annotations, where somebody has them already.

    Raises:
        CohortError: The case has no labels, or ``segmentation_samples`` holds maps that its
            annotations do not give.
    """
    if protocol == "kits21" and case.annotators > 1:
        return _plausible(case, masks)
    own = case.segmentation_path
    if own.is_file() or not case.instances:
        name = own.name.removesuffix(".nii.gz")
        return [Reference(name, 1, partial(own_segmentation, case, contiguous=False))]
    return [Reference("aggregate", 1, partial(aggregate, case))]


def _plausible(case: Case, masks: CaseMasks | None) -> list[Reference]:
    maps = plausible_maps(case, masks)
    _refuse_strangers(case, maps)
    found: dict[str, list[PlausibleMap]] = {}
    for plausible in maps:
        found.setdefault(plausible.name, []).append(plausible)
    result = []
    for name, same in found.items():
        paths = [case.samples_folder / plausible.file_name for plausible in same]
        stands = next((path for path in paths if path.is_file()), None)
        if stands is None:
            result.append(Reference(name, len(same), same[0].read, same[0].read_boxed))
        else:
            grid = same[0].grid
            result.append(Reference(name, len(same), partial(_sample, stands, grid)))
    return result


def _sample(path: Path, grid: Volume) -> Volume:
    volume = read_labels(path, contiguous=False)
    if not volume.same_grid(grid):
        raise CohortError(grid_difference(str(path), volume, "its annotations' grid", grid))
    return volume


def _refuse_strangers(case: Case, maps: list[PlausibleMap]) -> None:
    """Maps of another version of the data would silently change the score."""
    known = {case.samples_folder / plausible.file_name for plausible in maps}
    strange = sorted(set(case.samples_folder.glob("group_*/*.nii.gz")) - known)
    if strange:
        raise CohortError(
            f"{strange[0]}: not a plausible map of these annotations ({len(strange)} such); "
            f"remove {case.samples_folder} and run `renalseg data sample` again"
        )
