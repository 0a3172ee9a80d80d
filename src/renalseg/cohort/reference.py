"""The label maps that a prediction is scored against."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from renalseg.cohort.aggregation import aggregate, own_segmentation
from renalseg.cohort.case import Case
from renalseg.cohort.plausible import plausible_maps
from renalseg.types import LabelArray
from renalseg.volume import Volume


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

    def read(self) -> Volume:
        """The labels on their grid.

        Raises:
            CohortError: The case's annotations lie on several grids.
            VolumeError: A file cannot be read.
        """
        return self._read()

    @property
    def array(self) -> LabelArray:
        """The labels, canonical orientation; read anew on every call."""
        return self.read().array


def references(case: Case) -> list[Reference]:
    """What the case's predictions are scored against.

    With several annotators these are the distinct plausible maps (KiTS21 and the paper). With one
    per instance, or none but a label map, it is the data set's label map, and where that is
    missing, the annotations merged.

    Raises:
        CohortError: The case has no labels.
    """
    if case.annotators <= 1:
        own = case.segmentation_path
        if own.is_file() or not case.instances:
            return [Reference(own.name.removesuffix(".nii.gz"), 1, lambda: own_segmentation(case))]
        return [Reference("aggregate", 1, lambda: aggregate(case))]
    maps = plausible_maps(case)
    counts = Counter(plausible.choice for plausible in maps)
    distinct = {plausible.choice: plausible for plausible in reversed(maps)}
    return [
        Reference(distinct[choice].name, count, distinct[choice].read)
        for choice, count in counts.items()
    ]
