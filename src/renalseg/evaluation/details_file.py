"""``evaluation_details.csv``: distances, volumes and lesions, a row per case."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from renalseg.evaluation.result import CaseResult
from renalseg.files import write_text
from renalseg.labels import HECS

DETAILS_FILE = "evaluation_details.csv"
_MEASURES = (
    ("HD95_mm", "hd95_mm"),
    ("MeanSurfaceDistance_mm", "mean_surface_distance_mm"),
    ("Volume_ml", "volume_ml"),
    ("ReferenceVolume_ml", "reference_volume_ml"),
    ("VolumeDifference_ml", "volume_difference_ml"),
)
_COUNTS = (
    ("Lesions", "reference"),
    ("LesionsDetected", "detected"),
    ("LesionsPredicted", "predicted"),
    ("LesionsFalsePositive", "false_positive"),
)
#: The classes whose lesions are counted, and where a case's details hold them.
_LESIONS = ((HECS[1], "mass_lesions"), (HECS[2], "tumor_lesions"))
COLUMNS = (
    "caseID",
    *(f"{title}_{hec.column}" for title, _ in _MEASURES for hec in HECS),
    *(f"{title}_{hec.column}" for title, _ in _COUNTS for hec, _ in _LESIONS),
)


def write_details(results: Mapping[str, CaseResult], path: Path) -> None:
    """Write the details by case; a distance to an empty mask is left empty."""
    rows = [COLUMNS, *(_row(results[case_id]) for case_id in sorted(results))]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(text.getvalue(), path)


def _row(result: CaseResult) -> tuple[str, ...]:
    measured = [
        getattr(result.details.of(hec), attribute) for _, attribute in _MEASURES for hec in HECS
    ]
    counted = [
        getattr(getattr(result.details, home), attribute)
        for _, attribute in _COUNTS
        for _, home in _LESIONS
    ]
    texts = ["" if value != value else f"{value:.4f}" for value in measured]  # noqa: PLR0124
    return (result.case_id, *texts, *map(str, counted))
