"""A researcher: from a cohort to the paper's tables, and on to scans of one's own."""

import csv
import json
import re
import shutil

import nibabel
import numpy as np
import pytest

from journey import renalseg
from once import TINY
from renalseg.formats import DICOM_FORMATS, Format
from result_files import check_entropy, check_page, check_pdf, check_results, results_of

pytestmark = pytest.mark.slow
CASE = "case_00000"
WITHOUT_DICOM = tuple(kind for kind in Format if kind not in DICOM_FORMATS)
#: Of the tiny experiment: a pretraining, one model of one stage, one of two; two folds.
TRAININGS = 7


def scores_in(text):
    """Numbers of the rows that are ours, in the order of the tables."""
    rows = [line for line in text.splitlines() if re.search(r"(\||quad) ours ", line)]
    return [re.findall(r"\b[01]\.\d{4}\b", row) for row in rows if "not run" not in row]


def test_the_run_prints_tables_1_to_6_and_where_they_are(trained_experiment):
    printed = trained_experiment.printed
    assert re.findall(r"\*\*Table (\d)\.\*\*", printed) == list("123456")
    folder = trained_experiment.folder
    for name in ("report.html", "tables.md", "tables.tex", "tables.html", "ensemble"):
        assert str(folder / name) in printed
        assert (folder / name).exists()
    page = (folder / "report.html").read_text()
    assert all(f"Table {number}" in page for number in range(1, 7))
    (before, after) = scores_in(printed)[-2:]  # Table 6: without post-processing, and with
    assert len(before) == len(after) == 8


def test_status_says_that_all_is_done(trained_experiment):
    shown = renalseg("experiment", "status", TINY, "-o", trained_experiment.folder).stdout
    assert f"{TRAININGS} of {TRAININGS} done, 0 running" in shown
    assert shown.count("done  ") == TRAININGS


def test_the_report_of_a_finished_run_has_the_same_numbers(trained_experiment, tmp_path):
    folder = shutil.copytree(trained_experiment.folder, tmp_path / "run", symlinks=True)
    before = (folder / "tables.md").read_text()
    for name in ("tables.md", "report.html"):
        (folder / name).unlink()
    latex = renalseg(
        *("experiment", "report", TINY, "-c", trained_experiment.cohort, "-o", folder),
        *("--format", "latex"),
    ).stdout
    assert latex.count(r"\begin{tabular}") == 7  # six, and section 3
    assert scores_in(latex) == scores_in(before) == scores_in(trained_experiment.printed)
    assert (folder / "tables.md").read_text() == before
    assert (folder / "report.html").is_file()


def test_a_scan_of_the_cohort_is_segmented_and_reported(trained_experiment, tmp_path):
    scan = trained_experiment.cohort / CASE / "imaging.nii.gz"
    mask, page, pdf = (tmp_path / name for name in ("mask.nii.gz", "study.html", "study.pdf"))
    renalseg(
        *("predict", scan, "-o", mask, "-m", trained_experiment.ensemble, "--uncertainty"),
        *(word for kind in WITHOUT_DICOM for word in ("--format", kind)),
    )
    measured = check_results(results_of(mask, WITHOUT_DICOM))
    check_entropy(mask)
    assert nibabel.load(mask).shape == nibabel.load(scan).shape
    renalseg("report", mask, "--ct", scan, "-o", page, "-o", pdf)
    check_page(page, measured)
    check_pdf(pdf, measured)
    assert all(name in page.read_text() for name in ("image-loss", "cascade"))


def test_the_held_out_predictions_are_evaluated(trained_experiment, tmp_path):
    predictions = trained_experiment.folder / "predictions" / "ensemble-postprocessed"
    arguments = ("evaluate", predictions, "-r", trained_experiment.cohort, "--jobs", 1)
    result = json.loads(renalseg(*arguments, "-o", tmp_path, "--json").stdout)
    assert result["failed"] == 0
    with (tmp_path / "evaluation_samples.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    case_rows = [row for row in rows if row[0].startswith("case_")]
    assert len(case_rows) >= 4
    # Table 6's last row is the mean of these
    (*_, last) = scores_in(trained_experiment.printed)
    means = np.mean([[float(value) for value in row[-6:]] for row in case_rows], axis=0)
    assert [float(value) for value in last[:6]] == pytest.approx(means, abs=1e-4)
