"""Our predictions against nnU-Net's own commands on files stored I-P-L."""

import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from models import TINY_PLAN, write_model
from renalseg.batch import Options
from renalseg.inference.ensemble import run_ensemble
from renalseg.inference.members import LoadedMember
from renalseg.inference.scan import Scan
from renalseg.models.ensemble import write_ensemble
from renalseg.models.plans import CASCADE, LOWRES, PLANAR, Resolution
from renalseg.volume import Volume, read_image

IPL = np.array([[0, 0, -2.5, 60], [0, -2.5, 0, 50], [-3.5, 0, 0, 40], [0, 0, 0, 1.0]])

#: The paper's six stages, narrow, at a voxel size for a scan of 3 mm.
SIX_STAGES = TINY_PLAN.model_copy(
    update={
        "fullres": Resolution(spacing_mm=(2.6, 2.6, 2.6), patch_size=(64, 64, 64)),
        "features": (4, 8, 8, 8, 8, 8),
    }
)


@pytest.fixture(scope="module")
def scan_file(tmp_path_factory):
    """Noise smooth enough that a network's classes form regions."""
    from scipy.ndimage import gaussian_filter

    random = np.random.RandomState(0)
    array = gaussian_filter(random.normal(0, 1, size=(30, 44, 48)), 2) * 2500 + 60
    array[0] = -1000
    folder = tmp_path_factory.mktemp("scans")
    image = nibabel.Nifti1Image(array.astype(np.int16), IPL)
    nibabel.save(image, folder / "scan_0000.nii.gz")
    return folder / "scan_0000.nii.gz"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        "one": write_model(root / "one", mirror=(0, 1, 2)),
        "low": write_model(root / "low", LOWRES),
        "high": write_model(root / "high", CASCADE),
        "planar": write_model(root / "planar", PLANAR, folds=(0,), mirror=(0, 1)),
    }


def nnunet(command: str, *arguments: object) -> None:
    """Run one of nnU-Net's commands."""
    program = Path(sys.executable).parent / command
    env = {**os.environ, "nnUNet_compile": "f"}
    subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, env=env)


def nnunet_predict(model: Path, scans: Path, output: Path, *options: object) -> np.ndarray:
    inputs = ("-i", scans, "-o", output, "-m", model)
    workers = ("-device", "cpu", "-npp", 1, "-nps", 1)
    nnunet("nnUNetv2_predict_from_modelfolder", *inputs, *workers, *options)
    return np.asarray(nibabel.load(output / "scan.nii.gz").dataobj)


def exact(model: Path) -> Options:
    return Options(model, device="cpu", profile="exact", roi="off", clean=False)


def assert_agrees(ours: np.ndarray, theirs: np.ndarray) -> None:
    """99.95 % of the voxels, and a Dice of 0.999 in every class that either of them has."""
    classes = set(np.unique(ours)) | set(np.unique(theirs))
    assert len(classes) > 1
    dice = {
        c: 2 * np.sum((ours == c) & (theirs == c)) / (np.sum(ours == c) + np.sum(theirs == c))
        for c in classes
    }
    assert (ours == theirs).mean() >= 0.9995
    assert min(dice.values()) >= 0.999, dice


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "folds"), [pytest.param("one", (0, 1), marks=pytest.mark.soak), ("planar", (0,))]
)
def test_single_model_with_folds_and_mirrored_copies(tmp_path, models, scan_file, name, folds):
    theirs = nnunet_predict(models[name], scan_file.parent, tmp_path, "-f", *folds)
    ours = exact(models[name]).load().predict(scan_file)
    assert_agrees(ours.labels.array, theirs)


@pytest.mark.slow
def test_cascade(tmp_path, models, scan_file):
    nnunet_predict(models["low"], scan_file.parent, tmp_path / "low", "-f", 0, 1)
    first_stage = ("-prev_stage_predictions", tmp_path / "low")
    scans = scan_file.parent
    theirs = nnunet_predict(models["high"], scans, tmp_path / "high", "-f", 0, 1, *first_stage)
    member = LoadedMember.load("cascade", [models["low"], models["high"]], [0, 1])
    found = run_ensemble([member], Scan(read_image(scan_file)), {"all": ["cascade"]})
    assert_agrees(found.labels["all"], theirs)


@pytest.mark.slow
@pytest.mark.soak
def test_ensemble_of_two_models_on_different_grids(tmp_path, models, scan_file):
    for name in ("one", "low"):
        options = ("-f", 0, 1, "--save_probabilities")
        nnunet_predict(models[name], scan_file.parent, tmp_path / name, *options)
    both = ("-i", tmp_path / "one", tmp_path / "low", "-o", tmp_path / "both", "-np", 1)
    nnunet("nnUNetv2_ensemble", *both)
    theirs = np.asarray(nibabel.load(tmp_path / "both" / "scan.nii.gz").dataobj)
    members = {"one": [models["one"]], "low": [models["low"]]}
    write_ensemble(tmp_path / "ensemble", members, [0, 1])
    ours = exact(tmp_path / "ensemble").load().predict(scan_file)
    assert_agrees(ours.labels.array, theirs)


@pytest.mark.slow
def test_six_stages_on_a_real_ct(tmp_path, real_data):
    """The real scan is brought to I-P-L storage, as nnU-Net does not look at orientation."""
    scan = read_image(real_data / "ct" / "abdomen_3mm.nii.gz")
    (tmp_path / "scans").mkdir()
    path = tmp_path / "scans" / "scan_0000.nii.gz"
    Volume(scan.array, scan.affine).save(path)
    model = write_model(tmp_path / "model", plan=SIX_STAGES)
    theirs = nnunet_predict(model, path.parent, tmp_path / "masks", "-f", 0, 1)
    ours = exact(model).load().predict(path)
    assert_agrees(ours.labels.array, theirs)
