"""All that a case's predictions are scored against, read once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from renalseg.cohort import Case, Protocol, plausible_maps, references
from renalseg.cohort.aggregation import aggregated
from renalseg.cohort.masks import CaseMasks
from renalseg.metrics import CaseScore, mean_score, score_case
from renalseg.volume import Volume
from renalseg.volume.boxes import BoxedLabels


@dataclass(frozen=True, eq=False)
class ReferenceMap:
    """A label map in memory, and how many of the official files hold it."""

    boxed: BoxedLabels
    count: int


@dataclass(frozen=True, eq=False)
class CaseReferences:
    """What a case is scored against; a few megabytes, whatever the size of its CT.

    Attributes:
        maps: By name.
        groups: Names of the maps of each group of KiTS21; empty where one map is all there is.
        majority: The majority vote, or the only map.
        grid: Where they lie; its array holds no voxels.
    """

    maps: Mapping[str, ReferenceMap]
    groups: tuple[tuple[str, ...], ...]
    majority: BoxedLabels
    grid: Volume

    @classmethod
    def read(cls, case: Case, protocol: Protocol) -> "CaseReferences":
        """Read them.

        Raises:
            CohortError: The case has no labels, or they contradict one another.
            VolumeError: A file cannot be read.
        """
        masks = CaseMasks(case)
        found = references(case, protocol, masks)
        if len(found) == 1:
            only = found[0].read()
            boxed = BoxedLabels.of(only.array, copy=True)
            grid = only.without_voxels()
            return cls({found[0].name: ReferenceMap(boxed, 1)}, (), boxed, grid)
        maps = {one.name: ReferenceMap(one.boxed, one.count) for one in found}
        drawn = plausible_maps(case, masks)
        groups = tuple(
            tuple(one.name for one in drawn if one.group == group)
            for group in sorted({one.group for one in drawn})
        )
        return cls(maps, groups, masks.merge_boxed(aggregated(masks)), masks.grid)

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Names of every two maps of a group: they share no annotation."""
        for group in self.groups:
            yield from combinations(group, 2)

    @cached_property
    def raters(self) -> CaseScore | None:
        """Mean Dice and Surface Dice over the pairs; None where there is but one map."""
        found: dict[frozenset[str], CaseScore] = {}
        scores = []
        for pair in self.pairs():
            key = frozenset(pair)
            if key not in found:
                first, second = (self.maps[name].boxed for name in pair)
                found[key] = score_case(first, [second], spacing_mm=self.grid.spacing_mm)
            scores.append(found[key])
        return mean_score(scores) if scores else None
