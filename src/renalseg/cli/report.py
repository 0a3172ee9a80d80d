"""``renalseg report``: a page or PDF of one segmentation, for a reader."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from renalseg.cli.console import DIAMETER, note
from renalseg.labels import DiameterLine

if TYPE_CHECKING:
    from renalseg.provenance import Provenance

SUFFIXES = (".html", ".pdf")
#: How a report that may be replaced begins, and what it holds.
MARKS = {
    ".html": ("<!DOCTYPE html>", '<meta name="generator" content="renalseg'),
    ".pdf": ("%PDF", "/Creator (renalseg"),
}


def command(
    segmentation: Path = typer.Argument(
        help="A label map: 1 kidney, 2 tumor, 3 cyst (NIfTI, NRRD, MHA)."
    ),
    ct: Path | None = typer.Option(
        None, help="The CT that was segmented: an image file, or DICOM."
    ),
    outputs: list[Path] | None = typer.Option(
        None,
        "-o",
        "--output",
        metavar="FILE",
        help=".html or .pdf, given once or twice; beside the segmentation, as .html, when absent.",
    ),
    diameter: DiameterLine = DIAMETER,
    title: str | None = typer.Option(None, help="Heading."),
    name: str = typer.Option("", "--patient-name", help="Show this name; nobody's when absent."),
    number: str = typer.Option("", "--patient-id", help="Show this identifier."),
    date: str = typer.Option("", "--date", help="Show this date of the examination."),
) -> None:
    """Show what was found: pictures with contours, measurements, scores, what to look at.

    What made the segmentation is taken from the JSON file beside it, where there is one.
    """
    from renalseg.clinical import measure
    from renalseg.errors import RenalsegError
    from renalseg.outputs import Inputs, check_output, contains
    from renalseg.provenance import sidecar_path
    from renalseg.report.study import TITLE, Patient, Study, write_study_page, write_study_pdf
    from renalseg.volume import read_labels
    from renalseg.volume.source import read_source

    sidecar = sidecar_path(segmentation)
    targets = outputs or [sidecar.with_suffix(".html")]
    for target in targets:
        if target.suffix.lower() not in SUFFIXES:
            raise RenalsegError(f"{target}: expected a file that ends in .html or .pdf")
        start, mark = MARKS[target.suffix.lower()]
        check_output(target, Inputs(segmentation, ct), is_ours=contains(mark, start=start))
    labels = read_labels(segmentation)
    image = None if ct is None else read_source(ct).volume
    if image is not None and not image.same_grid(labels):
        raise RenalsegError(
            f"{ct}: expected the grid of {segmentation} (shape {labels.shape}), got shape "
            f"{image.shape} or another place; give the CT that was segmented"
        )
    study = Study(
        image,
        labels,
        measure(labels, image, diameter=diameter),
        _provenance(sidecar),
        Patient(name, number, date) if name or number or date else None,
        title or TITLE,
    )
    for target in targets:
        if target.suffix.lower() == ".pdf":
            write_study_pdf(study, target)
        else:
            write_study_page(study, target)
        typer.echo(f"{target}")


def _provenance(path: Path) -> "Provenance | None":
    """The record beside a mask; none where there is none or it is another program's."""
    from pydantic import ValidationError

    from renalseg.provenance import Provenance

    if not path.is_file():
        return None
    try:
        return Provenance.model_validate_json(path.read_bytes())
    except ValidationError:
        note(f"{path}: not a record of renalseg, left out")
        return None
