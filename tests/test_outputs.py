"""Outputs replace nothing but earlier results, and are refused before the work, not after it."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from kits_cases import make_case
from renalseg.cli.main import app
from renalseg.errors import ExperimentError, ModelError, OutputError
from renalseg.experiment.settle import check_place
from renalseg.files import write_text
from renalseg.models.ensemble import write_ensemble
from renalseg.outputs import Inputs, begins_with, check_folder, check_output
from renalseg.provenance import InputRecord, ModelRecord, Provenance, is_record
from renalseg.segmentation import Segmentation
from renalseg.training.workspace import Workspace
from renalseg.volume import Volume, read_labels


@pytest.fixture
def mask(tmp_path):
    """A kidney, a mass away from it, and a BIDS sidecar."""
    labels = np.zeros((20, 22, 24), np.uint8)
    labels[2:8, 2:8, 2:8] = 1
    labels[15:18, 15:18, 15:18] = 2
    folder = tmp_path / "in"
    Volume(labels, np.diag([-2.0, -2, -2, 1])[[2, 1, 0, 3]]).save(folder / "mask.nii.gz")
    (folder / "mask.json").write_text('{"Modality": "CT"}')
    return folder / "mask.nii.gz"


def spelled(path, other):
    return path.parent / ".." / path.parent.name / path.name


def linked(path, other):
    other.symlink_to(path)
    return other


def hard_linked(path, other):
    other.hardlink_to(path)
    return other


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


COMMANDS = {
    "measure": lambda mask, out: ["measure", mask, "--csv", out],
    "report": lambda mask, out: ["report", mask, "-o", out],
    "postprocess": lambda mask, out: ["postprocess", mask, out],
    "overwrite": lambda mask, out: ["postprocess", mask, out, "--overwrite"],
    "predict": lambda mask, out: ["predict", mask, "-o", out, "-m", "none"],
}


@pytest.mark.parametrize("name", [spelled, linked, hard_linked])
@pytest.mark.parametrize("command", COMMANDS)
def test_an_input_is_not_replaced_under_any_name(mask, tmp_path, command, name):
    before = mask.read_bytes()
    ending = ".nii.gz"
    if command == "report":  # it takes only these names
        mask, ending = mask.rename(mask.with_name("mask.html")), ".html"
    result = run(*COMMANDS[command](mask, name(mask, tmp_path / f"other{ending}")))
    assert result.exit_code == 1
    assert mask.read_bytes() == before
    said = result.stderr or str(result.exception)
    assert "is an input and would be replaced" in said or "would replace this scan" in said


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to nowhere", "device", "foreign file"])
@pytest.mark.parametrize(("command", "ending"), [("measure", ".csv"), ("report", ".html")])
def test_what_is_no_result_of_ours_is_not_replaced(mask, tmp_path, command, ending, kind):
    path = tmp_path / f"x{ending}"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "link to nowhere":
            path.symlink_to(tmp_path / "nowhere")
        case "device":
            path.symlink_to("/dev/null")
        case "foreign file":
            path.write_text("<!DOCTYPE html> mine")
    before = path.lstat()
    result = run(*COMMANDS[command](mask, path))
    assert isinstance(result.exception, OutputError)
    assert str(path) in str(result.exception)
    assert path.lstat()[:3] == before[:3]


@pytest.mark.parametrize(
    ("command", "ending"), [("measure", ".csv"), ("report", ".html"), ("report", ".pdf")]
)
def test_an_earlier_result_is_replaced(mask, tmp_path, command, ending):
    for _ in range(2):
        result = run(*COMMANDS[command](mask, tmp_path / f"x{ending}"))
        assert result.exit_code == 0, result.exception


@pytest.mark.parametrize("place", ["/proc/none/x", "/dev/null/x", "{}/file/x", "{}/" + "x" * 300])
@pytest.mark.parametrize("command", ["measure", "report", "postprocess", "predict"])
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    mask, tmp_path, monkeypatch, command, place
):
    (tmp_path / "file").touch()
    for name in ("renalseg.volume.read_labels", "renalseg.batch.read_labels"):
        monkeypatch.setattr(name, lambda *_: pytest.fail("the work was begun"))
    ending = {"measure": ".csv", "report": ".html"}.get(command, ".nii.gz")
    result = run(*COMMANDS[command](mask, place.format(tmp_path) + ending))
    said = result.stderr or str(result.exception)
    assert result.exit_code == 1
    assert "cannot be written" in said


def test_postprocess_replaces_label_maps_alone_and_only_if_asked(mask, tmp_path):
    clean, ct = tmp_path / "clean.nii.gz", tmp_path / "ct.nii.gz"
    assert run("postprocess", mask, clean).exit_code == 0
    before = clean.read_bytes()
    result = run("postprocess", mask, clean)
    assert result.exit_code == 1
    assert "--overwrite replaces a label map" in result.stderr
    assert run("postprocess", mask, clean, "--overwrite").exit_code == 0
    assert clean.read_bytes() == before
    volume = read_labels(mask)
    volume.like(volume.array.astype(np.int16) - 1000).save(ct)
    assert run("postprocess", mask, ct, "--overwrite").exit_code == 1


def record():
    made = InputRecord(name="x", hash="sha256:0", shape=(1, 1, 1), spacing_mm=(1, 1, 1))
    return Provenance(model=ModelRecord(name="m", members=(), files={}), input=made, device="cpu")


def test_a_record_replaces_records_alone(mask, tmp_path):
    found = Segmentation(read_labels(mask), ("m",), provenance=record())
    with pytest.raises(OutputError, match=r"mask.json: is no record of renalseg"):
        found.save(mask.with_name("mask.nrrd"))
    assert json.loads(mask.with_name("mask.json").read_text()) == {"Modality": "CT"}
    assert not mask.with_name("mask.nrrd").exists()
    for _ in range(2):
        found.save(tmp_path / "own.nii.gz")
    assert is_record(tmp_path / "own.json")


@pytest.mark.parametrize("name", ["evaluation_samples.csv", "evaluation_summary.json"])
def test_an_evaluation_replaces_evaluations_alone(tmp_path, name):
    make_case(tmp_path / "cohort" / "case_00001")
    (tmp_path / "p").mkdir()
    reference = tmp_path / "cohort" / "case_00001" / "segmentation.nii.gz"
    (tmp_path / "p" / "case_00001.nii.gz").write_bytes(reference.read_bytes())
    words = ["evaluate", tmp_path / "p", "-r", tmp_path / "cohort", "-j", 1]
    for _ in range(2):
        assert run(*words).exit_code == 0
    (tmp_path / "p" / name).write_text("mine")
    result = run(*words)
    assert isinstance(result.exception, OutputError)
    assert (tmp_path / "p" / name).read_text() == "mine"


def test_the_data_sets_own_aggregation_is_left_alone(tmp_path):
    make_case(tmp_path / "cohort" / "case_00001")
    own = tmp_path / "cohort" / "case_00001" / "aggregated_MAJ_seg.nii.gz"
    own.write_bytes(b"of the data set")
    result = run("data", "aggregate", tmp_path / "cohort")
    assert result.stdout == "1 case, 0 files written, 0 cases failed\n"
    assert own.read_bytes() == b"of the data set"


@pytest.mark.parametrize("name", ["tables.md", "nnUNet_raw", "experiment.json"])
def test_an_experiment_does_not_begin_among_files_of_others(tmp_path, name):
    (tmp_path / name).write_text("[]")
    with pytest.raises(ExperimentError, match=f"holds {name} and is no experiment"):
        check_place(Workspace(tmp_path))


def test_an_ensemble_replaces_ensembles_alone(tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(ModelError, match="is no ensemble and would be replaced"):
        write_ensemble(tmp_path, {}, [0])
    assert (tmp_path / "mine").exists()


def test_files_of_an_input_folder_are_inputs(tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "1.dcm").touch()
    with pytest.raises(OutputError, match="is an input"):
        check_output(tmp_path / "study" / "1.dcm", Inputs(tmp_path / "study"), is_ours=bool)
    check_output(tmp_path / "study" / "2.dcm", Inputs(tmp_path / "study"))
    assert [path.name for path in (tmp_path / "study").iterdir()] == ["1.dcm"]


def test_a_folder_that_is_tried_leaves_no_trace(tmp_path):
    check_folder(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


def test_a_table_is_known_by_its_head(tmp_path):
    (tmp_path / "t").write_text("a,b\n1,2\n")
    assert begins_with("a,b")(tmp_path / "t")
    assert not begins_with("a,c")(tmp_path / "t")


@pytest.mark.parametrize("kind", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_whatever_calls_it_no_writer_replaces_a_special_file(tmp_path, kind):
    kind(tmp_path / "x")
    before = (tmp_path / "x").lstat()
    with pytest.raises(OSError, match=r"no plain file|directory"):
        write_text("text", tmp_path / "x")
    assert (tmp_path / "x").lstat()[:3] == before[:3]
    assert len(list(tmp_path.iterdir())) == 1
