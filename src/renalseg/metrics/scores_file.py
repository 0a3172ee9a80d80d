"""The challenge's CSV files: ``evaluation.csv`` and ``evaluation_samples.csv``."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from renalseg.errors import EvaluationError
from renalseg.files import write_text
from renalseg.labels import HECS
from renalseg.metrics.score import CaseScore, HecScore

MAJORITY_FILE = "evaluation.csv"
SAMPLES_FILE = "evaluation_samples.csv"
AVERAGE = "average"
COLUMNS = (
    "caseID",
    *(f"Dice_{hec.column}" for hec in HECS),
    *(f"SD_{hec.column}" for hec in HECS),
)


def write_scores(scores: Mapping[str, CaseScore], path: Path) -> None:
    """Write scores by case as the challenge does: eight decimals, the last row their average."""
    rows = [COLUMNS, *(_row(case_id, scores[case_id]) for case_id in sorted(scores))]
    if scores:
        rows.append(_row(AVERAGE, mean_score(scores.values())))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(text.getvalue(), path)


def read_scores(path: Path) -> dict[str, CaseScore]:
    """Read the scores of the cases; the average is left out.

    Raises:
        EvaluationError: If the file is not such a CSV.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise EvaluationError(f"{path}: expected the columns {','.join(COLUMNS)}; score again")
    try:
        return {
            row[0]: CaseScore(
                *(
                    HecScore(float(row[1 + index]), float(row[1 + len(HECS) + index]))
                    for index in range(len(HECS))
                )
            )
            for row in rows[1:]
            if row[0] != AVERAGE
        }
    except (ValueError, IndexError) as error:
        raise EvaluationError(f"{path}: a row is not seven values; score again") from error


def mean_score(scores: Iterable[CaseScore]) -> CaseScore:
    """Mean of every score over cases.

    Raises:
        EvaluationError: If there is none.
    """
    listed = list(scores)
    if not listed:
        raise EvaluationError("no scores to average")
    return CaseScore(
        *(
            HecScore(
                sum(score.of(hec).dice for score in listed) / len(listed),
                sum(score.of(hec).surface_dice for score in listed) / len(listed),
            )
            for hec in HECS
        )
    )


def _row(case_id: str, score: CaseScore) -> tuple[str, ...]:
    dices = [f"{score.of(hec).dice:.8f}" for hec in HECS]
    surfaces = [f"{score.of(hec).surface_dice:.8f}" for hec in HECS]
    return (case_id, *dices, *surfaces)
