"""One self-contained page: tables, curves, and every case."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from renalseg import __version__
from renalseg.experiment.tables import Table
from renalseg.experiment.tables_text import LEGEND, html_table
from renalseg.files import write_text
from renalseg.labels import COLORS
from renalseg.report.curves import Curve, draw_curve
from renalseg.report.views import DrawnCase

__all__ = ["Curve", "write_report"]


def write_report(
    path: Path,
    *,
    tables: Sequence[Table],
    curves: Sequence[Curve],
    cases: Iterable[DrawnCase],
    method: str = "",
    title: str,
    summary: Sequence[tuple[str, str]],
    notes: Sequence[str] = (),
) -> None:
    """Write the page, all of it or nothing. It refers to nothing outside itself.

    Args:
        path: The HTML file.
        tables: The paper's tables, filled.
        curves: What the trainings logged.
        cases: Held-out cases, drawn.
        method: The figure of the method, as an SVG element; none when empty.
        title: Heading.
        summary: Names and values that stand at the top.
        notes: Sentences that stand below the heading.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("renalseg.report"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(
        title=title,
        summary=summary,
        notes=notes,
        method=method,
        legend=LEGEND,
        tables=[html_table(table) for table in tables],
        curves=[draw_curve(curve) for curve in curves],
        cases=list(cases),
        colors={label.title: color for label, color in COLORS.items()},
        version=__version__,
    )
    write_text(page, path)
