"""A folder of predictions against a cohort, case by case, on several processes."""

from collections.abc import Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

from renalseg.cohort import Case, Cohort, Protocol
from renalseg.errors import EvaluationError
from renalseg.evaluation.case import evaluate_case, keep_result, kept_result
from renalseg.evaluation.result import CaseResult
from renalseg.faults import Problem, problem_of

SUFFIX = ".nii.gz"


@dataclass(frozen=True)
class Evaluated:
    """What became of one prediction: a result, or the line that says why there is none."""

    case_id: str
    result: CaseResult | None = None
    problem: Problem | None = None


def prediction_files(folder: Path) -> list[Path]:
    """The predictions in a folder, by name.

    Raises:
        EvaluationError: If there is none.
    """
    if not folder.is_dir():
        raise EvaluationError(f"{folder}: no such folder; give one that holds case_XXXXX{SUFFIX}")
    files = sorted(file for file in folder.glob(f"*{SUFFIX}") if not file.name.startswith("."))
    if not files:
        raise EvaluationError(f"{folder}: no predictions; expected files named case_XXXXX{SUFFIX}")
    return files


def evaluate_folder(
    predictions: Path, cohort: Cohort, protocol: Protocol, kept: Path, pool: Executor
) -> Iterator[Evaluated]:
    """Evaluate every prediction of a folder; a bad one does not stop the others.

    Args:
        predictions: Holds ``case_XXXXX.nii.gz``.
        cohort: Their references.
        protocol: Whose rules are followed.
        kept: Where results are kept, and found again by the next run.
        pool: Where cases are evaluated.

    Yields:
        What became of each prediction, in the order of their names.

    Raises:
        EvaluationError: If there is no prediction.
    """
    cases = {case.case_id: case for case in cohort.cases}
    waiting: list[Evaluated | Future[Evaluated]] = []
    for path in prediction_files(predictions):
        name = path.name.removesuffix(SUFFIX)
        case = cases.get(name)
        if case is None:
            problem = f"{name}: {path}: no case {name} in {cohort.folder}; rename or remove it"
            waiting.append(Evaluated(name, problem=Problem(problem)))
        else:
            waiting.append(pool.submit(_evaluate, path, case, protocol, kept / f"{name}.json"))
    for one in waiting:
        yield one if isinstance(one, Evaluated) else one.result()


def _evaluate(path: Path, case: Case, protocol: Protocol, kept: Path) -> Evaluated:
    """Evaluate one prediction; runs in a worker."""
    try:
        result = kept_result(kept, path, case)
        if result is None:
            result = evaluate_case(path, case, protocol)
            keep_result(kept, path, case, result)
    except Exception as error:  # whatever it is, the other cases go on
        return Evaluated(case.case_id, problem=problem_of(error, case.case_id))
    return Evaluated(case.case_id, result)
