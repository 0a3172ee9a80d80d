"""What nnU-Net makes and renalseg does not run is refused in one line, by every way in."""

import json
import shutil

import pytest
from typer.testing import CliRunner

import renalseg
from dicom_phantom import make_volume
from models import write_model
from renalseg.cli.main import app
from renalseg.errors import ModelError
from renalseg.inference.export import export_model
from renalseg.models.ensemble import MANIFEST, Ensemble, write_ensemble
from renalseg.models.install import install
from renalseg.models.loading import load_networks
from renalseg.models.plans import CASCADE
from renalseg.pipeline import Segmenter

REGIONS = {"background": 0, "kidney": [1, 2, 3], "masses": [2, 3], "tumor": 2}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A model that runs."""
    return write_model(tmp_path_factory.mktemp("whole") / "model", folds=(0,))


@pytest.fixture
def model(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "model")


def edit(path, **changed):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changed}))


def refused(action, match):
    with pytest.raises(ModelError, match=match) as caught:
        action()
    text = str(caught.value)
    assert "\n" not in text
    assert "copy" not in text  # a whole model of another kind is no damaged copy
    return text


@pytest.mark.parametrize(
    "way",
    [
        lambda model, scratch: Ensemble.open(model),
        lambda model, scratch: renalseg.load(model),
        lambda model, scratch: load_networks(model, [0]),
        lambda model, scratch: export_model(model, scratch / "exported", ["onnx"]),
        lambda model, scratch: install(str(model), scratch / "installed"),
    ],
    ids=["open", "load", "networks", "export", "install"],
)
@pytest.mark.parametrize(
    ("file", "change", "match"),
    [
        (
            "plans.json",
            {"image_reader_writer": "NibabelIOWithReorient"},
            r"plans\.json: expected image_reader_writer SimpleITKIO, got NibabelIOWithReorient,",
        ),
        (
            "dataset.json",
            {"overwrite_image_reader_writer": "NibabelIO"},
            r"dataset\.json: expected overwrite_image_reader_writer SimpleITKIO, got NibabelIO,",
        ),
        (
            "dataset.json",
            {"labels": REGIONS, "regions_class_order": [1, 3, 2]},
            r"dataset\.json: labels\.kidney: .* got \[1, 2, 3\]: .* regions that overlap; segment",
        ),
    ],
    ids=["plans", "dataset", "regions"],
)
def test_another_reader_and_regions_are_refused_by_every_way_in(
    model, tmp_path, way, file, change, match
):
    edit(model / file, **change)
    refused(lambda: way(model, tmp_path), match)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize("command", [["predict", "scan.nii.gz"], ["models", "info"], ["serve"]])
def test_commands_say_it(model, tmp_path, command, monkeypatch):
    edit(model / "plans.json", image_reader_writer="NibabelIO")
    monkeypatch.chdir(tmp_path)
    make_volume((12, 20, 20), (3.0, 3.0, 3.0)).save(tmp_path / "scan.nii.gz")
    chosen = [str(model)] if command[0] == "models" else ["-m", str(model)]
    result = CliRunner().invoke(app, [*command, *chosen])
    assert "got NibabelIO" in f"{result.exception} {result.output}"


def test_the_node_says_it(model):
    from renalseg.batch import Options
    from renalseg.cli.pacs import segmenting

    edit(model / "plans.json", image_reader_writer="NibabelIO")
    refused(lambda: segmenting(Options(model), ["seg"]), "got NibabelIO")


def test_readers_that_leave_the_choice_or_name_ours_are_taken(model):
    for reader in ("None", None, "SimpleITKIO"):
        edit(model / "dataset.json", overwrite_image_reader_writer=reader)
        assert Ensemble.open(model).manifest.members[0].folds == (0,)


def test_plans_without_a_reader_are_no_plans(model):
    edit(model / "plans.json", image_reader_writer=None)
    with pytest.raises(ModelError, match=r"plans\.json: no image_reader_writer; .* copy the model"):
        Ensemble.open(model)


@pytest.mark.parametrize(
    "names",
    [
        ("kidney", "tumor", "cyst"),
        ("Kidney", "Tumour", "Renal cyst"),
        ("class_1", "class_2", "class_3"),
        ("1", "2", "3"),
        ("kidney parenchyma", "kidney_mass", "kidney_cyst"),
    ],
)
def test_a_model_alone_may_name_the_classes_in_its_own_words(model, names):
    labels = {"background": 0} | {name: value for value, name in enumerate(names, 1)}
    edit(model / "dataset.json", labels=labels)
    assert Ensemble.open(model).manifest.postprocess is False


@pytest.mark.parametrize(
    "names",
    [
        ("tumor", "kidney", "cyst"),
        ("class_1", "class_3", "class_2"),
        ("liver", "spleen", "pancreas"),
        ("left kidney", "right kidney", "tumor"),
        ("kidney", "tumor"),
        ("kidney", "tumor", "cyst", "ureter"),
    ],
)
def test_labels_of_another_order_or_set_are_refused(model, names):
    labels = {"background": 0} | {name: value for value, name in enumerate(names, 1)}
    edit(model / "dataset.json", labels=labels)
    refused(lambda: Ensemble.open(model), r"expected the labels of KiTS, .* got .*name the labels")


def test_a_label_to_ignore_is_no_class(model, tmp_path):
    labels = {"background": 0, "kidney": 1, "tumor": 2, "cyst": 3, "ignore": 4}
    edit(model / "dataset.json", labels=labels)
    write_ensemble(tmp_path / "e", {"one": [model]}, [0])
    assert Segmenter.load(tmp_path / "e", device="cpu", backend="torch").record.members == ("one",)


@pytest.mark.parametrize("channel", ["CT", "ct", "CT_portal", "NCCT", "noNorm", "zscore", "0"])
def test_ct_by_its_names_is_taken(model, channel):
    edit(model / "dataset.json", channel_names={"0": channel})
    Ensemble.open(model)


@pytest.mark.parametrize("channel", ["MR", "T1_contrast", "PET", "FLAIR", "spectrum"])
def test_other_images_than_ct_are_refused(model, channel):
    edit(model / "dataset.json", channel_names={"0": channel})
    refused(lambda: Ensemble.open(model), f"expected a model of CT, got channel '{channel}'")


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("preprocessor_name", "MyPreprocessor"),
        ("resampling_fn_data", "my_resampling"),
        ("normalization_schemes", ["MyNormalization"]),
    ],
)
def test_what_a_plan_names_and_is_not_known_is_said(model, entry, value):
    plans = json.loads((model / "plans.json").read_text())
    plans["configurations"]["3d_fullres"][entry] = value
    edit(model / "plans.json", **plans)
    refused(lambda: load_networks(model, [0]), rf"{entry}.*segment with nnU-Net itself")


@pytest.mark.parametrize(
    ("entry", "value"),
    [("storage", "RAS"), ("format", 2), ("labels", {"background": 0, "tumor": 1})],
)
def test_a_manifest_of_another_kind_is_no_damaged_copy(model, tmp_path, entry, value):
    write_ensemble(tmp_path / "e", {"one": [model]}, [0])
    edit(tmp_path / "e" / MANIFEST, **{entry: value})
    refused(lambda: Ensemble.open(tmp_path / "e"), f"{entry}.*knows no other; give another")


def test_a_second_stage_alone_asks_for_its_first(tmp_path):
    model = write_model(tmp_path / "m", CASCADE, folds=(0,))
    refused(lambda: renalseg.load(model), "second stage of a cascade; give the ensemble with both")
