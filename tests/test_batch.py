"""Many scans through one ensemble, and what becomes of those that cannot be read or written."""

import json
import os
from pathlib import Path
from threading import Event
from time import process_time

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from models import write_model
from renalseg import batch
from renalseg.batch import Options, pair_files, predict_files
from renalseg.cli.main import app
from renalseg.errors import CancelledError, ModelError, VolumeError
from renalseg.faults import is_fault
from renalseg.models.ensemble import write_ensemble
from renalseg.models.plans import CASCADE, LOWRES
from renalseg.results import Wanted
from renalseg.segmentation import Segmentation
from renalseg.volume import Volume
from renalseg.volume.files import written_beside
from renalseg.volume.source import Source

IPL = np.array([[0, 0, -3.0, 60], [0, -3.0, 0, 50], [-4.0, 0, 0, 40], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    write_model(root / "low", LOWRES, folds=(0,))
    write_model(root / "high", CASCADE, folds=(0,))
    write_model(root / "full", folds=(0,))
    members = {"full": [root / "full"], "cascade": [root / "low", root / "high"]}
    return {"full": root / "full", "both": write_ensemble(root / "both", members, [0]).folder}


@pytest.fixture(scope="module")
def segmenter(models):
    return options(models["full"]).load()


@pytest.fixture
def scans(tmp_path):
    """Three scans; nothing stands where their masks go."""
    for number, name in enumerate("abc"):
        write_scan(tmp_path / "scans" / f"{name}.nii.gz", number)
    return tmp_path / "scans"


def options(folder, **more):
    return Options(folder, device="cpu", backend="torch", **more)


def write_scan(path, seed=0):
    array = np.random.RandomState(seed).normal(40, 150, (12, 20, 22)).astype(np.int16)
    array[0] = -1000
    path.parent.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, IPL), path)


def pairs_of(scans):
    return pair_files(scans, scans.with_name("masks"))


def outcome(results):
    """Of each scan its name and what became of it."""
    return [
        (r.source.name[0], "failed" if r.problem else "made" if r.volumes_ml else "kept")
        for r in results
    ]


def predict(*arguments):
    command = ["predict", *map(str, arguments), "--device", "cpu", "--backend", "torch"]
    return CliRunner().invoke(app, command)


def refuse():
    raise AssertionError("loaded, though there is nothing to do")


class Fake:
    """Finds nothing in any scan."""

    def segment(self, volume, source, **_):
        return Segmentation(volume.like(np.zeros(volume.shape, np.uint8)), ("fake",))


def test_results_come_in_the_order_of_the_scans(scans, segmenter):
    pairs = pairs_of(scans)
    results = list(predict_files(pairs, lambda: segmenter))
    assert [(r.source, r.target) for r in results] == pairs
    assert outcome(results) == [("a", "made"), ("b", "made"), ("c", "made")]
    for source, target in pairs:
        alone = segmenter.predict(source).labels.array
        assert np.array_equal(batch.read_labels(target).array, alone)


def test_the_next_scan_is_read_while_one_is_computed(scans, monkeypatch):
    begun = {source: Event() for source, _ in pairs_of(scans)}

    def read(path, _):
        begun[path].set()
        return Source(path, Volume(np.zeros((4, 4, 4), np.int16), IPL))

    class Waits(Fake):
        def segment(self, volume, source, **_):
            following = list(begun)[min(list(begun).index(source) + 1, 2)]
            assert begun[following].wait(10)
            assert sum(event.is_set() for event in begun.values()) <= list(begun).index(source) + 2
            return super().segment(volume, source)

    monkeypatch.setattr(batch, "read_source", read)
    assert len(list(predict_files(pairs_of(scans), Waits))) == 3


def test_the_ensemble_is_loaded_once(scans):
    loaded = []
    list(predict_files(pairs_of(scans), lambda: loaded.append(1) or Fake()))
    assert loaded == [1]


def test_masks_that_stand_are_kept_and_nothing_is_loaded_for_them(scans):
    list(predict_files(pairs_of(scans)[:2], Fake))
    before = [target.stat().st_mtime_ns for _, target in pairs_of(scans)[:2]]
    assert outcome(predict_files(pairs_of(scans)[:2], refuse)) == [("a", "kept"), ("b", "kept")]
    found = outcome(predict_files(pairs_of(scans), Fake))
    assert found == [("a", "kept"), ("b", "kept"), ("c", "made")]
    assert [target.stat().st_mtime_ns for _, target in pairs_of(scans)[:2]] == before


def test_masks_are_made_again_on_request(scans, segmenter):
    (_, target), *_ = pairs = pairs_of(scans)[:1]
    list(predict_files(pairs, lambda: segmenter))
    target.write_bytes(b"old")
    assert outcome(predict_files(pairs, Fake, overwrite=True))[0] == ("a", "made")
    assert not batch.read_labels(target).array.any()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["b.nii.gz", "b.json", "b-entropy.nii.gz"])
def test_a_file_that_is_not_ours_is_never_replaced(scans, tmp_path, name, overwrite):
    """A scan's BIDS sidecar, say, in the place of the record of its mask."""
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / name).write_text('{"Modality": "CT"}')
    wanted = Wanted(uncertainty=True)
    results = list(predict_files(pairs_of(scans), Fake, wanted=wanted, overwrite=overwrite))
    assert outcome(results) == [("a", "made"), ("b", "failed"), ("c", "made")]
    assert f"{name}: exists, and is not known as a result" in results[1].problem
    assert (tmp_path / "masks" / name).read_text() == '{"Modality": "CT"}'


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_a_scan_is_known_under_another_name(scans, tmp_path, link):
    (tmp_path / "masks").mkdir()
    link(tmp_path / "masks" / "b.nii.gz", scans / "c.nii.gz")
    with pytest.raises(VolumeError, match=r"b.nii.gz: its mask would replace this scan"):
        list(predict_files(pairs_of(scans), refuse, overwrite=True))


def test_the_data_file_of_a_header_is_an_output_too(scans, tmp_path):
    (tmp_path / "scan.raw").write_text("voxels of scan.mhd")
    pairs = [(scans / "a.nii.gz", tmp_path / "scan.nhdr")]
    (result,) = predict_files(pairs, refuse)
    assert "scan.raw: exists, and is not known as a result" in result.problem


@pytest.mark.parametrize("place", ["/dev/full", "/dev/null/x", "/proc/none", "pipe", "link"])
def test_a_place_that_cannot_be_written_is_refused_before_the_work(scans, tmp_path, place):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("nowhere")
    pairs = pair_files(scans, tmp_path / place)
    for result in predict_files(pairs, refuse):
        assert "cannot be written to (" in result.problem


def test_4000_scans_are_paired_with_their_masks_in_a_second(tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    for number in range(4000):
        (scans / f"{number}.nii.gz").touch()
    began = process_time()
    pairs = pair_files(scans, tmp_path / "masks")
    assert batch.missing(pairs) == pairs
    assert process_time() - began < 1


@pytest.mark.parametrize("broken", ["a", "b", "c"])
def test_a_scan_that_cannot_be_read_stops_no_other(scans, broken):
    (scans / f"{broken}.nii.gz").write_bytes(b"not an image")
    results = list(predict_files(pairs_of(scans), Fake))
    assert outcome(results) == [(n, "failed" if n == broken else "made") for n in "abc"]
    (problem,) = (r.problem for r in results if r.problem)
    assert f"{broken}.nii.gz: expected a NIfTI file, got one that begins" in problem


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ModelError("too large"), "b.nii.gz: too large"),
        (OSError("gone"), "b.nii.gz: gone"),
        (MemoryError(), "b.nii.gz: not enough memory; set --memory"),
        (RuntimeError("CUDA out of memory. Tried"), "b.nii.gz: not enough memory; set --memory"),
    ],
)
def test_a_scan_that_cannot_be_computed_stops_no_other(scans, error, text):
    class Fails(Fake):
        def segment(self, volume, source, **_):
            if source.name[0] == "b":
                raise error
            return super().segment(volume, source)

    results = list(predict_files(pairs_of(scans), Fails))
    assert outcome(results) == [("a", "made"), ("b", "failed"), ("c", "made")]
    assert text in results[1].problem


def test_a_fault_of_the_program_stops_no_other_scan(scans, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    class Fails(Fake):
        def segment(self, volume, source, **_):
            if source.name[0] == "b":
                raise RuntimeError("shapes differ")
            return super().segment(volume, source)

    results = list(predict_files(pairs_of(scans), Fails))
    assert outcome(results) == [("a", "made"), ("b", "failed"), ("c", "made")]
    assert "b.nii.gz: this is a fault of renalseg, not yours: RuntimeError" in results[1].problem
    assert is_fault(results[1].problem)
    (details,) = (tmp_path / "state").rglob("*.log")
    assert str(details) in results[1].problem
    assert "shapes differ" in details.read_text()


def test_a_fault_while_writing_stops_no_other_scan(scans, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def write(segmentation, source, *_, original=batch.write_results):
        if source.path.name[0] == "b":
            raise KeyError("deep")
        original(segmentation, source, *_)

    monkeypatch.setattr(batch, "write_results", write)
    results = list(predict_files(pairs_of(scans), Fake))
    assert outcome(results) == [("a", "made"), ("b", "failed"), ("c", "made")]
    assert is_fault(results[1].problem)


def test_an_ensemble_that_cannot_be_loaded_is_said_once(scans, tmp_path):
    with pytest.raises(ModelError, match=r"nowhere: no ensemble.json"):
        list(predict_files(pairs_of(scans), options(tmp_path / "nowhere").load))
    assert not (tmp_path / "masks").exists()


@pytest.mark.parametrize("place", ["masks/b.nii.gz", "masks/b.json"])
def test_a_mask_that_cannot_be_written_stops_no_other(scans, segmenter, tmp_path, place):
    (tmp_path / place).mkdir(parents=True)
    results = list(predict_files(pairs_of(scans), lambda: segmenter))
    assert outcome(results) == [("a", "made"), ("b", "failed"), ("c", "made")]
    assert f"{tmp_path / place}: is a folder; give a file's name" in results[1].problem
    assert not (tmp_path / "masks" / "b.nii.gz").is_file()


def test_a_folder_that_is_a_file_is_each_scans_problem(scans, segmenter, tmp_path):
    (tmp_path / "masks").write_text("")
    results = list(predict_files(pairs_of(scans), lambda: segmenter))
    assert [name for name, what in outcome(results) if what == "failed"] == ["a", "b", "c"]
    assert all("cannot be written" in r.problem and "\n" not in r.problem for r in results)


def test_a_mask_never_replaces_its_scan(scans):
    before = (scans / "a.nii.gz").read_bytes()
    for overwrite in (False, True):
        with pytest.raises(VolumeError, match=r"a.nii.gz: its mask would replace this scan"):
            list(predict_files(pair_files(scans, scans), refuse, overwrite=overwrite))
    assert (scans / "a.nii.gz").read_bytes() == before


def test_hidden_files_are_no_scans(scans):
    (scans / "._a.nii.gz").write_bytes(b"of another system")
    assert [source.name for source, _ in pairs_of(scans)] == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]


def test_cancelling_stops_the_batch(scans, segmenter, tmp_path):
    cancel, seen = Event(), []

    def on_scan(source, *_):
        seen.append(source.name[0])
        if source.name[0] == "b":
            cancel.set()

    with pytest.raises(CancelledError):
        list(predict_files(pairs_of(scans), lambda: segmenter, on_scan=on_scan, cancel=cancel))
    assert seen == ["a", "b"]
    assert sorted(p.name for p in (tmp_path / "masks").iterdir()) == ["a.json", "a.nii.gz"]


def test_the_record_stands_before_its_mask(scans, segmenter, monkeypatch):
    moved = []

    def replace(source, target, original=os.replace):
        moved.append(Path(target).name)
        original(source, target)

    monkeypatch.setattr(os, "replace", replace)
    list(predict_files(pairs_of(scans)[:1], lambda: segmenter, wanted=Wanted(uncertainty=True)))
    assert sorted(moved[-3:-1]) == ["a-entropy.nii.gz", "a.json"]
    assert moved[-1] == "a.nii.gz"


def test_uncertainty_is_a_file_beside_the_mask(scans, models):
    ((source, target),) = pairs = pairs_of(scans)[:1]
    wanted = Wanted(uncertainty=True)
    list(predict_files(pairs, options(models["both"]).load))
    assert outcome(predict_files(pairs, options(models["both"]).load, wanted=wanted)) == [
        ("a", "made")  # the mask stood, its entropy did not
    ]
    entropy = nibabel.load(target.with_name("a-entropy.nii.gz"))
    assert entropy.shape == nibabel.load(source).shape
    assert 0 < entropy.get_fdata().max() <= 1


def test_a_killed_writers_folder_goes_when_its_mask_is_made(scans):
    (_, target), *_ = pairs = pairs_of(scans)
    with written_beside(target) as beside:
        beside.touch()
    target.unlink()
    beside.parent.mkdir()
    list(predict_files(pairs[1:], Fake))
    assert len(list(target.parent.glob(".*"))) == 1  # it may be another's who still writes
    list(predict_files(pairs, Fake))
    assert not list(target.parent.glob(".*"))


def test_a_batch_with_a_bad_scan_ends_with_1(scans, models, tmp_path):
    (scans / "a.nii.gz").write_bytes(b"not an image")
    (scans / "c.nii.gz").unlink()
    result = predict(scans, "-o", tmp_path / "masks", "-m", models["full"])
    assert result.exit_code == 1
    assert "1 of 2 scans" in result.stderr
    assert result.stderr.count("expected a NIfTI file, got one that") == 1


def test_too_little_memory_is_one_line(scans, models, tmp_path):
    result = predict(
        scans / "a.nii.gz", "-o", tmp_path / "m.nii.gz", "-m", models["full"], "--memory", "0.5"
    )
    assert result.exit_code == 1
    (line,) = (line for line in result.stderr.splitlines() if "--memory" in line)
    assert f"{scans / 'a.nii.gz'}: --memory 0.5: at least 1.0 GB are needed" in line
    assert not (tmp_path / "m.nii.gz").exists()


def test_results_as_json(scans, models, tmp_path):
    (scans / "b.nii.gz").write_bytes(b"not an image")
    arguments = [scans, "-o", tmp_path / "masks", "-m", models["both"]]
    result = predict(*arguments, "--json", "--uncertainty", "--profile", "fast", "--roi", "off")
    listed = json.loads(result.stdout)
    assert set(listed[0]) == {"scan", "mask", "volumes_ml", "warnings", "problem"}
    masks = [one["mask"] and Path(one["mask"]).name for one in listed]
    assert masks == ["a.nii.gz", None, "c.nii.gz"]
    names = {p.name for p in (tmp_path / "masks").iterdir()}
    assert {"a.nii.gz", "a.json", "a-entropy.nii.gz"} < names
    settings = json.loads((tmp_path / "masks" / "a.json").read_text())["settings"]
    assert (settings["profile"], settings["roi"]) == ("fast", "off")
    assert json.loads(predict(*arguments, "--json").stdout)[0]["volumes_ml"] is None
