import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from models import write_model
from renalseg.cli.main import app
from renalseg.errors import ModelError
from renalseg.inference import export_network
from renalseg.inference.export import export_model
from renalseg.models.ensemble import About, write_ensemble
from renalseg.models.loading import load_networks
from renalseg.models.plans import CASCADE, LOWRES, PLANAR
from renalseg.provenance import file_hash

# Looked for and not imported: an import of OpenVINO by its own name wakes its telemetry.
NEEDED = ("openvino", "onnx", "onnxscript", "onnxruntime")
pytestmark = pytest.mark.skipif(
    any(find_spec(package) is None for package in NEEDED),
    reason=f"needs {', '.join(NEEDED)}: pip install 'renalseg[export]'",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "single", mirror=(0, 1, 2))


@pytest.fixture(scope="module")
def one_fold(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "single", folds=(0,))


@pytest.fixture(scope="module")
def cascade(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cascade")
    stages = [
        write_model(folder / "low", LOWRES, folds=(0,)),
        write_model(folder / "full", CASCADE, folds=(0,)),
    ]
    write_ensemble(folder / "ensemble", {"deep one": stages}, [0])
    return folder / "ensemble"


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("export") / "out"
    export_model(model, target)
    return target


def test_an_export_carries_the_models_licence(one_fold, tmp_path):
    about = About(name="own", version="2", licence="CC BY 4.0", trained_on="noise", notice="Look.")
    write_ensemble(tmp_path / "e", {"one": [one_fold]}, [0], about=about)
    written = export_model(tmp_path / "e", tmp_path / "out", ["onnx"])
    assert written["licence"] == "CC BY 4.0"
    assert written["model"] == about.model_dump()


def description(folder: Path) -> dict:
    return json.loads((folder / "export.json").read_text())


def test_every_fold_is_written_in_both_formats(exported):
    written = sorted(p.relative_to(exported).as_posix() for p in exported.rglob("*.*"))
    folds = [f"single-stage1/fold_{n}.{end}" for n in (0, 1) for end in ("bin", "onnx", "xml")]
    assert written == ["export.json", *folds]


def test_onnx_computes_what_pytorch_computes(model, exported):
    import onnxruntime

    session = onnxruntime.InferenceSession(exported / "single-stage1" / "fold_1.onnx")
    patches = torch.randn(2, 1, 16, 16, 16)  # two of them: the batch is free
    (logits,) = session.run(["logits"], {"patch": patches.numpy()})
    with torch.no_grad():
        expected = load_networks(model, [1]).networks[0](patches).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_openvino_computes_what_pytorch_computes(model, exported):
    from renalseg.inference.openvino import import_openvino

    core = import_openvino().Core()
    compiled = core.compile_model(exported / "single-stage1" / "fold_1.xml", "CPU")
    patches = torch.randn(1, 1, 16, 16, 16)
    logits = compiled({"patch": patches.numpy()})["logits"]
    with torch.no_grad():
        expected = load_networks(model, [1]).networks[0](patches).numpy()
    np.testing.assert_allclose(logits, expected, atol=0.1)  # its default precision is the CPU's


def test_the_description_says_what_a_program_must_know(exported):
    content = description(exported)
    assert content["storage"] == "IPL"
    assert "Not a medical device" in content["notice"]
    assert "CC BY-NC-SA 4.0" in content["licence"]
    (network,) = content["networks"]
    assert network["input"]["shape"] == ["batch", 1, 16, 16, 16]
    assert network["input"]["axes"] == ["batch", "channel", "slice", "row", "column"]
    assert network["input"]["channels"] == ["CT"]
    assert network["output"]["classes"] == ["background", "kidney", "tumor", "cyst"]
    assert network["spacing_mm"] == [3.0, 3.0, 3.0]
    assert network["normalisation"] == [
        {"scheme": "CTNormalization", "clip_hu": [-62.0, 310.0], "mean_hu": 104.9, "std_hu": 75.3}
    ]
    assert network["mirrored_axes"] == ["slice", "row", "column"]


def test_the_description_has_a_hash_and_a_difference_for_each_file(exported):
    files = [file for network in description(exported)["networks"] for file in network["files"]]
    assert {(file["fold"], file["format"]) for file in files} == {
        (fold, kind) for fold in (0, 1) for kind in ("onnx", "openvino")
    }
    for file in files:
        assert 0 <= file["largest_difference"] < 1e-3 * file["logits_range"]
        assert file["hashes"] == {name: file_hash(exported / name) for name in file["hashes"]}
    assert sum(len(file["hashes"]) for file in files) == 6


def test_no_file_says_where_it_was_made(exported):
    here = str(Path(torch.__file__).parents[1]).encode()
    for path in exported.rglob("*.*"):
        content = path.read_bytes()
        assert here not in content
        assert b"stack_trace" not in content


def test_the_second_stage_of_a_cascade_takes_classes_as_channels(cascade, tmp_path):
    content = export_model(cascade, tmp_path / "out", ["openvino"])
    first, second = content["networks"]
    assert [first["stage"], second["stage"], second["stages"]] == [1, 2, 2]
    assert second["files"][0]["file"] == "deep_one-stage2/fold_0.xml"
    assert second["input"]["channels"] == ["CT", "kidney", "tumor", "cyst"]
    assert second["input"]["shape"] == ["batch", 4, 16, 16, 16]


def test_a_planar_network_is_exported(tmp_path):
    model = write_model(tmp_path / "planar", PLANAR, folds=(0,))
    (network,) = export_model(model, tmp_path / "out")["networks"]
    assert network["input"]["axes"] == ["batch", "channel", "row", "column"]


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_nothing_is_left_of_files_that_compute_something_else(
    one_fold, tmp_path, monkeypatch, kind
):
    monkeypatch.setattr(export_network, "TOLERANCE", -1.0)
    with pytest.raises(ModelError, match=r"fold_0.* differs from PyTorch"):
        export_model(one_fold, tmp_path / "out", [kind])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_kept(one_fold, exported):
    before = (exported / "export.json").stat().st_mtime_ns
    with pytest.raises(ModelError, match="exists; give another folder, or --overwrite"):
        export_model(one_fold, exported)
    assert (exported / "export.json").stat().st_mtime_ns == before


def test_only_an_export_is_overwritten(one_fold, tmp_path):
    (tmp_path / "letters").mkdir()
    with pytest.raises(ModelError, match="not an export"):
        export_model(one_fold, tmp_path / "letters", overwrite=True)


def test_an_earlier_export_is_overwritten_when_asked(one_fold, tmp_path):
    export_model(one_fold, tmp_path / "out", ["openvino"])
    export_model(one_fold, tmp_path / "out", ["onnx"], overwrite=True)
    endings = {p.suffix for p in (tmp_path / "out").rglob("fold_*")}
    assert endings == {".onnx"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_without_the_packages_the_error_says_what_to_install(
    one_fold, tmp_path, monkeypatch, package
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelError, match=rf"{package} is not .* pip install 'renalseg\[export\]'"):
        export_model(one_fold, tmp_path / "out", ["onnx"])


def test_the_command_prints_the_description(one_fold, tmp_path):
    target = tmp_path / "out"
    arguments = ["export", str(one_fold), "-o", str(target), "--format", "openvino", "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == description(target)
