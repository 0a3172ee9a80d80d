"""Tables as Markdown, LaTeX and HTML: of each model the paper's figures, and below them ours."""

from collections.abc import Iterable, Sequence
from html import escape

from renalseg.experiment.table_format import TableFormat
from renalseg.experiment.tables import COLUMNS, NO_FIGURES, NOT_RUN, Figure, Table

#: What a reader must know of all tables.
LEGEND = (
    "Golts et al. 2021, section 4: mean over held-out cases, against all plausible annotations. "
    "Of each model the paper's figures, on KiTS21, and below them ours. D1, SD1: Dice and Surface "
    "Dice of kidney and masses; D2, SD2: of masses; D3, SD3: of the tumor; MD, MSD: their means. "
    "Bold: the best MD and MSD, among the paper's figures and among ours."
)
_LATEX_BOLD = r"\textbf{{{}}}"
_LATEX_NOTE = "Of each model the figures of Golts et al.; below them ours. Bold: best."
_LATEX_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "[": "{[}",  # after \\ it would open an argument, as * would
        "]": "{]}",
        "*": "{*}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Tables 1-6 of Golts et al. 2021</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; }}
table {{ border-collapse: collapse; margin-bottom: 2rem; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; font-weight: 600; padding-bottom: .4rem; }}
th, td {{ padding: .15rem .6rem; text-align: right; font-weight: 400; }}
thead th:nth-child(-n+2), tbody th {{ text-align: left; vertical-align: top; }}
b {{ font-weight: 700; }}
thead th {{ border-bottom: 1px solid; }}
td.missing {{ text-align: left; font-style: italic; }}
</style>
</head>
<body>
<h1>Tables 1-6 of Golts et al. 2021</h1>
<p>{legend}</p>
{tables}
</body>
</html>
"""


def write_tables(tables: Sequence[Table], form: TableFormat) -> str:
    """Write tables in one of the formats."""
    writers = {
        TableFormat.MARKDOWN: to_markdown,
        TableFormat.LATEX: to_latex,
        TableFormat.HTML: to_html,
    }
    return writers[form](tables)


def to_markdown(tables: Sequence[Table]) -> str:
    """Write tables as Markdown, with their legend."""
    lines = [LEGEND, ""]
    for table in tables:
        lines += [f"**{table.heading}** {table.title}", ""]
        lines += [f"| Model | | {' | '.join(COLUMNS)} |", f"|---|---|{'---|' * len(COLUMNS)}"]
        for row in table.printed():
            model = row.model.replace("|", "\\|")
            lines.append(f"| {model} | paper | {_markdown_cells(row.paper, NO_FIGURES)} |")
            if row.ours is not None:
                lines.append(f"| | {row.source} | {_markdown_cells(row.ours, NOT_RUN)} |")
        lines.append("")
    return "\n".join(lines)


def _markdown_cells(figures: Sequence[Figure], missing: str) -> str:
    return _cells(figures, "**{}**") if figures else missing + " |" * (len(COLUMNS) - 1)


def to_latex(tables: Sequence[Table]) -> str:
    """Write tables as LaTeX floats that need the package booktabs."""
    return "\n".join([f"% {LEGEND}", r"% Needs \usepackage{booktabs}.", *map(_latex, tables)])


def _latex(table: Table) -> str:
    caption = f"{_latex_text(table.title)}. {_LATEX_NOTE}"
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{caption}}}",
        rf"\label{{tab:renalseg-{table.number or '2d'}}}",
        r"\smallskip",
        rf"\begin{{tabular}}{{@{{}}l*{{{len(COLUMNS)}}}{{c}}@{{}}}}",
        r"\toprule",
        rf"Model & {' & '.join(COLUMNS)} \\",
        r"\midrule",
    ]
    for row in table.printed():
        lines.append(_latex_line(_latex_text(row.model), row.paper, NO_FIGURES))
        if row.ours is not None:
            lines.append(_latex_line(rf"\quad {_latex_text(row.source)}", row.ours, NOT_RUN))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _latex_line(name: str, figures: Sequence[Figure], missing: str) -> str:
    spanning = rf"\multicolumn{{{len(COLUMNS)}}}{{l}}{{{missing}}}"
    return rf"{name} & {_cells(figures, _LATEX_BOLD, ' & ') if figures else spanning} \\"


def _latex_text(text: str) -> str:
    return text.translate(_LATEX_SPECIAL)


def to_html(tables: Sequence[Table]) -> str:
    """Write tables as an HTML page that refers to nothing outside itself."""
    return _PAGE.format(legend=escape(LEGEND), tables="\n".join(map(html_table, tables)))


def html_table(table: Table) -> str:
    """Write one table as an HTML ``table`` element, one ``tbody`` per model."""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Model", "Source", *COLUMNS))
    lines = [
        "<table>",
        f"<caption>{table.heading} {escape(table.title)}</caption>",
        f"<thead><tr>{head}</tr></thead>",
    ]
    for row in table.printed():
        span = 1 if row.ours is None else 2
        model = f'<th scope="rowgroup" rowspan="{span}">{escape(row.model)}</th>'
        paper = _html_line("paper", row.paper, NO_FIGURES)
        lines.append(f'<tbody>\n<tr class="paper">{model}{paper}</tr>')
        if row.ours is not None:
            lines.append(f'<tr class="ours">{_html_line(row.source, row.ours, NOT_RUN)}</tr>')
        lines.append("</tbody>")
    return "\n".join([*lines, "</table>"])


def _html_line(source: str, figures: Sequence[Figure], missing: str) -> str:
    cells = f"<td>{_cells(figures, '<b>{}</b>', '</td><td>')}</td>"
    spanning = f'<td class="missing" colspan="{len(COLUMNS)}">{missing}</td>'
    return f'<th scope="row">{escape(source)}</th>{cells if figures else spanning}'


def _cells(figures: Iterable[Figure], bold: str, between: str = " | ") -> str:
    return between.join(bold.format(f.text) if f.bold else f.text for f in figures)
