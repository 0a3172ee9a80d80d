"""Measurements as a CSV file: a row for each kidney and lesion."""

import csv
import io
from pathlib import Path

from renalseg.clinical.records import KidneyRecord, LesionRecord, Measurements
from renalseg.clinical.size import points_by_line
from renalseg.files import write_text

COLUMNS = (
    "what", "number", "side", "volume_ml", "parenchyma_ml", "length_mm",
    "largest_axial_diameter_mm", "short_axis_mm", "largest_3d_diameter_mm", "contact_mm2",
    "sinus_distance_mm", "sinus_from", "components", "mean_hu", "sd_hu", "median_hu", "p5_hu",
    "p95_hu", "centroid_x_mm", "centroid_y_mm", "centroid_z_mm", "renal", "padua", "c_index",
    "score_diameter", "points_by_diameter",
)  # fmt: skip
_SCORES = {"R.E.N.A.L.": "renal", "PADUA": "padua", "C-index": "c_index"}


def write_table(measurements: Measurements, path: Path) -> None:
    """Write the numbers that fit a table; empty where there is none."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    records: list[KidneyRecord | LesionRecord] = [*measurements.kidneys, *measurements.lesions]
    writer.writerows(_row(one) for one in records)
    write_text(text.getvalue(), path)


def _row(record: KidneyRecord | LesionRecord) -> dict[str, object]:
    plain = record.model_dump()
    row = {name: plain[name] for name in COLUMNS if plain.get(name) is not None}
    row["what"] = record.label if isinstance(record, LesionRecord) else "kidney"
    row |= plain["intensity"] or {}
    row |= dict(zip(COLUMNS[18:21], record.centroid.mm, strict=True))
    if isinstance(record, LesionRecord):
        row |= {_SCORES[score.system]: score.text for score in record.scores}
        if record.scores:
            row["score_diameter"] = str(record.scores[0].diameter)
        row["points_by_diameter"] = "; ".join(points_by_line(record))
    return {name: round(v, 3) if isinstance(v, float) else v for name, v in row.items()}
