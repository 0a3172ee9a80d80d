"""The challenge's CSV files: ``evaluation.csv`` and ``evaluation_samples.csv``."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

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
    """Write scores by case, to the byte as the challenge does.

    Eight decimals; the last row is their average, and no line break follows it.
    """
    rows = [COLUMNS, *(_row(case_id, scores[case_id]) for case_id in sorted(scores))]
    if scores:
        rows.append(_row(AVERAGE, mean_score(scores.values())))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(text.getvalue().removesuffix("\n"), path)


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
    values = [
        [[score.of(hec).dice, score.of(hec).surface_dice] for hec in HECS] for score in listed
    ]
    return CaseScore(*(HecScore(float(d), float(sd)) for d, sd in np.mean(values, axis=0)))


def _row(case_id: str, score: CaseScore) -> tuple[str, ...]:
    dices = [f"{score.of(hec).dice:.8f}" for hec in HECS]
    surfaces = [f"{score.of(hec).surface_dice:.8f}" for hec in HECS]
    return (case_id, *dices, *surfaces)
