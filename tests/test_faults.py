"""A fault of renalseg at each front: one line, exit code 3, and details in a file."""

import os
import re
import stat
import subprocess
import sys
import threading
import warnings
from http.client import HTTPConnection

import numpy as np
import pytest
from typer.testing import CliRunner

from kits_cases import make_case
from renalseg import faults
from renalseg.cli import main
from renalseg.cli.main import app
from renalseg.errors import ModelError, RenalsegWarning
from renalseg.experiment.failures import failure
from renalseg.faults import Problem, is_fault, problem_of
from renalseg.notices import warnings_as_lines
from renalseg.viewer.local import LocalStudy
from renalseg.viewer.server import ViewServer
from renalseg.volume import Volume, read_labels
from renalseg.workers import worker_pool

LINE = (
    r"error: this is a fault of renalseg, not yours: KeyError at .*; details were written to (\S+);"
)


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "renalseg"


@pytest.fixture
def mask(tmp_path):
    labels = np.zeros((10, 12, 14), np.uint8)
    labels[2:8, 2:8, 2:8] = 1
    Volume(labels, np.diag([-2.0, -2, -2, 1])[[2, 1, 0, 3]]).save(tmp_path / "mask.nii.gz")
    return tmp_path / "mask.nii.gz"


def raising(error):
    def fails(*_, **__):
        raise error

    return fails


def leave(monkeypatch, capsys, *words):
    """Exit code and standard error of a command as a process runs it."""
    monkeypatch.setattr(sys, "argv", ["renalseg", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        main.run()
    return left.value.code, capsys.readouterr().err


def test_a_fault_is_one_line_and_exit_code_3(mask, state, monkeypatch, capsys):
    monkeypatch.setattr("renalseg.clinical.measure", raising(KeyError("deep")))
    words = ["report", mask, "--patient-name", "Doe^Jane", "--patient-id=4711"]
    code, said = leave(monkeypatch, capsys, *words)
    assert code == 3
    (line,) = said.splitlines()
    (path,) = state.iterdir()
    assert re.match(LINE, line)[1] == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    details = path.read_text()
    assert "Traceback" in details
    assert "KeyError: 'deep'" in details
    assert f"command: renalseg report {mask} --patient-name ... --patient-id=...\n" in details
    assert "Jane" not in details
    assert "numpy " in details


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (MemoryError(), 1, "not enough memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), 1, "not enough memory"),
        (OSError(28, "No space left on device"), 1, "the disk is full; make room"),
        (OSError(122, "Disk quota exceeded"), 1, "the disk quota is used up"),
        (PermissionError(13, "Permission denied", "/x"), 1, "/x: Permission denied"),
        (ModelError("no model"), 1, "error: no model"),
        (RuntimeError("CUDA error: an illegal memory access"), 3, "a fault of renalseg"),
        (RecursionError(), 3, "a fault of renalseg"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_is_foreseen_is_not_called_a_fault(
    mask, state, monkeypatch, capsys, error, code, text
):
    monkeypatch.setattr("renalseg.clinical.measure", raising(error))
    found, said = leave(monkeypatch, capsys, "measure", mask)
    assert found == code
    assert text in said
    assert len(said.splitlines()) == (code != 130)
    assert state.exists() == (code == 3)


def test_details_that_cannot_be_written_are_no_second_fault(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(faults, "_folders", lambda: [tmp_path / "file", tmp_path / "file" / "x"])
    problem = problem_of(KeyError("deep"))
    assert "KeyError" in problem
    assert "no folder could be written to keep its details" in problem


def test_a_reader_who_leaves_is_no_fault(mask):
    code = f"import sys; sys.argv = ['renalseg', 'measure', {str(mask)!r}, '--json']; "
    code += "from renalseg.cli.main import run; run()"
    ended, theirs = os.pipe()
    os.close(ended)
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
    os.close(theirs)
    assert (found.returncode, found.stderr) == (1, "")


class TwoPartError(Exception):
    """Cannot be made again from what pickle keeps of it."""

    def __init__(self, one, other):
        super().__init__(f"{one} {other}")


def fail_in_two_parts():
    raise TwoPartError("deep", "inside")


def test_an_error_that_cannot_be_sent_from_a_worker_is_no_lost_worker():
    with worker_pool(2) as pool:
        error = pool.submit(fail_in_two_parts).exception()
    assert isinstance(error, RuntimeError)
    assert "TwoPartError in a worker" in str(error)
    assert "fail_in_two_parts" in str(error)
    assert is_fault(problem_of(error))


def test_a_step_that_meets_a_fault_leaves_its_trace_in_the_logs(tmp_path):
    found = failure("train x fold 0", KeyError("deep"), tmp_path / "logs")
    assert is_fault(found)
    assert "train x fold 0: this is a fault of renalseg, not yours: KeyError" in found
    assert "KeyError: 'deep'" in (tmp_path / "logs" / "train-x-fold-0.log").read_text()
    assert not is_fault(failure("train", MemoryError(), tmp_path))
    assert not is_fault(failure("train", OSError(28, "full"), tmp_path))


@pytest.fixture
def cohort(tmp_path):
    for number in (1, 2):
        make_case(tmp_path / "cohort" / f"case_{number:05d}")
    return tmp_path / "cohort"


def fail_for_case_1(original, error):
    def fails(case, *more, **options):
        if "case_00001" in str(getattr(case, "case_id", case)):
            raise error
        return original(case, *more, **options)

    return fails


@pytest.mark.parametrize(("error", "code"), [(KeyError("deep"), 3), (MemoryError(), 1)])
@pytest.mark.parametrize(
    ("command", "function"),
    [
        (["data", "check"], "renalseg.cohort.check.case_problems"),
        (["data", "sample"], "renalseg.cohort.write_plausible_maps"),
        (["data", "aggregate"], "renalseg.cohort.write_aggregate"),
        (
            ["data", "disagreement", "-j", "1", "-o", "{}"],
            "renalseg.evaluation.disagreement.disagreement",
        ),
        (["evaluate", "-j", "1", "-o", "{}", "-r"], "renalseg.evaluation.folder.evaluate_case"),
    ],
)
def test_a_fault_with_one_case_stops_no_other(
    cohort, tmp_path, monkeypatch, command, function, error, code
):
    module, name = function.rsplit(".", 1)
    original = getattr(__import__(module, fromlist=[name]), name)
    monkeypatch.setattr(function, fail_for_case_1(original, error))
    words = [word.format(tmp_path / "out") for word in command]
    if command[0] == "evaluate":
        (tmp_path / "predictions").mkdir()
        for case in cohort.iterdir():
            target = tmp_path / "predictions" / f"{case.name}.nii.gz"
            target.write_bytes((case / "segmentation.nii.gz").read_bytes())
        words.insert(1, str(tmp_path / "predictions"))
    result = CliRunner().invoke(app, [*words, str(cohort)])
    assert result.exit_code == code
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("case_00001: "))
    assert ("a fault of renalseg" in line) == (code == 3)
    assert "case_00002" not in result.stderr


def test_a_fault_while_viewing_is_answered_with_a_number(mask, state, monkeypatch, capsys):
    monkeypatch.setattr(LocalStudy, "record", raising(KeyError("deep")))
    study = LocalStudy(mask, read_labels(mask))
    with ViewServer(study) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        client = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        try:
            client.request("GET", f"/{server.token}/api/studies")
            answer = client.getresponse()
            text = answer.read().decode()
        finally:
            client.close()
            server.shutdown()
            thread.join()
    number = re.search(r"fault (\d{8})", text)[1]
    assert answer.status == 500
    assert "deep" not in text
    (path,) = state.iterdir()
    assert number in path.name
    assert f"fault {number} of renalseg, not yours: see {path}" in capsys.readouterr().err


def test_problems_are_lines_that_know_whose_they_are():
    assert (Problem("x").exit_code, Problem("x", is_fault=True).exit_code) == (1, 3)
    assert problem_of(ModelError("two\nlines"), "case") == "case: two lines"
    assert not is_fault("a line")


def test_warnings_are_ours_or_hidden(capsys):
    with warnings_as_lines():
        warnings.simplefilter("always")
        warnings.warn("a voxel is odd", RenalsegWarning, stacklevel=1)
        warnings.warn("use the new function", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "look: a voxel is odd\n"


def test_a_command_shows_a_warning_as_one_line(mask, tmp_path, monkeypatch, capsys):
    ct = np.linspace(0, 4095, 10 * 12 * 14).reshape(10, 12, 14).astype(np.float32)
    Volume(ct, np.diag([-2.0, -2, -2, 1])[[2, 1, 0, 3]]).save(tmp_path / "ct.nii.gz")
    code, said = leave(monkeypatch, capsys, "measure", mask, "--ct", tmp_path / "ct.nii.gz")
    assert code == 0
    (line,) = said.splitlines()
    assert line.startswith(f"look: {tmp_path / 'ct.nii.gz'}: no voxel below")
