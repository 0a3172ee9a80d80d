"""How much the annotators disagree: the human reference, and the challenge's tolerances.

Both are taken over the pairs of plausible maps within a group, which share no annotation, then
over cases (KiTS21, ``inter_rater_disagreement.py`` and ``compute_tolerances.py``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from renalseg.cohort import Case
from renalseg.errors import EvaluationError
from renalseg.evaluation.references import CaseReferences
from renalseg.labels import HECS
from renalseg.metrics import CaseScore
from renalseg.metrics.distances import Surface
from renalseg.metrics.score import HEC_BITS

#: Surface distance in mm below which so many percent of a surface's elements lie.
PERCENTILE = 95


@dataclass(frozen=True)
class Disagreement:
    """How the annotators of one case disagree.

    Attributes:
        case_id: The case's name.
        score: Mean Dice and Surface Dice over pairs of maps.
        tolerance_mm: By HEC, the mean over pairs of the mean of the two directed 95th percentiles
            of surface distance; NaN where a map lacks the class.
    """

    case_id: str
    score: CaseScore
    tolerance_mm: Mapping[str, float]


def disagreement(case: Case) -> Disagreement:
    """Compare a case's plausible maps with one another.

    Raises:
        EvaluationError: One annotator drew the case.
        CohortError: The case has no labels, or they contradict one another.
        VolumeError: A file cannot be read.
    """
    known = CaseReferences.read(case, "kits21")
    if known.raters is None:
        raise EvaluationError(
            f"{case.folder}: one annotation of each instance; disagreement needs two"
        )
    return Disagreement(case.case_id, known.raters, _tolerances_mm(known))


def mean_tolerances_mm(cases: Iterable[Disagreement]) -> dict[str, float]:
    """A cohort's tolerances: the mean over the cases whose maps all have the class."""
    listed = list(cases)
    means = {}
    for hec in HECS:
        values = [case.tolerance_mm[hec.name] for case in listed]
        defined = [value for value in values if not np.isnan(value)]
        means[hec.name] = float(np.mean(defined)) if defined else float("nan")
    return means


def _tolerances_mm(known: CaseReferences) -> dict[str, float]:
    return {hec.name: _tolerance_mm(known, bit) for bit, hec in enumerate(HECS)}


def _tolerance_mm(known: CaseReferences, bit: int) -> float:
    spacing_mm = known.grid.spacing_mm
    surfaces = {
        name: Surface.of(labels.boxed, HEC_BITS, bit, spacing_mm)
        for name, labels in known.maps.items()
    }
    directed: dict[tuple[str, str], float] = {}
    means = []
    for pair in known.pairs():
        for one, other in (pair, pair[::-1]):
            if (one, other) in directed:
                continue
            if surfaces[one].is_empty or surfaces[other].is_empty:
                return float("nan")
            distances_mm = surfaces[one].distances_mm(surfaces[other])
            # by number of elements, not by area: as the challenge did it
            directed[one, other] = float(np.percentile(distances_mm, PERCENTILE))
        means.append((directed[pair] + directed[pair[::-1]]) / 2)
    return float(np.mean(means))
