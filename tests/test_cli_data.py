"""``renalseg data``: what it prints, and how it ends."""

import json
import subprocess
import sys
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from kits_cases import SHAPE, make_case, save
from renalseg.cli.main import app
from renalseg.errors import CohortError


@pytest.fixture
def cohort(tmp_path):
    for number in (1, 2, 3):
        make_case(tmp_path / "cohort" / f"case_{number:05d}")
    return tmp_path / "cohort"


@pytest.fixture
def broken(cohort):
    """A corrupt scan, a case without annotations, an annotation of another shape; one good case."""
    make_case(cohort / "case_00004")
    scan = cohort / "case_00001" / "imaging.nii.gz"
    scan.write_bytes(scan.read_bytes()[:150])
    for path in (cohort / "case_00002" / "instances").iterdir():
        path.unlink()
    (cohort / "case_00002" / "segmentation.nii.gz").unlink()
    name = "tumor_instance-1_annotation-3.nii.gz"
    save(cohort / "case_00003" / "instances" / name, np.zeros((6, 8, 10), np.uint8))
    return cohort


def run(*words):
    return CliRunner().invoke(app, ["data", *map(str, words)])


def test_check_of_a_good_cohort(cohort):
    result = run("check", cohort)
    assert result.exit_code == 0
    assert result.stdout == "KiTS23: 3 cases, 0 with problems\n"
    assert result.stderr == ""


def test_check_names_each_problem_in_one_line(broken):
    result = run("check", broken)
    assert result.exit_code == 1
    assert result.stdout == "KiTS23: 4 cases, 3 with problems\n"
    lines = result.stderr.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["case_00001", "case_00002", "case_00003"]
    assert "not a whole NIfTI image" in lines[0]
    assert "no annotations" in lines[1]
    assert "shape (6, 8, 10), but imaging.nii.gz has (6, 8, 9)" in lines[2]


def test_check_as_json(broken):
    result = run("check", broken, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["layout"] == "KiTS23"
    assert [len(problems) for problems in found["cases"].values()] == [1, 1, 1, 0]


def test_check_shows_a_warning_as_one_line(cohort):
    ct = np.linspace(0, 4095, int(np.prod(SHAPE)), dtype=np.float32).reshape(SHAPE)
    affine = nib.load(cohort / "case_00002" / "imaging.nii.gz").affine
    save(cohort / "case_00002" / "imaging.nii.gz", ct, affine)
    result = run("check", cohort)
    assert result.exit_code == 0
    (line,) = result.stderr.splitlines()
    assert line.startswith("look: ")
    assert "no voxel below -200 HU" in line


def test_sample_writes_every_map_once(cohort):
    result = run("sample", cohort)
    assert result.exit_code == 0
    assert result.stdout == "3 cases, 45 files written, 0 cases failed\n"
    assert len(list(cohort.glob("case_00002/segmentation_samples/group_*/*.nii.gz"))) == 15
    assert run("sample", cohort).stdout == "3 cases, 0 files written, 0 cases failed\n"


def test_sample_elsewhere_and_only_some(cohort, tmp_path):
    result = run("sample", cohort, "-o", tmp_path / "out", "--cases", "2", "--cases", "case_00003")
    assert result.stdout == "2 cases, 30 files written, 0 cases failed\n"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "case_00002",
        "case_00003",
    ]
    assert not list(cohort.rglob("segmentation_samples"))


@pytest.mark.parametrize("command", ["sample", "aggregate"])
def test_bad_cases_are_named_and_the_rest_is_done(broken, tmp_path, command):
    result = run(command, broken, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "3 cases failed" in result.stdout
    lines = result.stderr.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["case_00001", "case_00002", "case_00003"]
    assert list((tmp_path / "out" / "case_00004").rglob("*.nii.gz"))


@pytest.mark.parametrize("command", ["sample", "aggregate"])
def test_imaging_is_not_needed(cohort, command):
    for path in cohort.glob("*/imaging.nii.gz"):
        path.unlink()
    assert run(command, cohort).exit_code == 0
    assert run("check", cohort).exit_code == 1


@pytest.mark.parametrize(("how", "word"), [("majority", "MAJ"), ("and", "AND"), ("or", "OR")])
def test_aggregate_writes_the_names_of_kits21(cohort, how, word):
    result = run("aggregate", cohort, "--how", how)
    assert result.exit_code == 0
    assert result.stdout == "3 cases, 3 files written, 0 cases failed\n"
    assert len(list(cohort.glob(f"case_*/aggregated_{word}_seg.nii.gz"))) == 3


def test_unknown_aggregation_is_a_usage_error(cohort):
    assert run("aggregate", cohort, "--how", "mean").exit_code == 2


def test_no_cohort_is_left_to_the_main_command(tmp_path):
    result = run("check", tmp_path)
    assert isinstance(result.exception, CohortError)


def test_phantom_asks_for_what_the_user_asks(tmp_path, monkeypatch):
    asked = {}
    fake = SimpleNamespace(
        PhantomConfig=lambda **settings: settings,
        write_phantom_cohort=lambda folder, config, on_case: (
            asked.update(config, folder=folder),
            on_case(2, 2),
        ),
    )
    monkeypatch.setitem(sys.modules, "renalseg.cohort.phantom", fake)
    options = ("--cases", 2, "--seed", 7, "--slice-mm", 2, 3, "--headers-only")
    result = run("phantom", tmp_path, *options)
    assert result.stdout == f"2 cases in {tmp_path}\n"
    assert asked == {
        "folder": tmp_path,
        "cases": 2,
        "seed": 7,
        "anatomy": None,
        "in_plane_mm": (0.6, 0.95),
        "slice_mm": (2.0, 3.0),
        "headers_only": True,
    }


def test_import_is_light():
    code = (
        "import sys, renalseg.cli.data; "
        "heavy = {'numpy', 'nibabel', 'SimpleITK', 'torch', 'scipy'} & set(sys.modules); "
        "sys.exit(str(sorted(heavy)) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
