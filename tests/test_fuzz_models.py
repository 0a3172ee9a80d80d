"""Damaged and hostile models: refused in one line, or harmless."""

import io
import json
import os
import pickle
import shutil
import tarfile
import zipfile
from itertools import product

import nibabel
import numpy as np
import pytest
import torch

from fuzzing import IPL, VALUES, damage_bytes, damage_json, noted, run_predict, scan_array, seeded
from models import write_model
from renalseg.models.ensemble import write_ensemble
from soak import sampled

CHECKPOINT = "model/fold_0/checkpoint_final.pth"
FILES = {
    "manifest": "ensemble.json",
    "plans": "model/plans.json",
    "dataset": "model/dataset.json",
    "checkpoint": CHECKPOINT,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A scan and an ensemble of one tiny network."""
    root = tmp_path_factory.mktemp("whole")
    nibabel.save(nibabel.Nifti1Image(scan_array(), IPL), root / "scan.nii.gz")
    write_ensemble(root / "ensemble", {"model": [write_model(root / "trained")]}, [0])
    return root


@pytest.fixture
def predict(whole, tmp_path, monkeypatch, capsys):
    """The command on a copy of the ensemble, one file of which is another."""
    shutil.copytree(whole / "ensemble", tmp_path / "ensemble")
    (tmp_path / "masks").mkdir()

    def run(name: str, content: bytes) -> int:
        (tmp_path / "ensemble" / name).write_bytes(content)
        mask = tmp_path / "masks" / "mask.nii.gz"
        return run_predict(whole / "scan.nii.gz", mask, tmp_path / "ensemble", monkeypatch, capsys)

    return run


def test_the_whole_ensemble_predicts(whole, predict):
    name = FILES["plans"]
    assert predict(name, (whole / "ensemble" / name).read_bytes()) == 0


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        *sampled(product(["manifest", "plans", "dataset"], range(12)), 12),
        *sampled(product(["checkpoint"], range(40)), 10),
    ],
)
def test_damaged_bytes(whole, predict, kind, number):
    content = (whole / "ensemble" / FILES[kind]).read_bytes()
    damaged, said = damage_bytes(content, seeded(f"{kind} bytes", number))
    with noted(said):
        predict(FILES[kind], damaged)


#: Where a document's values that are relied on lie, and how many mutations they get.
_UNDER = [
    ("manifest", (), 40),
    ("dataset", (), 40),
    ("plans", (), 20),
    ("plans", ("configurations", "3d_fullres"), 50),
    ("plans", ("configurations", "3d_fullres", "architecture"), 50),
    ("plans", ("foreground_intensity_properties_per_channel",), 20),
]


@pytest.mark.parametrize(
    ("kind", "under", "number"),
    [(kind, under, n) for kind, under, count in _UNDER for n in sampled(range(count), count // 5)],
)
def test_damaged_json(whole, predict, kind, under, number):
    content = json.loads((whole / "ensemble" / FILES[kind]).read_text())
    damaged, said = damage_json(content, seeded(f"{kind} {under}", number), under=under)
    with noted(said):
        predict(FILES[kind], damaged.encode())


@pytest.mark.parametrize("kind", ["manifest", "plans", "dataset"])
@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{}", b"[]", b"null", b"1", b"NaN", b"\xff\xfe{}", b"[" * 100_000),
        *(b'{"a":' * 100_000, b'{"a": ' + b"9" * 10_000 + b"}", b'{"a": "' + bytes(17 << 20)),
    ],
    ids=range(11),
)
def test_other_json(predict, kind, content):
    assert predict(FILES[kind], content) == 1


class Evil:
    """Makes a folder when it is unpickled without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class Rebuilt:
    """Numbers that claim another shape than they have."""

    def __init__(self, size, stride):
        self.size, self.stride = size, stride

    def __reduce__(self):
        storage = torch.storage.TypedStorage(
            wrap_storage=torch.zeros(4).untyped_storage(), dtype=torch.float32, _internal=True
        )
        arguments = (storage, 0, self.size, self.stride, False, {})
        return torch._utils._rebuild_tensor_v2, arguments


def saved(content, **options) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def _zipped(content: bytes, kind: int) -> bytes:
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(stream, "w", kind) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return stream.getvalue()


def _bomb(checkpoint):
    weights = {name: torch.zeros(1 << 24) for name in list(checkpoint["network_weights"])[:1]}
    return _zipped(saved({**checkpoint, "network_weights": weights}), zipfile.ZIP_DEFLATED)


def _tarred(content: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("storages")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def _inside(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3")
    return stream.getvalue()


#: Whole files in a checkpoint's place.
WHOLE = {
    "empty": lambda _: b"",
    "json": lambda _: b"{}",
    "pickle": pickle.dumps,
    "pickle-proto-0": lambda content: pickle.dumps({"network_weights": {}}, protocol=0),
    "legacy": lambda content: saved(content, _use_new_zipfile_serialization=False),
    "legacy-cut": lambda content: saved(content, _use_new_zipfile_serialization=False)[:-200],
    "compressed": lambda content: _zipped(saved(content), zipfile.ZIP_DEFLATED),
    "bomb": _bomb,
    "tar": lambda content: _tarred(saved(content)),
    "zip-in-zip": lambda content: _inside(saved(content)),
    "twice": lambda content: saved(content) * 2,
    "a-list": lambda content: saved([content]),
    "a-tensor": lambda _: saved(torch.zeros(3)),
    "nothing": lambda _: saved(None),
    "end-of-pickle": lambda _: b"PK\x05\x06" + bytes(18),
}


@pytest.mark.parametrize("name", WHOLE)
def test_other_files_as_a_checkpoint(whole, predict, name):
    content = torch.load(whole / "ensemble" / CHECKPOINT, weights_only=True)
    assert predict(CHECKPOINT, WHOLE[name](content)) in (0, 1)


def test_code_in_a_checkpoint_does_not_run(whole, predict, tmp_path):
    content = torch.load(whole / "ensemble" / CHECKPOINT, weights_only=True)
    for evil in (saved({**content, "x": Evil(tmp_path / "ran")}), pickle.dumps(Evil("ran"))):
        assert predict(CHECKPOINT, evil) == 1
    assert not (tmp_path / "ran").exists()


def test_code_in_plans_does_not_run(whole, predict, tmp_path):
    plans = json.loads((whole / "ensemble" / FILES["plans"]).read_text())
    arguments = plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    arguments["nonlin"] = "torch.nn.parallel.distributed.os.system"
    arguments["nonlin_kwargs"] = {"command": f"touch {tmp_path / 'ran'}"}
    assert predict(FILES["plans"], json.dumps(plans).encode()) == 1
    assert not (tmp_path / "ran").exists()


#: What takes the place of a tensor.
TENSORS = {
    "nan": lambda t: torch.full_like(t, torch.nan),
    "inf": lambda t: torch.full_like(t, torch.inf),
    "huge": lambda t: torch.full_like(t, 3e38),
    "half": lambda t: t.half(),
    "double": lambda t: t.double(),
    "int": lambda t: t.int(),
    "bool": lambda t: t > 0,
    "complex": lambda t: t.to(torch.complex64),
    "sparse": lambda t: t.to_sparse(),
    "meta": lambda t: t.to("meta"),
    "flat": lambda t: t.flatten(),
    "empty": lambda _: torch.zeros(0),
    "scalar": lambda _: torch.tensor(1.0),
    "one-more": lambda t: torch.cat([t, t[:1]]),
    "repeated": lambda t: Rebuilt(tuple(t.shape), (0,) * t.ndim),
    "immense": lambda _: Rebuilt((1 << 40,), (0,)),
    "overflowing": lambda _: Rebuilt((1 << 62, 1 << 62), (0, 0)),
    "negative": lambda _: Rebuilt((-4,), (1,)),
    "beyond": lambda _: Rebuilt((1 << 40,), (1,)),
    "parameter": torch.nn.Parameter,
    "backwards": lambda t: t.transpose(0, -1).contiguous().transpose(0, -1),
    "text": lambda _: "weights",
    "numpy": lambda t: np.float64(3),
    "none": lambda _: None,
    "dict": lambda t: {"a": t},
}


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("number", sampled(range(2), 1))
def test_other_tensors(whole, predict, name, number):
    content = torch.load(whole / "ensemble" / CHECKPOINT, weights_only=True)
    weights = content["network_weights"]
    key = seeded(name, number).choice(sorted(weights))
    # a tensor is known by several names, and these need not agree
    weights[key] = TENSORS[name](weights[key])
    predict(CHECKPOINT, saved(content))


#: What takes the place of one of a checkpoint's other entries.
_ENTRIES = {
    "network_weights": [*VALUES, {1: torch.ones(1)}, {"\x1b[2J\n": torch.ones(1)}],
    "init_args": [None, {}, [], "3d_fullres", {"configuration": None}, {"configuration": []}]
    + [{"configuration": name} for name in ("", "2d", "3d_lowres", "3d_cascade_fullres", "\n")],
    "inference_allowed_mirroring_axes": [*VALUES, (0, 1, 2), (0, 0), (3,), (-1,), (0.5,), (True,)],
}


@pytest.mark.parametrize(
    ("entry", "number"),
    sampled([(key, n) for key, values in _ENTRIES.items() for n in range(len(values))], 30),
)
def test_other_entries_of_a_checkpoint(whole, predict, entry, number):
    content = torch.load(whole / "ensemble" / CHECKPOINT, weights_only=True)
    predict(CHECKPOINT, saved({**content, entry: _ENTRIES[entry][number]}))


@pytest.mark.parametrize(
    "missing", ["network_weights", "init_args", "inference_allowed_mirroring_axes", "trainer_name"]
)
def test_missing_entries_of_a_checkpoint(whole, predict, missing):
    content = torch.load(whole / "ensemble" / CHECKPOINT, weights_only=True)
    del content[missing]
    predict(CHECKPOINT, saved(content))
