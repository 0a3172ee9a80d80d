"""One prediction against its case; what was found is kept, so that a run goes on where it was."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from renalseg.cohort import Case, Protocol
from renalseg.evaluation.kept import keep, load, state_of
from renalseg.evaluation.prediction import read_prediction
from renalseg.evaluation.references import CaseReferences
from renalseg.evaluation.result import CaseResult
from renalseg.labels import HECS
from renalseg.metrics import (
    CaseDetails,
    CaseScore,
    HecDetails,
    HecScore,
    LesionCounts,
    measure_case,
    score_case,
)


def evaluate_case(path: Path, case: Case, protocol: Protocol) -> CaseResult:
    """Score and measure one prediction file.

    Raises:
        EvaluationError: It does not lie as its reference does.
        CohortError: The case has no reference, or a contradictory one.
        VolumeError: A file cannot be read.
    """
    return evaluate_prediction(path, case.case_id, CaseReferences.read(case, protocol))


def evaluate_prediction(path: Path, case_id: str, known: CaseReferences) -> CaseResult:
    """The same against references that were read before.

    Raises:
        EvaluationError: It does not lie as its reference does.
        VolumeError: It cannot be read.
    """
    prediction = read_prediction(path, known.grid, known.majority)
    spacing_mm = known.grid.spacing_mm
    return CaseResult(
        case_id=case_id,
        score=score_case(prediction, list(known.maps.values()), spacing_mm=spacing_mm),
        details=measure_case(prediction, known.majority, spacing_mm=spacing_mm),
        raters=known.raters,
    )


def kept_result(path: Path, prediction: Path, case: Case) -> CaseResult | None:
    """What an earlier run found, if neither prediction nor case has changed since."""
    content = load(path, state_of(case, prediction))
    return None if content is None else _result(case.case_id, content)


def keep_result(path: Path, prediction: Path, case: Case, result: CaseResult) -> None:
    """Keep what was found."""
    keep(path, state_of(case, prediction), asdict(result))


def _result(case_id: str, content: Mapping[str, Any]) -> CaseResult:
    details, raters = content["details"], content["raters"]
    return CaseResult(
        case_id,
        score_of(content["score"]),
        CaseDetails(
            **{hec.name: HecDetails(**details[hec.name]) for hec in HECS},
            mass_lesions=LesionCounts(**details["mass_lesions"]),
            tumor_lesions=LesionCounts(**details["tumor_lesions"]),
        ),
        None if raters is None else score_of(raters),
    )


def score_of(content: Mapping[str, Any]) -> CaseScore:
    """A score from its plain values."""
    return CaseScore(*(HecScore(**content[hec.name]) for hec in HECS))
