import json

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from kits_cases import IPL, make_case, save
from renalseg.cli.main import app
from renalseg.cohort import (
    Cohort,
    Layout,
    aggregate,
    plausible_maps,
    references,
    write_plausible_maps,
)
from renalseg.errors import CohortError, EvaluationError
from renalseg.evaluation.run import evaluate
from renalseg.metrics import read_scores
from renalseg.workers import Serial

SHAPE = (16, 40, 40)


def two_kidneys(shift=0):
    """A label map whose every mirror image is another."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:9, 8:18, 4 + shift : 14 + shift] = 1
    labels[5:12, 10:22, 26:36] = 1
    labels[6:9, 8:13, 4 + shift : 8 + shift] = 2
    labels[10:12, 12:16, 30:35] = 3
    return labels


@pytest.fixture
def cohort(tmp_path):
    for number in (300, 301, 302):
        save(tmp_path / "dataset" / f"case_{number:05d}" / "segmentation.nii.gz", two_kidneys())
    return tmp_path / "dataset"


@pytest.fixture
def predictions(tmp_path):
    for number in (300, 301, 302):
        predict(tmp_path / "model" / f"case_{number:05d}.nii.gz", two_kidneys(number - 300))
    return tmp_path / "model"


def predict(path, labels, affine=IPL):
    save(path, labels.astype(np.uint8), affine)


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def problem(predictions, cohort):
    """The one line that says why the first prediction is refused."""
    lines = []
    evaluate([predictions], Cohort.open(cohort), Serial(), on_problem=lines.append)
    (line,) = lines
    assert "\n" not in line
    return line


def test_every_figure_is_written(predictions, cohort):
    result = run(predictions, "-r", cohort, "--jobs", 1)
    assert result.exit_code == 0
    scores = read_scores(predictions / "evaluation_samples.csv")
    assert scores["case_00300"].mass.dice == scores["case_00300"].tumor.surface_dice == 1
    assert scores["case_00301"].kidney_and_mass.dice < 1
    details = (predictions / "evaluation_details.csv").read_text().splitlines()
    assert details[0].startswith("caseID,HD95_mm_kidney,HD95_mm_masses,HD95_mm_tumor,Mean")
    assert len(details) == 4
    summary = json.loads((predictions / "evaluation_summary.json").read_text())
    assert summary["lesions"][0]["sensitivity"] == 1
    assert "## Worst cases" in (predictions / "evaluation_summary.md").read_text()
    assert "3 cases scored" in result.output


def test_kits23_writes_the_other_file_elsewhere(predictions, cohort, tmp_path):
    result = run(predictions, "-r", cohort, "--protocol", "kits23", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert (tmp_path / "out" / "evaluation.csv").is_file()
    assert not (predictions / "evaluation.csv").exists()


def test_json_is_for_machines(predictions, cohort):
    found = json.loads(run(predictions, "-r", cohort, "--json", "--jobs", 1).stdout)
    assert found["failed"] == 0
    assert [row["of"] for row in found["scores"]] == ["mean", "low", "high"]
    assert str(predictions / "evaluation_samples.csv") in found["files"]


def test_several_models_are_compared(predictions, cohort, tmp_path):
    for number in (300, 301, 302):
        predict(tmp_path / "other" / f"case_{number:05d}.nii.gz", two_kidneys())
    out = tmp_path / "out"
    result = run(predictions, tmp_path / "other", "-r", cohort, "-o", out, "--jobs", 1)
    assert result.exit_code == 0
    assert "## Paired tests" in result.output
    assert (out / "ranking.csv").read_text().splitlines()[1].startswith("other,1,")
    assert (out / "model" / "evaluation_samples.csv").is_file()


def test_several_models_need_a_place(predictions, cohort):
    with pytest.raises(EvaluationError, match="say with -o"):
        evaluate([predictions, predictions], Cohort.open(cohort), Serial())


def test_two_models_of_one_name_are_refused(predictions, cohort, tmp_path):
    with pytest.raises(EvaluationError, match="are called model"):
        evaluate([predictions] * 2, Cohort.open(cohort), Serial(), output=tmp_path)


def test_a_run_goes_on_where_it_was(predictions, cohort, monkeypatch):
    from renalseg.evaluation import folder

    evaluate([predictions], Cohort.open(cohort), Serial())
    scored = []
    honest = folder.evaluate_case
    monkeypatch.setattr(
        folder, "evaluate_case", lambda path, *rest: scored.append(path.name) or honest(path, *rest)
    )
    first = (predictions / "evaluation_samples.csv").read_text()
    evaluate([predictions], Cohort.open(cohort), Serial())
    assert scored == []
    assert (predictions / "evaluation_samples.csv").read_text() == first
    predict(predictions / "case_00301.nii.gz", two_kidneys())
    evaluate([predictions], Cohort.open(cohort), Serial())
    assert scored == ["case_00301.nii.gz"]


def test_a_kept_result_that_is_damaged_is_made_anew(predictions, cohort):
    evaluate([predictions], Cohort.open(cohort), Serial())
    for kept in predictions.glob("evaluation_cases/kits21/*.json"):
        kept.write_text(kept.read_text()[:100])
    assert len(evaluate([predictions], Cohort.open(cohort), Serial()).results["model"]) == 3


def test_a_bad_prediction_does_not_stop_the_others(predictions, cohort):
    (predictions / "case_00300.nii.gz").write_bytes(b"\x1f\x8bno image")
    result = run(predictions, "-r", cohort, "--jobs", 1)
    assert result.exit_code == 1
    assert "case_00300.nii.gz: not a whole NIfTI image" in result.output
    assert "1 of 3 predictions could not be scored" in result.output
    assert sorted(read_scores(predictions / "evaluation_samples.csv")) == [
        "case_00301",
        "case_00302",
    ]


def test_other_shapes_are_named(predictions, cohort):
    predict(predictions / "case_00300.nii.gz", two_kidneys()[1:])
    line = problem(predictions, cohort)
    assert "case_00300.nii.gz: shape 15 x 40 x 40" in line
    assert "its reference has 16 x 40 x 40" in line


def test_other_spacings_are_named(predictions, cohort):
    affine = IPL.copy()
    affine[2, 0] = -2.5
    predict(predictions / "case_00300.nii.gz", two_kidneys(), affine)
    assert "spacing 2.5 x 0.7 x 0.8 mm, its reference has 3 x 0.7 x 0.8 mm" in problem(
        predictions, cohort
    )


def test_other_orientations_are_named(predictions, cohort):
    image = nib.Nifti1Image(two_kidneys(), IPL)
    nib.save(nib.as_closest_canonical(image), predictions / "case_00300.nii.gz")
    assert "orientation R-A-S, its reference has I-P-L" in problem(predictions, cohort)


def test_other_places_are_named(predictions, cohort):
    affine = IPL.copy()
    affine[0, 3] = 12
    predict(predictions / "case_00300.nii.gz", two_kidneys(), affine)
    assert "(first voxel at 12, 0, 0 mm" in problem(predictions, cohort)


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ((0,), "head and feet are exchanged"),
        ((1,), "front and back are exchanged"),
        ((2,), "left and right are exchanged"),
        ((0, 2), "head and feet, left and right are exchanged"),
    ],
)
def test_flipped_voxels_are_found_and_not_scored(predictions, cohort, axes, said):
    predict(predictions / "case_00300.nii.gz", np.flip(two_kidneys(1), axes))
    line = problem(predictions, cohort)
    assert "case_00300.nii.gz: flipped: " + said in line


def test_transposed_voxels_are_found(predictions, cohort):
    predict(predictions / "case_00300.nii.gz", two_kidneys(1).swapaxes(1, 2))
    assert "rows and columns are exchanged" in problem(predictions, cohort)


def test_a_poor_prediction_is_scored_all_the_same(predictions, cohort):
    labels = two_kidneys()
    labels[:, :, 20:] = 0
    labels[14:, 30:, 10:12] = 1
    predict(predictions / "case_00300.nii.gz", labels)
    assert len(evaluate([predictions], Cohort.open(cohort), Serial()).results["model"]) == 3


def test_other_labels_are_named(predictions, cohort):
    predict(predictions / "case_00300.nii.gz", two_kidneys() * 2)
    assert "case_00300.nii.gz: expected labels 0 to 3, got 0 to 6" in problem(predictions, cohort)


def test_a_missing_reference_is_named(predictions, cohort):
    (cohort / "case_00301" / "segmentation.nii.gz").unlink()
    (cohort / "case_00301" / "imaging.nii.gz").touch()
    assert "no annotations, no segmentation.nii.gz" in problem(predictions, cohort)


def test_a_prediction_without_a_case_is_named(predictions, cohort):
    predict(predictions / "case_00007.nii.gz", two_kidneys())
    assert "no case case_00007 in" in problem(predictions, cohort)


def test_a_folder_without_predictions_is_refused(tmp_path, cohort):
    for folder, message in ((tmp_path, "no predictions"), (tmp_path / "x", "no such folder")):
        with pytest.raises(EvaluationError, match=message):
            evaluate([folder], Cohort.open(cohort), Serial())


def test_nothing_that_stands_is_lost_where_nothing_can_be_scored(predictions, cohort):
    evaluate([predictions], Cohort.open(cohort), Serial())
    before = (predictions / "evaluation_samples.csv").read_text()
    for file in predictions.glob("*.nii.gz"):
        file.write_bytes(b"none")
    with pytest.raises(EvaluationError, match="none of its predictions"):
        evaluate([predictions], Cohort.open(cohort), Serial())
    assert (predictions / "evaluation_samples.csv").read_text() == before


def test_annotators_stand_beside_the_model(tmp_path):
    make_case(tmp_path / "data" / "case_00023", Layout.KITS21)
    case = Cohort.open(tmp_path / "data").cases[0]
    aggregate(case).save(tmp_path / "case_00023.nii.gz")
    found = evaluate([tmp_path], Cohort.open(tmp_path / "data"), Serial(), output=tmp_path / "out")
    raters = found.results[tmp_path.name]["case_00023"].raters
    assert 0 < raters.kidney_and_mass.dice < 1
    assert "annotators" in found.summary.to_markdown()


def test_sampled_files_of_other_annotations_are_refused(tmp_path):
    make_case(tmp_path / "case_00023", Layout.KITS21)
    case = Cohort.open(tmp_path).cases[0]
    write_plausible_maps(case)
    (old,) = list(case.samples_folder.glob("group_0/*.nii.gz"))[:1]
    old.rename(old.with_name("kidney_i1a1_i2a9_cyst_i1a1_tumor_i1a1.nii.gz"))
    with pytest.raises(CohortError, match="not a plausible map of these annotations"):
        references(case)


def test_sampled_files_that_stand_are_what_counts(tmp_path):
    make_case(tmp_path / "data" / "case_00023", Layout.KITS21)
    case = Cohort.open(tmp_path / "data").cases[0]
    prediction = plausible_maps(case)[0].read()
    (tmp_path / "model").mkdir()
    prediction.save(tmp_path / "model" / "case_00023.nii.gz")
    for path in write_plausible_maps(case):
        prediction.save(path)
    found = evaluate([tmp_path / "model"], Cohort.open(tmp_path / "data"), Serial())
    assert found.results["model"]["case_00023"].score.tumor.dice == 1


def test_disagreement_command_writes_scores_and_tolerances(tmp_path):
    for number in (3, 4):
        make_case(tmp_path / "data" / f"case_{number:05d}", Layout.KITS21)
    make_case(tmp_path / "data" / "case_00005", Layout.KITS21, annotators=1)
    arguments = ["data", "disagreement", tmp_path / "data", "-o", tmp_path / "out", "--jobs", 1]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 1
    assert "one annotation of each instance; disagreement needs two" in result.output
    assert sorted(read_scores(tmp_path / "out" / "inter_rater_disagreement.csv")) == [
        "case_00003",
        "case_00004",
    ]
    tolerances = json.loads((tmp_path / "out" / "tolerances.json").read_text())
    by_case = tolerances["cases"]
    for hec, mean in tolerances["tolerances_mm"].items():
        assert mean == pytest.approx((by_case["case_00003"][hec] + by_case["case_00004"][hec]) / 2)
