"""The model that comes with renalseg: it is whole, says what it is, and finds kidneys unasked."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import cc3d
import nibabel
import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

import renalseg
from renalseg.cli.main import app
from renalseg.cohort.phantom.torso import TorsoConfig, make_torso
from renalseg.errors import ModelError
from renalseg.models import default_model as module
from renalseg.models.default_model import default_model
from renalseg.models.ensemble import Ensemble
from renalseg.models.verify import verify_model
from renalseg.pipeline import Segmenter
from renalseg.volume import Volume, read_image

ROOT = Path(__file__).parents[1]
EASY = TorsoConfig(
    seed=99,
    spacing_mm=(4.0, 4.0, 4.0),
    shape=(64, 64, 80),
    leave_out=frozenset({"artefacts", "variants", "findings"}),
)


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def torso():
    """A patient in the arterial phase."""
    return make_torso(EASY, 5)


@pytest.fixture(scope="module")
def scan(torso, tmp_path_factory):
    """The patient as a file stored as KiTS stores them; other files may stand beside it."""
    path = tmp_path_factory.mktemp("scan") / "patient.nii.gz"
    affine = np.array([[0, 0, -4.0, 0], [0, -4.0, 0, 0], [-4.0, 0, 0, 0], [0, 0, 0, 1.0]])
    Volume(torso.image, affine).save(path)
    return path


@pytest.fixture(scope="module")
def predicted(scan):
    """What the command without an option but the quickest profile leaves beside the scan."""
    result = invoke("predict", scan, "--profile", "fast", "--device", "cpu")
    assert result.exit_code == 0, result.output
    return result


def test_it_is_an_ensemble_of_two_resolutions():
    ensemble = Ensemble.open(Path("default"))
    assert ensemble.folder == default_model()
    assert [member.name for member in ensemble.manifest.members] == ["whole", "close"]


@pytest.mark.parametrize("name", ["whole", "close"])
def test_its_weights_are_in_half_precision_and_compute(name):
    folder = default_model() / name
    checkpoint = torch.load(folder / "fold_0" / "checkpoint_final.pth", weights_only=True)
    assert {tensor.dtype for tensor in checkpoint["network_weights"].values()} == {torch.float16}
    assert checkpoint["trainer_name"] == "nnUNetTrainer"
    assert verify_model(folder) == 1


def test_nnunet_itself_runs_a_member():
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        use_mirroring=False, perform_everything_on_device=False, device=torch.device("cpu")
    )
    predictor.initialize_from_trained_model_folder(str(default_model() / "whole"), (0,))
    torso = make_torso(EASY, 3)
    image = np.ascontiguousarray(torso.image[None].transpose(0, 3, 2, 1), np.float32)
    found = predictor.predict_single_npy_array(image, {"spacing": [4.0, 4.0, 4.0]})
    found = found.transpose(2, 1, 0) > 0
    assert dice(found, torso.labels > 0) > 0.8


def test_its_card_and_licence_lie_beside_it():
    about = Ensemble.open(default_model()).manifest.about
    assert about.licence == "CC BY-NC-SA 4.0"
    assert about.licence in (default_model() / "LICENSE").read_text()
    card = (default_model() / "MODEL_CARD.md").read_text()
    assert "not a medical device" in card.lower()
    assert about.licence in card


def test_an_installation_without_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "__file__", str(tmp_path / "default_model.py"))
    with pytest.raises(ModelError, match="comes with renalseg is missing"):
        Segmenter.load()


@pytest.mark.slow
def test_a_wheel_holds_it_and_stays_small(tmp_path):
    pytest.importorskip("hatchling", reason="the extra test installs it")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 20e6
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [path for path in default_model().rglob("*") if path.is_file()]
    assert {
        f"renalseg/models/default/{p.relative_to(default_model()).as_posix()}" for p in files
    } <= names
    assert any(name.endswith("licenses/src/renalseg/models/default/LICENSE") for name in names)


def test_predict_needs_a_scan_alone(predicted, scan, torso):
    mask = nibabel.load(scan.with_name("patient_mask.nii.gz"))
    assert np.allclose(mask.affine, nibabel.load(scan).affine)
    assert dice(np.asarray(mask.dataobj) > 0, torso.labels > 0) > 0.8
    assert "model default 1, CC BY-NC-SA 4.0" in predicted.output


def test_a_mask_beside_the_scan_is_kept(predicted, scan):
    mask = scan.with_name("patient_mask.nii.gz")
    before = mask.read_bytes(), mask.stat().st_mtime_ns
    result = invoke("predict", scan)
    assert result.exit_code == 0
    assert "already there" in result.output
    assert (mask.read_bytes(), mask.stat().st_mtime_ns) == before


def test_the_record_names_model_version_and_licence(predicted, scan):
    record = json.loads(scan.with_name("patient_mask.json").read_text())
    about = Ensemble.open(default_model()).manifest.about
    kept = ("name", "version", "licence", "notice")
    assert {key: record["model"][key] for key in kept} == about.model_dump(include=set(kept))
    assert "whole/fold_0/checkpoint_final.pth" in record["model"]["files"]


def test_scans_in_a_folder_need_a_place_for_their_masks(tmp_path, scan):
    (tmp_path / "patient.nii.gz").symlink_to(scan)
    result = invoke("predict", tmp_path)
    assert isinstance(result.exception, renalseg.errors.RenalsegError)
    assert "give a folder for their results with -o" in str(result.exception)


def test_it_finds_with_one_network_and_segments_with_the_other():
    fitted = {}
    for profile in ("exact", "balanced", "fast"):
        segmenter = renalseg.load(profile=profile, device="cpu")
        assert [member.name for member in segmenter.members if member.finds] == ["whole"]
        assert [member.name for member in segmenter.members if not member.finds] == ["close"]
        fitted[profile] = segmenter.how.fitted
    assert fitted == {"exact": False, "balanced": True, "fast": True}
    assert not renalseg.load(roi="off", device="cpu").how.fitted


@pytest.mark.parametrize(
    ("command", "parameter"),
    [
        ("predict", "model"),
        ("serve", "model"),
        ("pacs listen", "model"),
        ("export", "model"),
        ("models info", "folder"),
    ],
)
def test_commands_take_it_where_no_model_is_named(command, parameter):
    found = typer.main.get_command(app)
    for name in command.split():
        found = found.commands[name]
    (default,) = (one.default for one in found.params if one.name == parameter)
    assert Path(default) == Path("default")


def test_models_info_and_list_know_it():
    said = invoke("models", "info").output
    assert said.startswith("default, version 1\nlicence of the weights: CC BY-NC-SA 4.0\n")
    assert "MODEL_CARD.md" in said
    listed = json.loads(invoke("models", "list", "--json").output)
    assert listed["default"]["licence"] == "CC BY-NC-SA 4.0"
    assert invoke("models", "list").output.startswith("default (comes with renalseg)\n")


def test_both_kidneys_of_a_real_scan_are_found_and_nothing_else(real_data):
    """No voxel of this scan was trained on; it has no contrast agent and pixels of 3 mm."""
    path = real_data / "ct" / "abdomen_3mm.nii.gz"
    if not path.is_file():
        pytest.skip(f"no {path.name} in RENALSEG_REAL_DATA")
    found = renalseg.load(device="cpu").predict(read_image(path))
    labels = found.labels
    parts = cc3d.statistics(cc3d.connected_components(labels.array > 0))
    ml = parts["voxel_counts"][1:] * float(np.prod(labels.spacing_mm)) / 1000
    middles = parts["centroids"][1:, 2]
    large = ml > 100
    assert np.count_nonzero(large) == 2
    assert middles[large].min() < labels.shape[2] / 2 < middles[large].max()
    assert (ml[~large] <= 2).all()
    assert [warning.code for warning in found.warnings] == ["non-contrast"]


def dice(found, expected):
    return 2 * np.count_nonzero(found & expected) / (found.sum() + expected.sum())
