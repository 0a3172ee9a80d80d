"""Models of nnU-Net v1 against v1's own network."""

import json
import os
import pickle

import numpy as np
import pytest
import torch

import renalseg
from renalseg.errors import ModelError
from renalseg.inference.scan import Scan
from renalseg.models.checkpoints import FINAL, load_checkpoint
from renalseg.models.install import install
from renalseg.models.networks import build_network
from renalseg.models.v1 import convert_v1, find_v1
from renalseg.models.v1.unpickle import read_pickle
from renalseg.volume import Volume
from v1_models import STAGES, v1_network, v1_plans, write_v1

CASES = [
    ("3d_fullres", ("3d_fullres",), 1, {}),
    ("3d_fullres", ("3d_lowres", "3d_fullres"), 1, {"features": 30, "classes": 2}),
    ("3d_lowres", ("3d_lowres", "3d_fullres"), 1, {}),
    ("3d_cascade_fullres", ("3d_lowres", "3d_fullres"), 4, {}),
    ("3d_fullres", ("anisotropic",), 1, {"convolutions": 3}),
    ("3d_fullres", ("deep",), 1, {"features": 12}),
    ("2d", ("2d",), 1, {"features": 8}),
]


def converted(tmp_path, configuration, names, channels, options):
    stages = [STAGES[name] for name in names]
    plans = v1_plans(stages, **options)
    own = stages[0] if configuration == "3d_lowres" else stages[-1]
    network = v1_network(plans, own, channels=channels)
    write_v1(tmp_path / "v1", configuration, plans, network)
    (model,) = find_v1(tmp_path / "v1")
    return network, own, convert_v1(model, tmp_path / "v2")


def load(folder, configuration):
    plans = json.loads((folder / "plans.json").read_text())
    dataset = json.loads((folder / "dataset.json").read_text())
    network = build_network(plans, dataset, configuration)
    network.load_state_dict(load_checkpoint(folder / "fold_0" / FINAL)["network_weights"])
    return network.eval()


@pytest.mark.parametrize(("configuration", "names", "channels", "options"), CASES)
def test_outputs_are_v1s(tmp_path, configuration, names, channels, options):
    old, own, folder = converted(tmp_path, configuration, names, channels, options)
    new = load(folder, configuration)
    image = torch.randn(2, channels, *own["patch_size"].tolist())
    with torch.no_grad():
        wanted, got = old(image)[0], new(image)
    assert wanted.std() > 0.1
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)


def test_nnunets_own_predictor_runs_it(tmp_path):
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    old, _, folder = converted(tmp_path, "3d_fullres", ("3d_fullres",), 1, {})
    predictor = nnUNetPredictor(
        device=torch.device("cpu"),
        use_mirroring=False,
        use_gaussian=False,
        allow_tqdm=False,
        perform_everything_on_device=False,
    )
    predictor.initialize_from_trained_model_folder(str(folder), (0,), FINAL)
    patch = torch.randn(1, 16, 16, 16)
    got = predictor.predict_logits_from_preprocessed_data(patch)
    with torch.no_grad():
        wanted = old(patch[None])[0][0]
    # it adds tiles up in half precision
    torch.testing.assert_close(got.float(), wanted, rtol=2e-3, atol=2e-3)


def test_the_plan_is_kept(tmp_path):
    _, _, folder = converted(tmp_path, "3d_cascade_fullres", ("3d_lowres", "3d_fullres"), 4, {})
    plans = json.loads((folder / "plans.json").read_text())
    assert plans["dataset_name"] == "Dataset135_KiTS2021"
    assert plans["transpose_forward"] == [2, 0, 1]
    assert plans["original_median_spacing_after_transp"] == [0.9, 3.0, 0.8]
    assert plans["original_median_shape_after_transp"] == [500, 100, 512]
    intensity = plans["foreground_intensity_properties_per_channel"]["0"]
    assert (intensity["mean"], intensity["std"]) == (100.5, 70.25)
    assert (intensity["percentile_00_5"], intensity["percentile_99_5"]) == (-60.0, 300.0)
    configurations = plans["configurations"]
    assert configurations["3d_cascade_fullres"]["previous_stage"] == "3d_lowres"
    assert configurations["3d_lowres"]["spacing"] == [2.0, 2.0, 2.0]
    assert configurations["3d_fullres"]["patch_size"] == [16, 16, 16]


def test_older_torch_files_are_read(tmp_path):
    """v1 was at home in torch 1.4, before its checkpoints were zip files."""
    old, _, _ = converted(tmp_path, "3d_fullres", ("3d_fullres",), 1, {})
    path = next((tmp_path / "v1").rglob("*.model"))
    torch.save({"state_dict": old.state_dict()}, path, _use_new_zipfile_serialization=False)
    (model,) = find_v1(tmp_path / "v1")
    convert_v1(model, tmp_path / "again")
    image = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(load(tmp_path / "again", "3d_fullres")(image), old(image)[0])


def test_another_network_is_refused_by_name(tmp_path):
    plans = v1_plans([STAGES["3d_fullres"]])
    network = v1_network(plans, STAGES["deep"])
    write_v1(tmp_path, "3d_fullres", plans, network)
    with pytest.raises(ModelError, match=r"fold_0.*not the plain U-Net that its plan describes"):
        convert_v1(find_v1(tmp_path)[0], tmp_path / "v2")
    assert not (tmp_path / "v2").exists()


class Hostile:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("name", ["plans.pkl", "fold_0/model_final_checkpoint.model"])
def test_a_hostile_file_runs_nothing(tmp_path, name):
    plans = v1_plans([STAGES["3d_fullres"]])
    folder = write_v1(tmp_path, "3d_fullres", plans, v1_network(plans, STAGES["3d_fullres"]))
    hostile = {"state_dict": Hostile(f"touch {tmp_path}/ran"), **plans}
    if name.endswith(".pkl"):
        (folder / name).write_bytes(pickle.dumps(hostile))
    else:
        torch.save(hostile, folder / name)
    with pytest.raises(ModelError, match="if you do not know where it comes from"):
        convert_v1(find_v1(tmp_path)[0], tmp_path / "v2")
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "v2").exists()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_of_every_protocol_are_read(tmp_path, protocol):
    plans = v1_plans([STAGES["3d_fullres"]])
    path = tmp_path / "plans.pkl"
    path.write_bytes(pickle.dumps(plans, protocol))
    read = read_pickle(path)
    assert read["normalization_schemes"] == plans["normalization_schemes"]
    np.testing.assert_array_equal(read["all_classes"], plans["all_classes"])


def test_numpy_1_wrote_other_names(tmp_path):
    content = pickle.dumps(np.arange(3), 2).replace(b"numpy._core", b"numpy.core")
    (tmp_path / "plans.pkl").write_bytes(content)
    np.testing.assert_array_equal(read_pickle(tmp_path / "plans.pkl"), [0, 1, 2])


@pytest.mark.parametrize("content", [b"", b"\x80", b"not a pickle", pickle.dumps({"a": 1})[:-2]])
def test_a_damaged_pickle_is_one_line(tmp_path, content):
    (tmp_path / "plans.pkl").write_bytes(content)
    with pytest.raises(ModelError, match=r"plans\.pkl: not a pickle of plain values") as caught:
        read_pickle(tmp_path / "plans.pkl")
    assert "\n" not in str(caught.value)


def test_folders_of_other_names_are_said(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "plans.pkl").touch()
    with pytest.raises(ModelError, match="CONFIGURATION/TASK/TRAINER__PLANS"):
        find_v1(tmp_path)


@pytest.fixture
def kits(tmp_path):
    """A model of KiTS, two folds with weights of their own, in v1's layout and installed."""
    plans = v1_plans([STAGES["3d_fullres"]])
    plans["transpose_forward"], plans["transpose_backward"] = [0, 1, 2], [0, 1, 2]
    networks = [v1_network(plans, STAGES["3d_fullres"], seed=seed) for seed in (0, 1)]
    for fold, network in enumerate(networks):
        write_v1(tmp_path / "v1", "3d_fullres", plans, network, folds=(fold,))
    labels = ("kidney", "tumor", "cyst")
    return install(str(tmp_path / "v1"), tmp_path / "kits", labels).folder, networks


def v1_scores(networks, hu):
    """Of v1's own ``predict_3D``, averaged over folds as its ``predict_cases`` does."""
    from nnunet.utilities.nd_softmax import softmax_helper

    image = (np.clip(hu.astype(np.float32), -60, 300) - 100.5) / 70.25
    total = 0
    for network in networks:
        network.inference_apply_nonlin, network.do_ds = softmax_helper, False
        total += network.predict_3D(
            image[None],
            do_mirroring=True,
            mirror_axes=(0, 1, 2),
            use_sliding_window=True,
            step_size=0.5,
            patch_size=(16, 16, 16),
            use_gaussian=True,
            verbose=False,
            mixed_precision=False,
        )[1]
    return total / len(networks)


@pytest.mark.parametrize("bare", [False, True])
def test_tiles_copies_and_folds_are_averaged_as_v1_does(kits, bare):
    """By softmax, whether it is taken as an ensemble or its model folder as it is."""
    folder, networks = kits
    hu = np.random.RandomState(0).normal(90, 120, size=(20, 27, 16)).astype(np.int16)
    wanted = v1_scores(networks, hu)
    # v1's arrays are SimpleITK's; of a scan stored I-P-L they are canonical ones in reverse
    volume = Volume(
        hu.transpose(2, 1, 0),
        np.array([[0, 0, -1, 0], [0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1.0]]),
    )
    segmenter = renalseg.load(
        folder / "3d_fullres" if bare else folder, device="cpu", profile="exact"
    )
    (member,) = segmenter.members
    scan = Scan(volume)
    rows = list(member.networks[0].probability_rows(scan, scan.whole))
    found = torch.stack(rows, 1).numpy().transpose(0, 3, 2, 1)
    assert segmenter.how.average == "softmax"
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert np.array_equal(
        segmenter.predict(volume).labels.array, wanted.argmax(0).transpose(2, 1, 0)
    )
