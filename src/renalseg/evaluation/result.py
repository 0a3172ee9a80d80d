"""What evaluation finds for one case."""

from dataclasses import dataclass

from renalseg.metrics.details import CaseDetails
from renalseg.metrics.score import CaseScore


@dataclass(frozen=True)
class CaseResult:
    """One prediction, evaluated.

    Attributes:
        case_id: The case's name.
        score: Dice and Surface Dice by the protocol's rule.
        details: Distances, volumes and lesions against the majority vote.
        raters: How well the annotators agree with one another on this case: mean Dice and Surface
            Dice over pairs of plausible maps; None where one annotator drew it, or where the
            protocol does not ask.
    """

    case_id: str
    score: CaseScore
    details: CaseDetails
    raters: CaseScore | None = None
