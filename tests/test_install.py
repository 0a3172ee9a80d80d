"""Models of others: installed, converted, tried; and those that are not to be trusted."""

import json
import os
import pickle
import stat
import struct
import zipfile
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from models import write_model
from renalseg.cli.main import app
from renalseg.errors import DownloadError, ModelError
from renalseg.models.checkpoints import FINAL, load_checkpoint
from renalseg.models.ensemble import Ensemble, write_ensemble
from renalseg.models.install import install, models_folder
from renalseg.models.networks import build_network
from renalseg.models.plans import CASCADE, LOWRES
from servers import serving
from v1_models import STAGES, v1_network, v1_plans, write_v1, zip_folder


@pytest.fixture(scope="module")
def v1(tmp_path_factory):
    """A zip as v1's exporter makes it: three models of KiTS21, two folds each."""
    root = tmp_path_factory.mktemp("v1")
    plans = v1_plans([STAGES["3d_lowres"], STAGES["3d_fullres"]])
    networks = {}
    for name, stage, channels in (
        ("3d_lowres", "3d_lowres", 1),
        ("3d_fullres", "3d_fullres", 1),
        ("3d_cascade_fullres", "3d_fullres", 4),
    ):
        networks[name] = v1_network(plans, STAGES[stage], channels=channels)
        write_v1(root / "out", name, plans, networks[name], folds=(0, 1))
    return zip_folder(root / "out", root / "Task135_KiTS2021.zip"), networks


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def output(folder, name, image):
    plans, dataset = (
        json.loads((folder / name / f"{file}.json").read_text()) for file in ("plans", "dataset")
    )
    network = build_network(plans, dataset, name).eval()
    network.load_state_dict(load_checkpoint(folder / name / "fold_1" / FINAL)["network_weights"])
    with torch.no_grad():
        return network(image)


def test_a_v1_zip_becomes_an_ensemble_that_computes_the_same(tmp_path, v1):
    archive, networks = v1
    done = install(str(archive), tmp_path / "kits")
    assert done.models == {"3d_cascade_fullres": 2, "3d_fullres": 2, "3d_lowres": 2}
    assert done.is_ensemble
    for name, network in networks.items():
        image = torch.randn(1, 4 if "cascade" in name else 1, 16, 16, 16)
        with torch.no_grad():
            wanted = network(image)[0]
        torch.testing.assert_close(
            output(tmp_path / "kits", name, image), wanted, rtol=0, atol=1e-5
        )
    ensemble = Ensemble.open(tmp_path / "kits")
    stages = [member.stages for member in ensemble.manifest.members]
    assert stages == [("3d_fullres",), ("3d_lowres", "3d_cascade_fullres")]
    assert ensemble.manifest.fold_average == "softmax"  # as v1
    assert ensemble.manifest.labels == {"background": 0, "kidney": 1, "tumor": 2, "cyst": 3}
    assert everything(tmp_path) == ["kits", *everything_below(tmp_path / "kits", "kits")]


def everything_below(folder, name):
    return [f"{name}/{path}" for path in everything(folder)]


def test_what_stands_already_is_left(tmp_path, v1):
    install(str(v1[0]), tmp_path / "kits")
    before = (tmp_path / "kits").stat().st_mtime_ns
    assert install(str(v1[0]), tmp_path / "kits").was_there
    assert (tmp_path / "kits").stat().st_mtime_ns == before


def test_a_download_that_breaks_goes_on(tmp_path, v1, monkeypatch):
    monkeypatch.setattr("renalseg.download.PAUSES_S", (0.0,) * 3)
    monkeypatch.setenv("RENALSEG_MODELS", str(tmp_path))
    with serving() as site:
        site.files["/record/Task135_KiTS2021.zip"] = v1[0].read_bytes()
        site.faults["/record/Task135_KiTS2021.zip"] = [("cut", 1000), ("status", 503), ("cut", 99)]
        done = install(f"{site.url}/record/Task135_KiTS2021.zip?download=1")
    assert done.folder == models_folder() / "Task135_KiTS2021"
    assert done.is_ensemble
    assert [path.name for path in tmp_path.iterdir()] == ["Task135_KiTS2021"]


def test_a_disk_that_is_too_small_costs_no_download(tmp_path, v1, monkeypatch):
    monkeypatch.setenv("RENALSEG_MODELS", str(tmp_path))
    with serving() as site, monkeypatch.context() as full:
        site.files["/Task135_KiTS2021.zip"] = content = v1[0].read_bytes()
        free = SimpleNamespace(free=len(content) + 1)
        full.setattr("renalseg.archive.shutil.disk_usage", lambda _: free)
        with pytest.raises(DownloadError, match="make room and run again"):
            install(f"{site.url}/Task135_KiTS2021.zip")
        full.undo()
        site.files.clear()
        done = install(f"{site.url}/Task135_KiTS2021.zip")
    assert done.is_ensemble
    assert [path.name for path in tmp_path.iterdir()] == ["Task135_KiTS2021"]


def test_a_v1_folder_and_class_names(tmp_path):
    plans = v1_plans([STAGES["3d_fullres"]], classes=2)
    network = v1_network(plans, STAGES["3d_fullres"])
    write_v1(tmp_path / "v1", "3d_fullres", plans, network, task="Task501_Mine")
    done = install(str(tmp_path / "v1"), tmp_path / "mine")
    labels = json.loads((done.folder / "3d_fullres" / "dataset.json").read_text())["labels"]
    assert labels == {"background": 0, "class_1": 1, "class_2": 2}
    assert not done.is_ensemble
    named = install(str(tmp_path / "v1"), tmp_path / "named", ["kidney", "mass"])
    labels = json.loads((named.folder / "3d_fullres" / "dataset.json").read_text())["labels"]
    assert labels == {"background": 0, "kidney": 1, "mass": 2}
    with pytest.raises(ModelError, match="expected 1 classes"):
        install(str(tmp_path / "v1"), tmp_path / "wrong", ["kidney"])


def test_a_v2_zip_and_an_ensemble(tmp_path):
    name = "Dataset021_KiTS/nnUNetTrainer__nnUNetPlans__3d_fullres"
    (tmp_path / "v2" / "Dataset021_KiTS").mkdir(parents=True)
    write_model(tmp_path / "v2" / name)
    done = install(str(zip_folder(tmp_path / "v2", tmp_path / "v2.zip")), tmp_path / "a")
    assert done.models == {"3d_fullres": 2}
    assert done.is_ensemble
    assert Ensemble.open(done.folder).manifest.fold_average == "logits"  # as v2
    stages = {
        "cascade": [
            write_model(tmp_path / "low", LOWRES),
            write_model(tmp_path / "high", CASCADE),
        ]
    }
    write_ensemble(tmp_path / "e" / "ensemble", stages, [0])
    done = install(str(zip_folder(tmp_path / "e", tmp_path / "e.zip")), tmp_path / "b")
    assert Ensemble.open(done.folder).manifest.members[0].name == "cascade"


def refused(tmp_path, source, match):
    before = set(everything(tmp_path))
    with pytest.raises(ModelError, match=match) as caught:
        install(str(source), tmp_path / "target" / "model")
    assert "\n" not in str(caught.value)
    assert set(everything(tmp_path)) - before <= {"target"}


def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    plans = v1_plans([STAGES["3d_fullres"]])
    folder = write_v1(tmp_path / "v1", "3d_fullres", plans, v1_network(plans, STAGES["3d_fullres"]))
    (folder / "plans.pkl").write_bytes(pickle.dumps(plans | {"x": Hostile()}))
    refused(
        tmp_path, zip_folder(tmp_path / "v1", tmp_path / "v1.zip"), "it would load posix.system"
    )
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "C:/evil", "..\\e"]
)
def test_names_that_lead_outside_are_refused(tmp_path, name):
    member = zipfile.ZipInfo("placeholder")
    member.filename = member.orig_filename = name
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(member, "evil")
    refused(tmp_path, tmp_path / "bad.zip", "outside of its folder")


def test_links_are_refused(tmp_path):
    member = zipfile.ZipInfo("link")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    refused(tmp_path, tmp_path / "bad.zip", "holds links")


def test_a_truncated_member_and_a_truncated_zip_are_refused(tmp_path, v1):
    content = v1[0].read_bytes()
    (tmp_path / "short.zip").write_bytes(content[: len(content) // 2])
    refused(tmp_path, tmp_path / "short.zip", "the zip is damaged")
    with zipfile.ZipFile(tmp_path / "torn.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("3d_fullres/Task1_X/a__b/plans.pkl", os.urandom(5000))
    torn = bytearray((tmp_path / "torn.zip").read_bytes())
    torn[2000:4000] = bytes(2000)
    (tmp_path / "torn.zip").write_bytes(torn)
    refused(tmp_path, tmp_path / "torn.zip", "the zip is damaged")


@pytest.mark.parametrize("true_checksum", [True, False])
def test_a_member_ten_times_its_stated_size_is_refused(tmp_path, true_checksum):
    """Directory and header both lie; with and without a checksum that fits the lie."""
    import zlib

    size, name = 100_000, "3d_fullres/Task1_X/a__b/plans.pkl"
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, bytes(size))
    content = (tmp_path / "bomb.zip").read_bytes()
    content = content.replace(struct.pack("<I", size), struct.pack("<I", size // 10))
    if not true_checksum:
        old, new = zlib.crc32(bytes(size)), zlib.crc32(bytes(size // 10))
        content = content.replace(struct.pack("<I", old), struct.pack("<I", new))
    (tmp_path / "bomb.zip").write_bytes(content)
    refused(tmp_path, tmp_path / "bomb.zip", r"should have 10000 bytes, got more")


def test_what_is_no_model_is_said(tmp_path):
    (tmp_path / "text.zip").write_text("not a zip")
    refused(tmp_path, tmp_path / "text.zip", "the zip is damaged")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(tmp_path, tmp_path / "other.zip", "no model in it")
    refused(tmp_path, "Task999_None", "no such file, and no published model")


def test_plans_that_would_load_something_else_are_refused(tmp_path):
    folder = write_model(tmp_path / "v2" / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    plans = json.loads((folder / "plans.json").read_text())
    architecture = plans["configurations"]["3d_fullres"]["architecture"]
    architecture["network_class_name"] = "subprocess.Popen"
    (folder / "plans.json").write_text(json.dumps(plans))
    refused(tmp_path, tmp_path / "v2", "would load subprocess.Popen")


def test_weights_that_do_not_fit_are_refused(tmp_path):
    folder = write_model(tmp_path / "v2" / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    plans = json.loads((folder / "plans.json").read_text())
    architecture = plans["configurations"]["3d_fullres"]["architecture"]
    architecture["arch_kwargs"]["features_per_stage"][0] = 6
    (folder / "plans.json").write_text(json.dumps(plans))
    refused(tmp_path, tmp_path / "v2", r"does not fit plans\.json")


def test_the_list_names_licence_and_record(tmp_path, monkeypatch, v1):
    monkeypatch.setenv("RENALSEG_MODELS", str(tmp_path))
    done = CliRunner().invoke(app, ["models", "install", str(v1[0])])
    assert done.exit_code == 0, done.output
    assert f"renalseg predict SCAN -m {tmp_path}/Task135_KiTS2021" in done.output
    listed = json.loads(CliRunner().invoke(app, ["models", "list", "--json"]).output)
    by_name = {model["name"]: model for model in listed["published"]}
    assert {"Task135_KiTS2021", "Task029_LITS", "Task048_KiTS_clean"} <= set(by_name)
    assert by_name["Task135_KiTS2021"]["installed"]
    assert not by_name["Task029_LITS"]["installed"]
    assert all(m["licence"] and m["record"].startswith("https://") for m in by_name.values())
    text = CliRunner().invoke(app, ["models", "list"]).output
    assert "Task135_KiTS2021 (installed)" in text


def test_the_table_is_nnunets_own():
    """Names and addresses as nnU-Net 1.7.1 lists them."""
    from nnunet.inference.pretrained_models.download_pretrained_model import get_available_models

    from renalseg.models.published import PUBLISHED

    theirs = {name.lower(): entry["url"] for name, entry in get_available_models().items()}
    for model in PUBLISHED.values():
        url = theirs[model.name.lower()]
        url = url if isinstance(url, str) else url[0]
        assert model.url == url.replace("/record/", "/records/")
