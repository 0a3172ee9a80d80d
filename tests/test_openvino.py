import os
import subprocess
import sys
import warnings
from importlib.util import find_spec

import pytest
import torch

from models import TINY_PLAN
from renalseg.errors import ModelError
from renalseg.inference.openvino import openvino_run
from renalseg.models.networks import build_network
from renalseg.models.plans import CASCADE, FULLRES, PLANAR, nnunet_plans, residual_configuration

# Looked for and not imported: an import of OpenVINO by its own name wakes its telemetry.
pytestmark = pytest.mark.skipif(
    find_spec("openvino") is None, reason="needs OpenVINO: pip install 'renalseg[openvino]'"
)


def network(configuration=FULLRES):
    torch.manual_seed(0)
    plans = nnunet_plans(TINY_PLAN, "Dataset021_KiTS", [(3.0, 3.0, 3.0)], [(40, 40, 20)])
    dataset = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "kidney": 1, "tumor": 2, "cyst": 3},
        "file_ending": ".nii.gz",
    }
    return build_network(plans, dataset, configuration).eval()


def expected(module, patches):
    with torch.no_grad():
        return module(patches)


@pytest.mark.parametrize(
    ("configuration", "channels", "axes"),
    [(FULLRES, 1, 3), (CASCADE, 4, 3), (PLANAR, 1, 2), (residual_configuration("resenc-m"), 1, 3)],
)
def test_it_computes_what_pytorch_computes(configuration, channels, axes):
    module = network(configuration)
    patches = torch.randn(1, channels, *[16] * axes)
    logits = openvino_run(module, channels, [16] * axes)(patches)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected(module, patches), atol=2e-5, rtol=0)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_any_number_of_patches_is_taken(count):
    module = network()
    patches = torch.randn(count, 1, 16, 16, 16)
    logits = openvino_run(module, 1, (16, 16, 16), batch=2)(patches)
    torch.testing.assert_close(logits, expected(module, patches), atol=2e-5, rtol=0)


def test_large_patches_are_added_up_as_exactly_as_by_pytorch():
    module = network()
    patches = 3 + torch.randn(2, 1, 96, 96, 96)
    logits = openvino_run(module, 1, (96, 96, 96), batch=2)(patches)
    torch.testing.assert_close(logits, expected(module, patches), atol=2e-5, rtol=0)


def test_patches_may_lie_in_memory_as_they_like():
    module = network()
    patches = torch.randn(16, 16, 1, 1, 16).permute(2, 3, 0, 4, 1)
    logits = openvino_run(module, 1, (16, 16, 16))(patches)
    torch.testing.assert_close(logits, expected(module, patches), atol=2e-5, rtol=0)


def test_results_are_not_overwritten_by_the_next_patch():
    run = openvino_run(network(), 1, (16, 16, 16))
    first = run(torch.zeros(1, 1, 16, 16, 16))
    kept = first.clone()
    run(torch.randn(1, 1, 16, 16, 16))
    assert torch.equal(first, kept)


def test_half_precision_is_close():
    module = network()
    patches = torch.randn(1, 1, 16, 16, 16)
    logits = openvino_run(module, 1, (16, 16, 16), precision="bfloat16")(patches)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected(module, patches), atol=0.2, rtol=0)


def test_it_is_silent(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        openvino_run(network(), 1, (16, 16, 16))(torch.zeros(1, 1, 16, 16, 16))
    assert capfd.readouterr() == ("", "")


def test_openvino_tells_nobody_of_its_use(tmp_path):
    program = """
import sys, torch
from renalseg.inference.openvino import openvino_run
openvino_run(torch.nn.Conv2d(1, 1, 1), 1, (4, 4))
assert sys.modules["openvino.tools.ovc.telemetry_utils"].tm.__name__.endswith("telemetry_stub")
assert "openvino_telemetry" not in sys.modules
"""
    home = {"HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=os.environ | home, check=True)
    assert list(tmp_path.iterdir()) == []  # with telemetry it leaves an identity there


def test_without_openvino_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match=r"pip install 'renalseg\[openvino\]'"):
        openvino_run(network(), 1, (16, 16, 16))
