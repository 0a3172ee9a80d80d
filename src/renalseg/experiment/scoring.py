"""Several models' held-out predictions of a cohort, evaluated case by case."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path

from renalseg.cohort import Case
from renalseg.evaluation.case import evaluate_prediction, keep_result, kept_result
from renalseg.evaluation.references import CaseReferences
from renalseg.evaluation.result import CaseResult
from renalseg.experiment.heldout import prediction_path


def evaluate_sets(
    folder: Path, names: Sequence[str], cases: Sequence[Case], pool: Executor
) -> Iterator[tuple[str, dict[str, CaseResult]]]:
    """Evaluate several models' predictions of each case by KiTS21's rule; known results are kept.

    Args:
        folder: Holds a folder of predictions per model.
        names: The models.
        cases: The cases.
        pool: Where they are evaluated.

    Yields:
        A case's name and its results by model; a model without a prediction is left out.
    """
    yield from pool.map(_evaluate_case, [(folder, tuple(names), case) for case in cases])


def _evaluate_case(task: tuple[Path, tuple[str, ...], Case]) -> tuple[str, dict[str, CaseResult]]:
    """Evaluate one case; its references are read once for all models."""
    folder, names, case = task
    known: CaseReferences | None = None
    results = {}
    for name in names:
        path = prediction_path(folder, name, case.case_id)
        if not path.is_file():
            continue
        kept = folder / name / "scores" / f"{case.case_id}.json"
        result = kept_result(kept, path, case)
        if result is None:
            known = known or CaseReferences.read(case, "kits21")
            result = evaluate_prediction(path, case.case_id, known)
            keep_result(kept, path, case, result)
        results[name] = result
    return case.case_id, results
