import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from renalseg.experiment.config import load_experiment
from renalseg.experiment.paper_tables import PAPER_TABLES, PLANAR_TABLE, fill, tables_with
from renalseg.experiment.table_format import TableFormat
from renalseg.experiment.tables import COLUMNS, NOT_RUN, Row, Scores, Table
from renalseg.experiment.tables_text import to_html, to_latex, to_markdown, write_tables

OURS = Scores(0.9, 0.6, 0.3, 0.8, 0.5, 0.2, 0.6, 0.5)
MODELS = 18  # rows of ours in Tables 1-6 and of the 2D U-Net
#: What Golts et al. 2021 print in bold, by table.
BOLD = {
    1: {("seed 3", "MD", "0.8930"), ("seed 3", "MSD", "0.8090")},
    2: {("with pretraining", "MD", "0.8948"), ("with pretraining", "MSD", "0.8102")},
    3: {
        ("baseline ([9])", "MD", "0.8926"),
        ("baseline ([9])", "MSD", "0.8080"),
        ("image loss", "MSD", "0.8080"),
    },
    4: {("our cascade", "MD", "0.9046"), ("our cascade", "MSD", "0.8210")},
    5: {("best model (cascade)", "MD", "0.9046"), ("final ensemble", "MSD", "0.8211")},
    6: {("with postprocessing", "MD", "0.9047"), ("with postprocessing", "MSD", "0.8245")},
}


def table(*ours, model="a model", title="A title"):
    paper = PAPER_TABLES[0].rows[0].paper
    return Table(1, title, tuple(Row(model, "run", paper, scores) for scores in ours))


def scores(md, msd=0.5):
    return Scores(0.9, 0.6, 0.3, 0.8, 0.5, 0.2, md, msd)


def bold(figures):
    return [name for name, figure in zip(COLUMNS, figures, strict=True) if figure.bold]


class Cells(HTMLParser):
    """Rows of cells as (tag, attributes, text, bold); fails on a tag not closed in its turn."""

    def __init__(self, page):
        super().__init__()
        self.open, self.rows = [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag == "meta":
            return
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append([tag, dict(attrs), "", False])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1][2] += data
            self.rows[-1][-1][3] |= "b" in self.open


def test_means_of_the_papers_rows_are_right():
    """Golts et al. 2021, Tables 1-6: MD and MSD are means of the rounded columns, to a unit."""
    for known in PAPER_TABLES:
        for row in known.rows:
            d1, d2, d3, sd1, sd2, sd3, md, msd = row.paper.values
            assert (d1 + d2 + d3) / 3 == pytest.approx(md, abs=1.01e-4)
            assert (sd1 + sd2 + sd3) / 3 == pytest.approx(msd, abs=1.01e-4)


@pytest.mark.parametrize("number", BOLD)
def test_papers_figures_are_bold_where_the_paper_prints_them_so(number):
    found = {
        (row.model, name, figure.text)
        for row in PAPER_TABLES[number - 1].printed()
        for name, figure in zip(COLUMNS, row.paper, strict=True)
        if figure.bold
    }
    assert found == BOLD[number]


def test_tables_have_the_papers_rows():
    assert [len(known.rows) for known in PAPER_TABLES] == [5, 3, 4, 2, 4, 2]


def test_every_row_is_a_recipe_or_ensemble_of_paper_yaml():
    paper = load_experiment("paper.yaml")
    known = {recipe.name for recipe in paper.recipes} | set(paper.ensembles)
    known |= {"ensemble-postprocessed", "best", "best-1-stage", None}
    tables = (*PAPER_TABLES, PLANAR_TABLE)
    assert {row.run for known in tables for row in known.rows} == known


def test_best_of_ours_is_bold_whatever_the_paper_has():
    first, second = table(scores(0.2, 0.4), scores(0.3, 0.3)).printed()
    assert bold(first.ours) == ["MSD"]
    assert bold(second.ours) == ["MD"]


def test_figures_that_print_alike_tie():
    rows = table(scores(0.60004), scores(0.6), scores(0.59994)).printed()
    assert [row.ours[6].bold for row in rows] == [True, True, False]


def test_model_that_was_not_run_takes_no_part():
    rows = table(None, scores(0.6), None).printed()
    assert [row.ours == () for row in rows] == [True, False, True]
    assert bold(rows[1].ours) == ["MD", "MSD"]


def test_figures_of_others_have_none_of_ours():
    published, baseline = PAPER_TABLES[1].printed()[:2]
    assert published.ours is None
    assert baseline.ours == ()


def test_best_single_stage_model_is_the_one_with_the_best_mean_dice():
    better = Scores(0.9, 0.7, 0.5, 0.8, 0.5, 0.2, 0.7, 0.5)
    tables = fill({"seed-1": OURS, "pretrained": better, "cascade": OURS})
    assert tables[4].rows[1].ours == better
    assert tables[4].rows[1].chosen == "pretrained"


@pytest.mark.parametrize("winner", ["baseline", "seed-2", "image-loss", "cascade", "baseline-2d"])
def test_best_model_is_the_one_with_the_best_mean_dice_of_all(winner):
    """In the paper it was the cascade; ensembles take no part."""
    names = ["baseline", "seed-2", "image-loss", "cascade", "baseline-2d"]
    results = {name: scores(0.5) for name in names} | {winner: scores(0.7)}
    results |= {name: scores(0.9) for name in ("ensemble", "ensemble-1-stage")}
    best, single, *_ = fill(results)[4].rows
    assert (best.ours, best.chosen) == (scores(0.7), winner)
    assert single.chosen == ("baseline" if winner == "cascade" else winner)
    assert f"| | ours ({winner}) | 0.9000" in to_markdown(fill(results))


@pytest.mark.parametrize(
    ("first", "second", "best"),
    [
        (scores(0.5, 0.4), scores(0.5, 0.5), "cascade"),  # the better mean Surface Dice
        (
            scores(0.5),
            Scores(0.9, 0.5, 0.4, 0.8, 0.5, 0.2, 0.5, 0.5),
            "cascade",
        ),  # the tumor's Dice
        (scores(0.5), scores(0.5), "seed-1"),  # the file's order
    ],
)
def test_ties_do_not_depend_on_the_order_of_the_results(first, second, best):
    results = {"seed-1": first, "cascade": second}
    for order in (results, dict(reversed(results.items()))):
        assert fill(order)[4].rows[0].chosen == best


def test_without_results_there_is_no_best_model():
    best, single, *_ = fill({"ensemble": OURS})[4].rows
    assert (best.ours, best.chosen, single.ours, single.chosen) == (None,) * 4


def test_rows_of_ensembles_are_those_of_the_experiment():
    """Whatever they are called, and whichever of them is the final one."""
    paper = load_experiment("paper.yaml")
    other = paper.model_copy(
        update={
            "ensembles": {
                "ensemble": ("baseline",),
                "mine": ("seed-1", "cascade"),
                "s": ("seed-1",),
            },
            "final": "mine",
        }
    )
    results = {"ensemble": scores(0.1), "mine": scores(0.2), "s": scores(0.3)}
    results["mine-postprocessed"] = scores(0.4)
    five, six = fill(results, other)[4:6]
    assert [row.ours and row.ours.md for row in five.rows] == [None, None, 0.3, 0.2]
    assert [row.ours.md for row in six.rows] == [0.2, 0.4]
    assert tables_with("mine", other) == [5, 6]
    assert tables_with("mine-postprocessed", other) == [6]
    assert tables_with("ensemble", other) == []
    assert tables_with("ensemble", paper) == [5, 6]


@pytest.mark.parametrize("form", TableFormat)
def test_the_2d_network_has_a_row_without_figures_of_the_paper(form):
    """Section 3 compares it in words; ours stand beside our 3D baseline's."""
    text = write_tables(fill({"baseline-2d": scores(0.1234)}), form)
    assert text.count("no figures in the paper") == 1
    assert "0.1234" in text
    planar = fill({"baseline-2d": scores(0.1234), "baseline": OURS})[-1]
    assert [row.ours and row.ours.md for row in planar.rows] == [0.6, 0.1234]
    assert planar.rows[1].paper is None


@pytest.mark.parametrize("form", TableFormat)
def test_what_was_not_run_is_marked(form):
    assert write_tables(fill({}), form).count(NOT_RUN) == MODELS
    # seed 1 stands in Table 1, and in Table 5 as the best model and the best 1-stage model
    assert write_tables(fill({"seed-1": OURS}), form).count(NOT_RUN) == MODELS - 3


def test_markdown_has_the_papers_line_and_ours_below():
    lines = to_markdown(fill({"seed-3": OURS})).splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("| seed 3 "))
    assert lines[place : place + 2] == [
        "| seed 3 | paper | 0.9668 | 0.8645 | 0.8478 | 0.9347 | 0.7567 | 0.7356 "
        "| **0.8930** | **0.8090** |",
        "| | ours | 0.9000 | 0.6000 | 0.3000 | 0.8000 | 0.5000 | 0.2000 "
        "| **0.6000** | **0.5000** |",
    ]


def test_markdown_rows_have_all_columns():
    text = to_markdown([table(OURS, None, model="a|b")])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {len(COLUMNS) + 3}


def test_latex_rows_have_all_columns():
    rows = [line for line in to_latex(fill({"seed-1": OURS})).splitlines() if line.endswith(r"\\")]
    assert len(rows) == 7 + 22 + MODELS
    for row in rows:
        spanned = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", row))
        assert row.count("&") + spanned == len(COLUMNS)


def test_latex_marks_the_best_figures():
    text = to_latex(fill({"seed-1": OURS}))
    assert r"\textbf{0.8930} & \textbf{0.8090} \\" in text
    assert r"\quad ours & 0.9000 & " in text
    assert r"& 0.2000 & \textbf{0.6000} & \textbf{0.5000} \\" in text


def test_latex_floats_have_captions_and_labels_of_their_own():
    text = to_latex(fill({}))
    assert re.findall(r"\\label\{tab:renalseg-(\d)\}", text) == list("123456")
    for known in PAPER_TABLES:
        assert rf"\caption{{{known.title}." in text
    for name in ("table", "tabular"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}") == 7


def test_latex_escapes_special_characters():
    text = to_latex([table(OURS, model="[a] & *", title=r"50% of $_{x}^\#~")])
    assert "\n{[}a{]} \\& {*} & 0.9666" in text
    title = r"50\% of \$\_\{x\}\textasciicircum{}\textbackslash{}\#\textasciitilde{}. Of each model"
    assert title in text


def test_html_marks_the_best_figures():
    rows = Cells(to_html([table(scores(0.7, 0.4), scores(0.6, 0.5))])).rows
    ours = [[text for _, _, text, is_bold in row if is_bold] for row in rows[2::2]]
    assert ours == [["0.7000"], ["0.5000"]]


def test_html_headers_name_their_cells():
    rows = Cells(to_html([table(OURS, None)])).rows
    assert [cell[1] for cell in rows[0]] == [{"scope": "col"}] * (len(COLUMNS) + 2)
    assert rows[1][0] == ["th", {"scope": "rowgroup", "rowspan": "2"}, "a model", False]
    assert [row[-9][:2] for row in rows[1:4]] == [["th", {"scope": "row"}]] * 3
    assert to_html([table(OURS)]).count("<caption>Table 1. A title</caption>") == 1


def test_html_rows_have_all_columns():
    spanned = 0
    for row in Cells(to_html(fill({"seed-1": OURS}))).rows:
        width = sum(int(cell[1].get("colspan", 1)) for cell in row) + spanned
        assert width == len(COLUMNS) + 2
        spanned = any(cell[1].get("rowspan") == "2" for cell in row)


def test_html_is_escaped():
    page = to_html([table(OURS, model="<a> & b", title="<i>")])
    assert "&lt;a&gt; &amp; b" in page
    assert "Table 1. &lt;i&gt;</caption>" in page


def test_paper_yaml_is_part_of_the_package():
    import renalseg.experiment

    assert (Path(renalseg.experiment.__file__).parent / "paper.yaml").is_file()
