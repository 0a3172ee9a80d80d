"""What is averaged over tiles, mirrored copies and folds: logits as nnU-Net v2, softmax as v1."""

import json
from itertools import combinations

import numpy as np
import pytest
import torch

import renalseg
from models import TINY_PLAN, write_model
from renalseg.errors import ModelError
from renalseg.inference.export_description import describe_ensemble
from renalseg.inference.members import LoadedMember
from renalseg.inference.network import How
from renalseg.inference.scan import Scan
from renalseg.models.ensemble import Ensemble, write_ensemble
from renalseg.models.loading import load_networks
from renalseg.models.plans import CASCADE, FULLRES, LOWRES, PLANAR
from renalseg.volume import Volume

#: Voxels of 3 mm stored I-P-L: the grid of the tiny plan's networks.
AFFINE = np.array([[0, 0, -3.0, 60], [0, -3.0, 0, 50], [-3.0, 0, 0, 40], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def volume():
    """As large as one patch, so that there is one tile and nothing is resampled."""
    array = np.random.RandomState(0).normal(100, 120, size=(16, 16, 16)).astype(np.int16)
    return Volume(array, AFFINE)


@pytest.fixture(scope="module", params=[FULLRES, PLANAR])
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "m"
    mirror = (0, 1, 2) if request.param == FULLRES else (0, 1)
    return write_model(folder, request.param, folds=(0, 1, 2), mirror=mirror)


def copies(network, patch, axes):
    """What a network puts out for a patch and its mirrored copies, each turned back."""
    every = [c for n in range(len(axes) + 1) for c in combinations(axes, n)]
    with torch.no_grad():
        for flipped in ([axis + 2 for axis in copy] for copy in every):
            yield network(patch.flip(flipped)).flip(flipped)


def expected(folder, volume, average):
    """Own average over copies and folds, (class, slice, row, column)."""
    loaded = load_networks(folder, (0, 1, 2))
    intensity = TINY_PLAN.intensity
    image = np.clip(volume.array.astype(np.float32), *intensity.clip_hu)
    image = torch.from_numpy((image - intensity.mean_hu) / intensity.std_hu)
    is_planar = len(loaded.settings.patch_size) == 2
    patch = image[:, None] if is_planar else image[None, None]
    outputs = [o for n in loaded.networks for o in copies(n, patch, loaded.mirror_axes)]
    assert len(outputs) == 3 * (4 if is_planar else 8)
    scores = torch.stack([o.softmax(1) if average == "softmax" else o for o in outputs]).mean(0)
    scores = scores if average == "softmax" else scores.softmax(1)
    return (scores.transpose(0, 1) if is_planar else scores[0]).numpy()


def scores(folder, volume, **how):
    member = LoadedMember.load("m", [folder], (0, 1, 2), How(**how))
    scan = Scan(volume)
    rows = member.networks[0].probability_rows(scan, scan.whole)
    return np.stack([row.numpy() for row in rows], 1)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
@pytest.mark.parametrize("average", ["softmax", "logits"])
def test_copies_and_folds_are_averaged_as_is_said(model, volume, backend, average):
    found = scores(model, volume, backend=backend, average=average, like_nnunet=False)
    assert np.allclose(found, expected(model, volume, average), atol=2e-4)


def test_the_two_averages_differ(model, volume):
    both = [expected(model, volume, average) for average in ("softmax", "logits")]
    assert np.abs(both[0] - both[1]).max() > 1e-2
    assert (both[0].argmax(0) != both[1].argmax(0)).any()


def test_softmax_is_rounded_nowhere(model, volume):
    """v1 adds up in single precision; half precision is v2's."""
    plain, exact = (
        scores(model, volume, backend="torch", average="softmax", like_nnunet=like)
        for like in (False, True)
    )
    assert np.array_equal(plain, exact)


def test_scores_add_up_to_one_on_another_grid(model):
    """The way back to the scan's grid is linear, and needs no softmax of its own."""
    array = np.random.RandomState(1).normal(100, 120, size=(11, 30, 26)).astype(np.int16)
    volume = Volume(array, AFFINE @ np.diag([1.9, 0.7, 0.6, 1]))
    found = scores(model, volume, backend="torch", average="softmax", mirror=False)
    assert found.shape[1:] == array.shape
    assert np.allclose(found.sum(0), 1, atol=1e-4)


@pytest.mark.parametrize("profile", ["exact", "balanced", "fast"])
def test_every_profile_does_what_the_manifest_says(tmp_path, model, volume, profile):
    """And the record of the mask names it."""
    for average in ("softmax", "logits"):
        members = {"one": [model], "two": [model]}
        folder = write_ensemble(tmp_path / average, members, (0, 1, 2), fold_average=average).folder
        segmenter = renalseg.load(folder, device="cpu", profile=profile)
        networks = [network for member in segmenter.members for network in member.networks]
        assert {network.forward.average for network in networks} == {average}
        found = segmenter.predict(volume, uncertainty=True)
        assert found.provenance.settings["fold_average"] == average


def test_exact_is_the_own_average(tmp_path, model, volume):
    folder = write_ensemble(tmp_path / "e", {"m": [model]}, (0, 1, 2), fold_average="softmax")
    for only in (folder, folder.only("m")):
        assert only.manifest.fold_average == "softmax"
    segmenter = renalseg.load(tmp_path / "e", device="cpu", backend="torch", profile="exact")
    wanted = expected(model, volume, "softmax").argmax(0)
    found = segmenter.predict(volume, uncertainty=True)
    assert np.array_equal(found.members[0], wanted)


def test_an_older_manifest_means_logits(tmp_path, model):
    write_ensemble(tmp_path / "e", {"m": [model]}, (0,), fold_average="softmax")
    path = tmp_path / "e" / "ensemble.json"
    content = json.loads(path.read_text())
    assert content.pop("fold_average") == "softmax"
    path.write_text(json.dumps(content))
    assert Ensemble.open(tmp_path / "e").manifest.fold_average == "logits"
    assert Ensemble.open("default").manifest.fold_average == "logits"


def test_another_average_is_refused(tmp_path, model):
    write_ensemble(tmp_path / "e", {"m": [model]}, (0,))
    path = tmp_path / "e" / "ensemble.json"
    path.write_text(path.read_text().replace('"logits"', '"median"'))
    with pytest.raises(ModelError, match=r"not a manifest .*'softmax' or 'logits'"):
        Ensemble.open(tmp_path / "e")


def test_a_bare_folder_is_averaged_as_by_who_trained_it(tmp_path):
    folder = write_model(tmp_path / "m")
    assert Ensemble.open(folder).manifest.fold_average == "logits"
    plans = json.loads((folder / "plans.json").read_text())
    plans["experiment_planner_used"] = "nnU-Net v1"  # as the conversion writes
    (folder / "plans.json").write_text(json.dumps(plans))
    assert Ensemble.open(folder).manifest.fold_average == "softmax"


def test_an_export_says_which(tmp_path, model):
    for average, said in (
        ("logits", "add up their logits"),
        ("softmax", "take the softmax of each"),
    ):
        ensemble = write_ensemble(tmp_path / average, {"m": [model]}, (0,), fold_average=average)
        described = describe_ensemble(ensemble)
        assert described["fold_average"] == average
        assert said in " ".join(described["steps"])


def test_a_cascade_takes_it_for_both_stages(tmp_path):
    stages = [write_model(tmp_path / "low", LOWRES), write_model(tmp_path / "high", CASCADE)]
    ensemble = write_ensemble(tmp_path / "e", {"c": stages}, (0, 1), fold_average="softmax")
    (member,) = renalseg.load(ensemble.folder, device="cpu").members
    assert [network.forward.average for network in member.networks] == ["softmax"] * 2
