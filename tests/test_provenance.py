import getpass
import hashlib
import json
import socket
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError

import renalseg
from renalseg.provenance import (
    NOTICE,
    InputRecord,
    ModelRecord,
    Provenance,
    Warned,
    array_hash,
    file_hash,
    sidecar_path,
    without_folders,
)
from renalseg.volume import SUFFIXES


def record(**changed):
    scan = InputRecord(name="scan.nii.gz", hash="sha256:0", shape=(3, 4, 5), spacing_mm=(3, 1, 1))
    model = ModelRecord(name="ensemble", members=("a",), files={"a/plans.json": "sha256:1"})
    return Provenance(**({"model": model, "input": scan, "device": "cpu"} | changed))


def test_file_hash_is_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"kidney")
    assert file_hash(tmp_path / "file") == f"sha256:{hashlib.sha256(b'kidney').hexdigest()}"


@given(hnp.arrays(np.int16, hnp.array_shapes(min_dims=3, max_dims=3, max_side=4)))
def test_array_hash_depends_on_values_and_not_on_memory(array):
    affine = np.eye(4)
    expected = array_hash(array, affine)
    assert array_hash(np.asfortranarray(array), affine) == expected
    assert array_hash(array.astype(">i2"), affine) == expected
    assert array_hash(array, -np.diag([0.0, 0, 0, 0]) + affine) == expected
    assert array_hash(array + np.int16(1), affine) != expected
    assert array_hash(array, 2 * affine) != expected
    assert array_hash(array.astype(np.int32), affine) != expected


def test_array_hash_depends_on_the_shape():
    array = np.zeros((2, 3, 4), np.uint8)
    assert array_hash(array, np.eye(4)) != array_hash(array.reshape(3, 2, 4), np.eye(4))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_record_stands_beside_the_mask(suffix):
    assert sidecar_path(Path("masks") / f"case.1{suffix}") == Path("masks/case.1.json")


def test_the_record_says_what_made_the_mask(tmp_path):
    record(settings={"mirror": False}, warnings=(Warned(code="cut", text="Cut."),)).write(
        tmp_path / "mask.json"
    )
    written = json.loads((tmp_path / "mask.json").read_text())
    assert written["notice"] == NOTICE
    assert "Not a medical device" in NOTICE
    assert written["renalseg"] == renalseg.__version__
    assert datetime.fromisoformat(written["time"]).utcoffset().total_seconds() == 0
    assert written["settings"] == {"mirror": False}
    assert written["versions"]["numpy"] == np.__version__
    assert written["input"]["shape"] == [3, 4, 5]
    assert written["warnings"] == [{"code": "cut", "text": "Cut."}]
    assert Provenance.model_validate(written) == Provenance.model_validate_json(
        (tmp_path / "mask.json").read_text()
    )


def test_a_record_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        record().device = "cuda"


def test_a_model_is_named_by_its_files_hashes(tmp_path):
    folder = tmp_path / "ensemble"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "plans.json").write_text("{}")
    model = ModelRecord.of(folder, ["a"], [folder / "a" / "plans.json"])
    assert model.name == "ensemble"
    assert model.files == {"a/plans.json": file_hash(folder / "a" / "plans.json")}


def test_a_model_may_say_its_name_version_and_licence(tmp_path):
    bare = ModelRecord.of(tmp_path / "ensemble", ["a"], [])
    assert bare.title == "ensemble"
    about = {"name": "own", "version": "2", "licence": "CC BY 4.0", "notice": "Look."}
    named = ModelRecord.of(tmp_path / "ensemble", ["a"], [], **about)
    assert named.title == "own 2, CC BY 4.0"
    assert named.notice == "Look."


def test_records_of_models_without_a_version_can_still_be_read():
    old = {"name": "ensemble", "members": ["a"], "files": {}}
    assert ModelRecord.model_validate(old).licence == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/jane/scan.nii.gz: no voxel below -200 HU", "scan.nii.gz: no voxel below -200 HU"),
        ("/data/Jane Doe/scan.nii.gz", "scan.nii.gz"),
        ("(/data/scan.nii)", "(scan.nii)"),
        (r"C:\Users\jane\scan.nii: odd", "scan.nii: odd"),
        ("~/scan.nii", "scan.nii"),
        ("file:///home/jane/scan.nii", "scan.nii"),
        ("see '/home/jane/model'", "see 'model'"),
        ("HU / ml and/or https://example.org/a", "HU / ml and/or https://example.org/a"),
    ],
)
def test_folders_are_left_out(text, expected):
    assert without_folders(text) == expected


def test_neither_user_nor_machine_nor_folder_is_written(tmp_path):
    secret = tmp_path / "patient"
    made = record(
        input=InputRecord(
            name=str(secret / "scan.nii"), hash="sha256:0", shape=(1, 1, 1), spacing_mm=(1, 1, 1)
        ),
        settings={"model": secret / "m", "inner": [{"output": str(secret / "mask.nii")}]},
        warnings=(Warned(code="odd", text=f"{secret / 'scan.nii'}: odd"),),
    )
    text = made.model_dump_json()
    assert made.input.name == "scan.nii"
    assert made.settings == {"model": "m", "inner": [{"output": "mask.nii"}]}
    assert made.warnings[0].text == "scan.nii: odd"
    for private in ("patient", str(tmp_path), str(Path.home()), socket.gethostname()):
        assert private not in text
    assert f'"{getpass.getuser()}"' not in text


def test_a_relative_folder_is_left_out_of_the_input():
    given = InputRecord(
        name="jane/scan.nii", hash="sha256:0", shape=(1, 1, 1), spacing_mm=(1, 1, 1)
    )
    assert given.name == "scan.nii"
