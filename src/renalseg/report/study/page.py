"""A study as one HTML page that refers to nothing outside itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from renalseg import __version__
from renalseg.files import write_text
from renalseg.labels import COLORS
from renalseg.report.study import tables, text
from renalseg.report.study.canvas import GROUND, WIDTH_MM, Panel, house_style
from renalseg.report.study.pictures import coronal_panels, lesion_panel, solid_panels
from renalseg.report.study.record import Study
from renalseg.report.study.score_pictures import score_panels
from renalseg.report.study.score_table import score_table
from renalseg.report.views import encode
from renalseg.types import AnyArray

if TYPE_CHECKING:
    from jinja2 import Template

#: Pictures are twice as fine as a page shows them.
WIDTH_PIXELS = 900
WIDE_PIXELS = 1500


@dataclass(frozen=True)
class Figure:
    """A picture as the template takes it."""

    title: str
    caption: str
    alt: str
    source: str
    width: int
    height: int


def write_study_page(study: Study, path: Path | str) -> None:
    """Write the page, all of it or nothing.

    Args:
        study: The patient's scan and what was found.
        path: The HTML file.
    """
    why = score_panels(study)
    scores = [
        {
            "tables": [score_table(lesion, score) for score in lesion.scores],
            "figures": _figures([why[lesion.number]] if lesion.number in why else [], WIDE_PIXELS),
        }
        for lesion in study.tumors
        if lesion.scores
    ]
    page = _template().render(
        title=study.title,
        headline=text.HEADLINE,
        notices=text.notices(study),
        patient=study.patient.facts if study.patient else (),
        facts=text.facts(study),
        flags=text.flags(study),
        solids=_figures(solid_panels(study)),
        coronals=_figures(coronal_panels(study)),
        kidneys=tables.kidney_table(study),
        lesions=(tables.lesion_table(study), tables.surroundings_table(study)),
        figures=_figures(lesion_panel(study, one) for one in study.measurements.lesions),
        scores=scores,
        legend=text.score_legend(),
        made_by=text.made_by(study),
        colors={label.title: color for label, color in COLORS.items()},
        version=__version__,
    )
    write_text(page, Path(path))


def paint(panel: Panel, width: int = WIDTH_PIXELS) -> AnyArray:
    """A panel as an RGB picture, uint8, (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Sheet

    inches = WIDTH_MM / 25.4
    sheet = Sheet((inches, inches * panel.ratio), dpi=width / inches, facecolor=GROUND)
    canvas = FigureCanvasAgg(sheet)
    with house_style():
        panel.draw(sheet.add_axes((0.0, 0.0, 1.0, 1.0)))
        canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


def _figures(panels: Iterable[Panel], width_pixels: int = WIDTH_PIXELS) -> tuple[Figure, ...]:
    figures = []
    for panel in panels:
        picture = paint(panel, width_pixels)
        height, width = picture.shape[:2]
        source = encode(picture)
        figures.append(Figure(panel.title, panel.caption, panel.alt, source, width, height))
    return tuple(figures)


@lru_cache
def _template() -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("renalseg.report"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("study.html.j2")
