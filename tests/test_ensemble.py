import json

import pytest
import torch
from pydantic import ValidationError

from models import write_model
from renalseg.errors import ModelError
from renalseg.models.checkpoints import load_checkpoint
from renalseg.models.ensemble import About, Ensemble, World, write_ensemble
from renalseg.models.plans import CASCADE, LOWRES


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        "single": [write_model(root / "single")],
        "cascade": [write_model(root / "low", LOWRES), write_model(root / "high", CASCADE)],
    }


def test_ensemble_folder_holds_manifest_and_plain_model_folders(tmp_path, models):
    ensemble = write_ensemble(tmp_path / "e", models, [0, 1])
    assert [m.name for m in ensemble.manifest.members] == ["single", "cascade"]
    assert ensemble.manifest.members[1].stages == ("cascade-stage1", "cascade-stage2")
    assert ensemble.manifest.storage == "IPL"
    files = {str(p.relative_to(tmp_path / "e")) for p in (tmp_path / "e").rglob("*") if p.is_file()}
    assert "single/fold_1/checkpoint_final.pth" in files
    assert Ensemble.open(tmp_path / "e") == ensemble


def test_single_model_folder_is_an_ensemble_of_one_without_postprocessing(models):
    ensemble = Ensemble.open(models["single"][0])
    assert ensemble.manifest.members[0].folds == (0, 1)
    assert not ensemble.manifest.postprocess


def test_one_member_can_be_taken_alone(tmp_path, models):
    ensemble = write_ensemble(tmp_path / "e", models, [0])
    assert [m.name for m in ensemble.only("cascade").manifest.members] == ["cascade"]
    with pytest.raises(ModelError, match="no member 'x'; it has single, cascade"):
        ensemble.only("x")


def test_folder_without_manifest_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no ensemble\.json and no plans\.json"):
        Ensemble.open(tmp_path)


def test_missing_fold_is_named(tmp_path, models):
    write_ensemble(tmp_path / "e", models, [0, 1])
    (tmp_path / "e" / "single" / "fold_1" / "checkpoint_final.pth").unlink()
    with pytest.raises(ModelError, match=r"fold_1.checkpoint_final\.pth: missing"):
        Ensemble.open(tmp_path / "e")


def test_manifest_may_not_point_outside_its_folder(tmp_path, models):
    write_ensemble(tmp_path / "e", models, [0])
    path = tmp_path / "e" / "ensemble.json"
    content = json.loads(path.read_text())
    content["members"][0]["stages"] = ["../elsewhere"]
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="lies outside"):
        Ensemble.open(tmp_path / "e")


def test_damaged_manifest_is_one_line(tmp_path):
    (tmp_path / "ensemble.json").write_text('{"format": 2')
    with pytest.raises(ModelError, match="not a manifest") as caught:
        Ensemble.open(tmp_path)
    assert "\n" not in str(caught.value)


ABOUT = About(name="own", version="2", licence="CC BY 4.0", trained_on="noise", notice="Look.")


def test_what_a_manifest_does_not_say_is_not_written(tmp_path, models):
    write_ensemble(tmp_path / "e", models, [0])
    written = json.loads((tmp_path / "e" / "ensemble.json").read_text())
    assert set(written) == {
        "format",
        "storage",
        "labels",
        "members",
        "fold_average",
        "postprocess",
    }


def test_a_manifest_says_name_world_and_who_finds(tmp_path, models):
    world = World(slice_mm=(1.0, 8.0), contrast="any")
    name, *_ = models
    written = write_ensemble(
        tmp_path / "e",
        models,
        [0],
        about=ABOUT,
        world=world,
        least_ml=5,
        least_tumor_ml=2,
        large_ml=700,
        finds=[name],
    )
    manifest = Ensemble.open(tmp_path / "e").manifest
    assert manifest == written.manifest
    assert (manifest.about, manifest.world) == (ABOUT, world)
    assert (manifest.least_ml, manifest.least_tumor_ml, manifest.large_ml) == (5, 2, 700)
    assert [member.name for member in manifest.members if member.finds] == [name]
    assert manifest.world.pixel_mm == (0.44, 1.04)
    alone = Ensemble.open(tmp_path / "e").only(name).manifest
    assert alone.about == ABOUT
    assert not alone.members[0].finds  # by itself it segments


def test_somebody_must_segment(tmp_path, models):
    with pytest.raises(ValidationError, match="a member that segments"):
        write_ensemble(tmp_path / "e", models, [0], finds=list(models))
    assert not (tmp_path / "e").exists()


def test_weights_in_half_precision_take_half_the_space(tmp_path, models):
    whole = write_ensemble(tmp_path / "whole", models, [0])
    half = write_ensemble(tmp_path / "half", models, [0], half=True)
    for member in whole.manifest.members:
        for stage in member.stages:
            old, new = (e.folder / stage / "fold_0" / "checkpoint_final.pth" for e in (whole, half))
            assert new.stat().st_size < 0.7 * old.stat().st_size
            weights = [load_checkpoint(path)["network_weights"] for path in (old, new)]
            assert weights[0].keys() == weights[1].keys()
            for name, tensor in weights[0].items():
                assert torch.equal(weights[1][name], tensor.half())


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("least_ml", 0, "greater than 0"),
        ("world", {"pixel_mm": [2, 1]}, "the least before the greatest"),
        ("world", {"contrast": "venous"}, "late-arterial"),
        ("about", {"name": "own"}, "about.version"),
        ("about", ABOUT.model_dump() | {"notice": "\x1b[2J"}, "printable"),
    ],
)
def test_a_manifest_that_says_nonsense_is_one_line(tmp_path, models, key, value, said):
    write_ensemble(tmp_path / "e", models, [0])
    path = tmp_path / "e" / "ensemble.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ModelError, match="not a manifest") as caught:
        Ensemble.open(tmp_path / "e")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
