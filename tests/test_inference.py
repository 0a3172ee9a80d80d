"""Our predictions against nnU-Net's own command on files stored I-P-L."""

import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from models import write_model
from renalseg.errors import ModelError
from renalseg.inference.ensemble import LoadedMember, combine, predict_sets, to_labels
from renalseg.inference.scan import Scan
from renalseg.models.plans import CASCADE, LOWRES
from renalseg.pipeline import Segmenter
from renalseg.volume import Volume, read_image

IPL = np.array([[0, 0, -2.5, 60], [0, -2.5, 0, 50], [-3.5, 0, 0, 40], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def scan_file(tmp_path_factory):
    random = np.random.RandomState(0)
    array = random.normal(60, 120, size=(22, 34, 38)).astype(np.int16)
    array[5:15, 8:20, 10:25] += 150
    array[0] = -1000
    folder = tmp_path_factory.mktemp("scans")
    nibabel.save(nibabel.Nifti1Image(array, IPL), folder / "scan_0000.nii.gz")
    return folder / "scan_0000.nii.gz"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        "one": write_model(root / "one", mirror=(0, 1, 2)),
        "two": write_model(root / "two", folds=(2,)),
        "low": write_model(root / "low", LOWRES),
        "high": write_model(root / "high", CASCADE),
    }


def nnunet_predict(model: Path, scans: Path, output: Path, *options: str) -> np.ndarray:
    command = [
        Path(sys.executable).parent / "nnUNetv2_predict_from_modelfolder",
        *("-i", scans, "-o", output, "-m", model, "-device", "cpu", "-npp", "1", "-nps", "1"),
        *options,
    ]
    subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, "nnUNet_compile": "f"}
    )
    return np.asarray(nibabel.load(output / "scan.nii.gz").dataobj)


def agreement(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The lowest Dice of any class that either of them has."""
    classes = set(np.unique(ours)) | set(np.unique(theirs))
    assert len(classes) > 1
    return min(
        2 * np.sum((ours == c) & (theirs == c)) / (np.sum(ours == c) + np.sum(theirs == c))
        for c in classes
    )


@pytest.mark.slow
def test_single_model_agrees_with_nnunet_with_mirroring_and_folds(tmp_path, models, scan_file):
    theirs = nnunet_predict(models["one"], scan_file.parent, tmp_path, "-f", "0", "1")
    ours = Segmenter.load(models["one"], device="cpu").segment(read_image(scan_file))
    assert agreement(ours.labels.array, theirs) >= 0.999


@pytest.mark.slow
def test_cascade_agrees_with_nnunet(tmp_path, models, scan_file):
    nnunet_predict(models["low"], scan_file.parent, tmp_path / "low", "-f", "0", "1")
    theirs = nnunet_predict(
        models["high"],
        scan_file.parent,
        tmp_path / "high",
        "-f",
        "0",
        "1",
        "-prev_stage_predictions",
        str(tmp_path / "low"),
    )
    member = LoadedMember.load("cascade", [models["low"], models["high"]], [0, 1])
    ours = to_labels(member.probabilities(Scan(read_image(scan_file))))
    assert agreement(ours, theirs) >= 0.999


def test_every_storage_orientation_gives_the_same_mask(models, scan_file, tmp_path):
    volume = read_image(scan_file)
    segmenter = Segmenter.load(models["two"], device="cpu")
    expected = segmenter.segment(volume).labels
    image = nibabel.load(scan_file)
    for codes in ("RAS", "LPS", "SAR"):
        turn = nibabel.orientations.ornt_transform(
            nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(codes)
        )
        nibabel.save(image.as_reoriented(turn), tmp_path / "turned.nii.gz")
        found = segmenter.segment(read_image(tmp_path / "turned.nii.gz")).labels
        assert np.array_equal(found.array, expected.array)
        found.save(tmp_path / "mask.nii.gz")
        mask, turned = (
            nibabel.load(tmp_path / "mask.nii.gz"),
            nibabel.load(tmp_path / "turned.nii.gz"),
        )
        assert mask.shape == turned.shape
        assert np.allclose(mask.affine, turned.affine)


def test_ensemble_is_the_mean_of_its_members_softmax(models, scan_file):
    scan = Scan(read_image(scan_file))
    members = [LoadedMember.load(n, [models[n]], [f]) for n, f in (("one", 0), ("two", 2))]
    mean = combine(members, scan)
    assert mean.shape == (4, 22, 34, 38)
    assert np.allclose(mean.sum(0), 1, atol=1e-4)
    assert np.allclose(mean, sum(m.probabilities(scan) for m in members) / 2, atol=1e-6)
    sets = predict_sets(
        {m.name: m for m in members}, {"one": ["one"], "both": ["one", "two"]}, scan
    )
    assert np.array_equal(sets["both"], to_labels(mean))
    assert np.array_equal(sets["one"], to_labels(members[0].probabilities(scan)))


def test_second_stage_alone_is_refused(models, scan_file):
    with pytest.raises(ModelError, match="second stage of a cascade"):
        Segmenter.load(models["high"], device="cpu").segment(read_image(scan_file))


def test_scan_smaller_than_a_patch_is_segmented(models):
    volume = Volume(np.full((5, 9, 7), 40, np.int16), IPL)
    labels = Segmenter.load(models["two"], device="cpu").segment(volume).labels
    assert labels.array.shape == (5, 9, 7)
