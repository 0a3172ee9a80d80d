"""A model folder is loaded when everything in it agrees, and refused by name when not."""

import json

import pytest
import torch

from models import write_model
from renalseg.errors import ModelError
from renalseg.models.checkpoints import FINAL, load_checkpoint, save_checkpoint
from renalseg.models.ensemble import Ensemble, write_ensemble
from renalseg.models.loading import load_networks, load_stages
from renalseg.models.plans import CASCADE, LOWRES


def edit(path, *steps, value):
    content = json.loads(path.read_text())
    place = content
    for step in steps[:-1]:
        place = place[step]
    place[steps[-1]] = value
    path.write_text(json.dumps(content))


def test_every_fold_has_the_weights_of_its_checkpoint(tmp_path):
    model = load_networks(write_model(tmp_path / "m", mirror=(0, 2)), [0, 1])
    assert (model.configuration, model.mirror_axes) == ("3d_fullres", (0, 2))
    assert (model.channels, model.inputs, model.classes) == (1, 1, 4)
    for fold, network in enumerate(model.networks):
        saved = load_checkpoint(tmp_path / "m" / f"fold_{fold}" / FINAL)["network_weights"]
        assert not network.training
        assert all(torch.equal(saved[name], own) for name, own in network.state_dict().items())


def test_stages_of_a_cascade_stand_in_their_order(tmp_path):
    low, high = write_model(tmp_path / "l", LOWRES), write_model(tmp_path / "h", CASCADE)
    assert [stage.inputs for stage in load_stages([low, high], [0])] == [1, 4]
    with pytest.raises(ModelError, match="second stage of a cascade; give the ensemble"):
        load_stages([high], [0])
    with pytest.raises(ModelError, match="expected the second stage of a cascade, got 3d_lowres"):
        load_stages([low, low], [0])


@pytest.mark.parametrize(
    ("steps", "value", "match"),
    [
        (("spacing",), [3.0, 0.0, 3.0], r"spacing\.1: .* greater than or equal to 0\.05, got 0\.0"),
        (("patch_size",), [16, 16, 18], "is not divided by the strides"),
        (("patch_size",), [4096, 4096, 4096], "feature maps of more than"),
        (("patch_size",), [16, 16], "spacing and patch_size must have the same axes"),
        (("inherits_from",), "3d_fullres", "'3d_fullres' inherits from itself"),
        (("normalization_schemes",), ["Mine"], r"normalization_schemes\.0: .*'CTNormalization'"),
        (("resampling_fn_data",), "os.system", r"resampling_fn_data: .*resample_data_or_seg"),
        (("resampling_fn_data_kwargs", "is_seg"), True, "is_seg of .* must be False here"),
        (("architecture", "arch_kwargs", "n_stages"), 10**9, r"n_stages: .* less than or equal"),
        (
            ("architecture", "arch_kwargs", "features_per_stage"),
            [4, 8, 16],
            r"fold_0.checkpoint_final\.pth: does not fit plans\.json \(encoder\.stages\.2.* is "
            r"float32 \[8, 8, 3, 3, 3\], expected float32 \[16, 8, 3, 3, 3\]; .* and \d+ more\)",
        ),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_by_name(tmp_path, steps, value, match):
    folder = write_model(tmp_path / "m")
    edit(folder / "plans.json", "configurations", "3d_fullres", *steps, value=value)
    with pytest.raises(ModelError, match=match) as caught:
        load_networks(folder, [0])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"inference_allowed_mirroring_axes": (0,)}, r"fold_1.*expected 3d_fullres mirrored along"),
        ({"inference_allowed_mirroring_axes": (3,)}, "expected .* to be some of 0, 1, 2"),
        ({"init_args": {"configuration": "3d_lowres"}}, "expected 3d_fullres .* got 3d_lowres"),
    ],
)
def test_folds_must_agree(tmp_path, change, match):
    path = write_model(tmp_path / "m") / "fold_1" / FINAL
    save_checkpoint({**load_checkpoint(path), **change}, path)
    with pytest.raises(ModelError, match=match):
        load_networks(tmp_path / "m", [0, 1])


def test_weights_that_are_not_finite_are_refused(tmp_path):
    path = write_model(tmp_path / "m") / "fold_0" / FINAL
    content = load_checkpoint(path)
    for weight in content["network_weights"].values():
        weight.view(-1)[0] = torch.nan
    save_checkpoint(content, path)
    with pytest.raises(ModelError, match="holds NaN or infinite numbers; copy it again"):
        load_networks(tmp_path / "m", [0])


@pytest.mark.parametrize(
    ("steps", "value", "match"),
    [
        (("labels",), {"background": 0, "liver": 1}, "expected the labels of KiTS"),
        (("labels", "cyst"), 7, "labels must be whole numbers from 0 on, each once"),
        (("labels", "kidney"), [1, 2, 3], r"labels\.kidney: .*integer, got \[1, 2, 3\]"),
        (("channel_names",), {"0": "CT", "1": "PET"}, "expected a model of one channel, CT, got 2"),
    ],
)
def test_a_manifest_that_does_not_fit_its_models_is_refused(tmp_path, steps, value, match):
    write_ensemble(tmp_path / "e", {"one": [write_model(tmp_path / "m")]}, [0])
    edit(tmp_path / "e" / "one" / "dataset.json", *steps, value=value)
    with pytest.raises(ModelError, match=match):
        Ensemble.open(tmp_path / "e")
