import json

import pytest

from models import write_model
from renalseg.errors import ModelError
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
    assert set(written) == {"format", "storage", "labels", "members", "postprocess"}


def test_a_manifest_says_name_world_and_step(tmp_path, models):
    world = World(slice_mm=(1.0, 8.0), contrast="any")
    written = write_ensemble(tmp_path / "e", models, [0], about=ABOUT, world=world, step=0.7)
    manifest = Ensemble.open(tmp_path / "e").manifest
    assert manifest == written.manifest
    assert (manifest.about, manifest.world, manifest.step) == (ABOUT, world, 0.7)
    assert manifest.world.pixel_mm == (0.44, 1.04)
    assert Ensemble.open(tmp_path / "e").only("single").manifest.about == ABOUT


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("step", 0, "greater than 0"),
        ("step", 1.5, "less than or equal to 1"),
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
