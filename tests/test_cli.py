import json
import subprocess
import sys

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from models import write_model
from renalseg.cli.main import app
from renalseg.errors import RenalsegError

IPL = np.array([[0, 0, -3.0, 60], [0, -3.0, 0, 50], [-4.0, 0, 0, 40], [0, 0, 0, 1.0]])


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_scan(path, affine=IPL):
    array = np.random.RandomState(0).normal(40, 150, (12, 20, 22)).astype(np.int16)
    array[0] = -1000
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "model")


def test_help_loads_nothing_heavy():
    code = (
        "import sys, renalseg.cli.main;"
        "heavy = ('torch', 'numpy', 'SimpleITK', 'matplotlib', 'nnunetv2');"
        "print([name for name in heavy if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command", ["demo", "predict", "evaluate", "postprocess", "data check", "experiment run"]
)
def test_every_command_explains_itself(command):
    result = invoke(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_predict_writes_a_mask_on_the_scans_grid_and_keeps_it(tmp_path, model):
    scan, mask = tmp_path / "scan.nii.gz", tmp_path / "out" / "mask.nii.gz"
    write_scan(scan)
    assert invoke("predict", scan, "-o", mask, "-m", model, "--device", "cpu").exit_code == 0
    assert nibabel.load(mask).shape == (12, 20, 22)
    assert np.allclose(nibabel.load(mask).affine, IPL)
    before = mask.stat().st_mtime_ns
    result = invoke("predict", scan, "-o", mask, "-m", model, "--device", "cpu")
    assert result.exit_code == 0
    assert mask.stat().st_mtime_ns == before


def test_predict_goes_on_after_a_bad_scan_and_fails_at_the_end(tmp_path, model):
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "a.nii.gz").write_bytes(b"not an image")
    write_scan(scans / "b.nii.gz")
    result = invoke("predict", scans, "-o", tmp_path / "masks", "-m", model, "--json")
    assert result.exit_code == 1
    listed = json.loads(result.stdout)
    assert [one["mask"] is None for one in listed] == [True, False]
    assert "a.nii.gz" in listed[0]["problem"]
    assert listed[1]["volumes_ml"].keys() == {"kidney", "tumor", "cyst"}
    assert {p.name for p in (tmp_path / "masks").iterdir()} == {"b.json", "b.nii.gz"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "nowhere.nii.gz", "-o", "x", "-m", "y"], "no such file or folder"),
        (["experiment", "run", "nowhere.yaml", "--dry-run"], "cannot be read"),
        (["models", "info", "."], "expected a renalseg ensemble"),
        (["evaluate", ".", "-r", "."], "no predictions"),
    ],
)
def test_what_the_user_can_mend_is_one_line(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert isinstance(result.exception, RenalsegError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_postprocess_works_on_a_label_map_of_any_storage(tmp_path):
    labels = np.zeros((14, 14, 14), np.uint8)
    labels[2:5, 2:5, 2:5] = 1
    labels[10:12, 10:12, 10:12] = 2
    source, target = tmp_path / "in.nii.gz", tmp_path / "out.nii.gz"
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([2.0, 2, 2, 1])), source)
    result = invoke("postprocess", source, target)
    assert result.exit_code == 0
    assert "8 voxels changed" in result.output
    cleaned = nibabel.load(target)
    assert np.array_equal(np.asarray(cleaned.dataobj), np.where(labels == 1, 1, 0))
    assert np.allclose(cleaned.affine, np.diag([2.0, 2, 2, 1]))


def test_dry_run_prints_the_papers_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("RENALSEG_MODELS", str(tmp_path / "models"))  # nothing is installed
    cohort = tmp_path / "cohort"
    assert invoke("data", "phantom", cohort, "--cases", "10", "--headers-only").exit_code == 0
    result = invoke("experiment", "run", "paper.yaml", "-c", cohort, "--dry-run")
    assert result.exit_code == 0
    for text in (
        "10 cases",
        "8/2",
        "patch 128 x 128 x 128",
        "1000 x 250 iterations",
        "5 down-samplings",
        "clip [-62.0, 310.0] HU",
        "0.78 x 0.78 x 0.78 mm",
        "1.99 x 1.99 x 1.99 mm",
        "image loss (beta 10, lambda 1)",
        "volume loss (beta 5, lambda 1)",
        "averaged by softmax",
        "baseline-2d 2d fold 4; 8/2 cases; annotations majority; 0.78 x 0.78 mm, patch 512 x 512",
    ):
        assert text in result.output
    as_json = invoke("experiment", "run", "paper.yaml", "-c", cohort, "--dry-run", "--json")
    assert len(json.loads(as_json.stdout)["runs"]) == 52


def test_models_info_names_the_members(model):
    result = invoke("models", "info", model)
    assert result.exit_code == 0
    assert "folds 0, 1" in result.output
