"""How much the annotators disagree: the human reference, and the challenge's tolerances.

Both are taken over the pairs of plausible maps within a group, which share no annotation, then
over cases (KiTS21, ``inter_rater_disagreement.py`` and ``compute_tolerances.py``).
"""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from renalseg.cohort import Case, Cohort
from renalseg.errors import EvaluationError
from renalseg.evaluation.case import score_of
from renalseg.evaluation.kept import keep, load, state_of
from renalseg.evaluation.references import CaseReferences
from renalseg.faults import Problem, problem_of
from renalseg.files import write_json
from renalseg.labels import HECS
from renalseg.metrics import CaseScore, write_scores
from renalseg.metrics.distances import Surface
from renalseg.metrics.score import HEC_BITS
from renalseg.outputs import Inputs, begins_with, check_output

#: Results by case, from which an interrupted run goes on.
KEPT = "disagreement_cases"
SCORES, TOLERANCES = "inter_rater_disagreement.csv", "tolerances.json"
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


def disagreement(case: Case, kept: Path | None = None) -> Disagreement:
    """Compare a case's plausible maps with one another.

    Args:
        case: The case.
        kept: The file that keeps what is found, for the next run.

    Raises:
        EvaluationError: One annotator drew the case.
        CohortError: The case has no labels, or they contradict one another.
        VolumeError: A file cannot be read.
    """
    state = state_of(case)
    found = load(kept, state) if kept else None
    if found:
        return Disagreement(case.case_id, score_of(found["score"]), found["tolerance_mm"])
    known = CaseReferences.read(case, "kits21")
    if known.raters is None:
        raise EvaluationError(
            f"{case.folder}: one annotation of each instance; disagreement needs two"
        )
    result = Disagreement(case.case_id, known.raters, _tolerances_mm(known))
    if kept:
        keep(kept, state, {"score": asdict(result.score), "tolerance_mm": result.tolerance_mm})
    return result


def disagreements(
    cohort: Cohort, kept: Path, pool: Executor
) -> Iterator[tuple[str, Disagreement | Problem]]:
    """Compare the maps of every case of a cohort.

    Args:
        cohort: The cases.
        kept: Where results are kept, and found again by the next run.
        pool: Where cases are compared.

    Yields:
        A case's name, and what was found or why nothing was.
    """
    tasks = [(case, kept / f"{case.case_id}.json") for case in cohort.cases]
    for case, found in zip(cohort.cases, pool.map(_attempt, tasks), strict=True):
        yield case.case_id, found


def _attempt(task: tuple[Case, Path]) -> Disagreement | Problem:
    """Compare one case's maps; runs in a worker."""
    try:
        return disagreement(*task)
    except Exception as error:  # whatever it is, the other cases go on
        return problem_of(error, task[0].case_id)


def check_places(folder: Path, cohort: Cohort) -> None:
    """Check that results can be written to a folder, before hours of work.

    Raises:
        OutputError: If they cannot, or would replace files of others.
    """
    inputs = Inputs(cohort.folder)
    check_output(folder / SCORES, inputs, is_ours=begins_with("caseID,"))
    check_output(folder / TOLERANCES, inputs, is_ours=begins_with('{\n  "tolerances_mm"'))


def mean_tolerances_mm(cases: Iterable[Disagreement]) -> dict[str, float]:
    """A cohort's tolerances: the mean over the cases whose maps all have the class."""
    listed = list(cases)
    means = {}
    for hec in HECS:
        values = [case.tolerance_mm[hec.name] for case in listed]
        defined = [value for value in values if not np.isnan(value)]
        means[hec.name] = float(np.mean(defined)) if defined else float("nan")
    return means


def write_disagreement(cases: Iterable[Disagreement], folder: Path) -> tuple[Path, Path]:
    """Write ``inter_rater_disagreement.csv`` and ``tolerances.json``; gives their paths."""
    listed = list(cases)
    folder.mkdir(parents=True, exist_ok=True)
    scores, tolerances = folder / SCORES, folder / TOLERANCES
    write_scores({case.case_id: case.score for case in listed}, scores)
    by_case = {
        case.case_id: {hec: _plain(mm) for hec, mm in case.tolerance_mm.items()} for case in listed
    }
    mean = {hec: _plain(mm) for hec, mm in mean_tolerances_mm(listed).items()}
    write_json({"tolerances_mm": mean, "cases": by_case}, tolerances)
    return scores, tolerances


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else value


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
