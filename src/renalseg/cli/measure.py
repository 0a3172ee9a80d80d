"""``renalseg measure``: volumes, diameters and nephrometry of a segmentation."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from renalseg.cli.console import DIAMETER, print_json
from renalseg.labels import DiameterLine

if TYPE_CHECKING:
    from rich.table import Table

    from renalseg.clinical import Measurements


def command(
    segmentation: Path = typer.Argument(
        help="A label map: 1 kidney, 2 tumor, 3 cyst (NIfTI, NRRD, MHA)."
    ),
    ct: Path | None = typer.Option(
        None,
        help="The CT that was segmented (an image file, or DICOM): for HU and the renal sinus.",
    ),
    member: list[Path] | None = typer.Option(
        None, help="Label map of one member of an ensemble; several give each number an interval."
    ),
    diameter: DiameterLine = DIAMETER,
    csv: Path | None = typer.Option(None, metavar="FILE", help="Also write a table."),
    as_json: bool = typer.Option(False, "--json", help="Print everything as one JSON object."),
) -> None:
    """Measure kidneys and lesions, and score tumors (R.E.N.A.L., PADUA, C-index).

    Research software: not for diagnostic use.
    """
    from renalseg.clinical import measure
    from renalseg.clinical.table import COLUMNS, write_table
    from renalseg.errors import VolumeError
    from renalseg.outputs import Inputs, begins_with, check_output
    from renalseg.volume import Volume, read_labels
    from renalseg.volume.source import read_source

    if csv is not None:
        inputs = Inputs(segmentation, ct, *(member or ()))
        check_output(csv, inputs, is_ours=begins_with(",".join(COLUMNS)))
    labels = read_labels(segmentation)

    def checked(path: Path, other: Volume) -> Volume:
        if not other.same_grid(labels):
            raise VolumeError(
                f"{path}: expected the grid of {segmentation} (shape {labels.shape}), got shape "
                f"{other.shape} or another place; give one that belongs to it"
            )
        return other

    image = None if ct is None else checked(ct, read_source(ct).volume)
    members = [checked(path, read_labels(path)).array for path in member or []]
    found = measure(labels, image, members, diameter=diameter)
    if csv is not None:
        write_table(found, csv)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    from rich.console import Console

    console = Console()
    console.print(_kidney_table(found))
    if found.lesions:
        console.print(_lesion_table(found))
    for one in found.lesions:
        scores = ", ".join(f"{score.system} {score.text}" for score in one.scores)
        if scores:
            line = one.scores[0].diameter.in_words
            text = f"{one.number} {one.side} {one.label}: {scores}; by the {line}"
            console.print(text, highlight=False)
    for note in found.notes:
        console.print(f"look: {note}", highlight=False)
    console.print(found.notice, style="dim")


def _kidney_table(found: "Measurements") -> "Table":
    from rich.table import Table

    table = Table("kidney", title="Kidneys", title_justify="left")
    for name in ("with lesions, ml", "parenchyma, ml", "length, mm", "HU"):
        table.add_column(name, justify="right")
    for one in found.kidneys:
        hu = "" if one.intensity is None else f"{one.intensity.mean_hu:.0f}"
        numbers = (one.volume_ml, one.parenchyma_ml, one.length_mm)
        table.add_row(one.side, *(f"{number:.0f}" for number in numbers), hu)
    return table


def _lesion_table(found: "Measurements") -> "Table":
    from rich.table import Table

    table = Table("", "lesion", title="Lesions", title_justify="left")
    for name in ("ml", "axial, mm", "3D, mm", "to sinus, mm", "HU"):
        table.add_column(name, justify="right")
    for one in found.lesions:
        sinus = "" if one.sinus_distance_mm is None else f"{one.sinus_distance_mm:.0f}"
        hu = "" if one.intensity is None else f"{one.intensity.mean_hu:.0f}"
        table.add_row(
            str(one.number),
            f"{one.side} {one.label}",
            f"{one.volume_ml:.2f}",
            f"{one.largest_axial_diameter_mm:.1f} x {one.short_axis_mm:.1f}",
            f"{one.largest_3d_diameter_mm:.1f}",
            sinus,
            hu,
        )
    return table
