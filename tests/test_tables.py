from pathlib import Path

import pytest

from renalseg.experiment.tables import PAPER_TABLES, Scores, fill, to_markdown

OURS = Scores(0.9, 0.6, 0.3, 0.8, 0.5, 0.2, 0.6, 0.5)


def test_means_of_the_papers_rows_are_right():
    """Golts et al. 2021, Tables 1-6: MD and MSD are means of the rounded columns, to a unit."""
    for table in PAPER_TABLES:
        for row in table.rows:
            d1, d2, d3, sd1, sd2, sd3, md, msd = row.paper.values
            assert (d1 + d2 + d3) / 3 == pytest.approx(md, abs=1.01e-4)
            assert (sd1 + sd2 + sd3) / 3 == pytest.approx(msd, abs=1.01e-4)


def test_best_figures_are_those_that_the_paper_prints_in_bold():
    best = [(f"{t.best(6):.4f}", f"{t.best(7):.4f}") for t in PAPER_TABLES]
    assert best == [
        ("0.8930", "0.8090"),
        ("0.8948", "0.8102"),
        ("0.8926", "0.8080"),
        ("0.9046", "0.8210"),
        ("0.9046", "0.8211"),
        ("0.9047", "0.8245"),
    ]


def test_tables_have_the_papers_rows():
    assert [len(table.rows) for table in PAPER_TABLES] == [5, 3, 4, 2, 4, 2]


def test_every_row_is_a_recipe_or_ensemble_of_paper_yaml():
    from renalseg.experiment.config import load_experiment

    paper = load_experiment("paper.yaml")
    known = {recipe.name for recipe in paper.recipes} | set(paper.ensembles)
    known |= {"ensemble-postprocessed", "best-1-stage", None}
    assert {row.run for table in PAPER_TABLES for row in table.rows} == known


def test_what_was_not_run_is_marked():
    text = to_markdown(fill({"seed-1": OURS}))
    assert (
        "| | ours | 0.9000 | 0.6000 | 0.3000 | 0.8000 | 0.5000 | 0.2000 | 0.6000 | 0.5000 |" in text
    )
    assert text.count("not run") == 16 - 2  # all but seed 1, and the best 1-stage model with it
    assert "| baseline ([9]) | paper | 0.9666 |" in text


def test_best_single_stage_model_is_the_one_with_the_best_mean_dice():
    better = Scores(0.9, 0.7, 0.5, 0.8, 0.5, 0.2, 0.7, 0.5)
    tables = fill({"seed-1": OURS, "pretrained": better, "cascade": OURS})
    assert tables[4].rows[1].ours == better


def test_paper_yaml_is_part_of_the_package():
    import renalseg.experiment

    assert (Path(renalseg.experiment.__file__).parent / "paper.yaml").is_file()
