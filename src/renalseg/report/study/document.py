"""A study as PDF: pages of A4 that print as they stand."""

import io
from pathlib import Path

from renalseg import __version__
from renalseg.files import write_bytes
from renalseg.labels import COLORS
from renalseg.report.study import tables, text
from renalseg.report.study.canvas import house_style
from renalseg.report.study.layout import (
    HEIGHT_MM,
    LEFT_MM,
    RIGHT_MM,
    SOFT,
    Flow,
)
from renalseg.report.study.lettering import text_width, wrap
from renalseg.report.study.pictures import coronal_panels, lesion_panel, solid_panels
from renalseg.report.study.record import Study
from renalseg.report.study.score_pictures import score_panels
from renalseg.report.study.score_table import score_table

#: Pictures within the pages are resampled to this.
DPI = 220
_WARN = {"color": "#8f2d00", "ground": "#fff1e3", "edge": "#e9a15c"}
_FLAG = {"color": "#5c4300", "ground": "#fff0c2", "edge": "none"}


def study_pdf(study: Study) -> bytes:
    """A study's report as PDF.

    A4, fonts embedded, equal bytes for equal studies; its metadata name nobody.
    """
    from matplotlib.backends.backend_pdf import PdfPages

    about = {
        "Title": "renalseg study report",
        "Subject": text.HEADLINE,
        "Creator": f"renalseg {__version__}",
        "CreationDate": None,
    }
    target = io.BytesIO()
    with house_style():
        flow = Flow()
        _fill(flow, study)
        _number(flow, study)
        with PdfPages(target, metadata=about) as pages:
            for page in flow.pages:
                pages.savefig(page, facecolor="white", dpi=DPI)
    return target.getvalue()


def write_study_pdf(study: Study, path: Path | str) -> None:
    """Write the PDF, all of it or nothing.

    Args:
        study: The patient's scan and what was found.
        path: The PDF file.
    """
    write_bytes(study_pdf(study), Path(path))


def _fill(flow: Flow, study: Study) -> None:
    found = study.measurements
    flow.heading(study.title, size=17, above=0)
    flow.box(text.HEADLINE.upper(), text.notices(study), size=9, **_WARN)
    flow.y += 3
    if study.patient and study.patient.facts:
        flow.facts(study.patient.facts, size=9.5)
        flow.y += 1.5
    flow.facts(text.facts(study), size=9.5)
    flow.y += 2
    if flags := text.flags(study):
        flow.box("Please look at", [f"•  {flag}" for flag in flags], size=8.5, **_FLAG)
        flow.y += 3
    _overview(flow, study)

    flow.heading("Kidneys")
    if found.kidneys:
        flow.table(tables.kidney_table(study))
    else:
        flow.paragraph("No kidney was found.")
    flow.heading("Lesions")
    if found.lesions:
        flow.table(tables.lesion_table(study))
        flow.table(tables.surroundings_table(study))
        flow.y += 4
        flow.pictures([lesion_panel(study, one) for one in found.lesions], columns=3)
    else:
        flow.paragraph("No tumor and no cyst was found.")
    scored = [lesion for lesion in study.tumors if lesion.scores]
    if scored:
        flow.heading("Nephrometry")
        flow.paragraph(text.score_legend(), size=7.5)
    why = score_panels(study)
    for lesion in scored:
        for number, score in enumerate(lesion.scores):
            flow.table(score_table(lesion, score))
            if number == 0 and lesion.number in why:
                flow.y += 3
                flow.pictures([why[lesion.number]], columns=1)
    flow.heading("What made this")
    flow.facts(text.made_by(study), size=8)


def _overview(flow: Flow, study: Study) -> None:
    solids, coronals = solid_panels(study), coronal_panels(study)
    if not (solids or coronals):
        return
    if len(coronals) == 1 and solids:
        flow.pictures([*solids, *coronals], columns=3)
    else:
        flow.pictures(solids, columns=2)
        flow.pictures(coronals, columns=2 if flow.fits(coronals, 2) else 3)
    flow.room(5)
    x = LEFT_MM
    for label, color in COLORS.items():
        flow.fill(x, flow.y + 0.4, 2.8, 2.8, "#" + bytes(color).hex())
        flow.write(label.title, x + 4, flow.y, size=7.5, color=SOFT)
        x += 8 + text_width(label.title, 7.5, "normal")
    flow.write(
        "R right, L left, A anterior, P posterior, H head, F foot of the patient.",
        x,
        flow.y,
        size=7.5,
        color=SOFT,
    )
    flow.y += 4


def _number(flow: Flow, study: Study) -> None:
    """Write the notice, the patient where given, and the number below each page."""
    pages = flow.pages
    who = ", ".join(value for _, value in study.patient.facts) if study.patient else ""
    for number, page in enumerate(pages, 1):
        end = f"page {number} of {len(pages)}"
        start = f"{text.HEADLINE}. renalseg {__version__}, research software. {who}"
        room = RIGHT_MM - LEFT_MM - 25
        flow.pages = [page]
        flow.write(wrap(start, room, 7.5)[0], LEFT_MM, HEIGHT_MM - 13, size=7.5, color=SOFT)
        flow.write(end, RIGHT_MM, HEIGHT_MM - 13, size=7.5, color=SOFT, is_right=True)
    flow.pages = pages
