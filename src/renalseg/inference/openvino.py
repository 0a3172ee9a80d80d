"""OpenVINO as a back-end: on a CPU it runs a network in a fraction of PyTorch's time."""

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from renalseg.errors import ModelError
from renalseg.inference.openvino_norm import normalise_in_parts

if TYPE_CHECKING:
    from torch import Tensor, nn

    from renalseg.inference.forward import Run

Precision = Literal["float32", "bfloat16"]

INPUT = "patch"
OUTPUT = "logits"


def openvino_run(
    network: "nn.Module",
    channels: int,
    patch_size: Sequence[int],
    *,
    batch: int = 1,
    precision: Precision = "float32",
    threads: int | None = None,
) -> "Run":
    """Compile a network for the CPU.

    Args:
        network: A module in evaluation mode, on the CPU; it is not needed afterwards.
        channels: Of its input.
        patch_size: Of the network's axes.
        batch: Patches at a time. Fewer take as long as these, more come one batch after the
            other. More than one are no faster per patch.
        precision: What is computed in; ``bfloat16`` where the CPU has it, ``float32`` elsewhere.
        threads: As many as PyTorch's when absent.

    Returns:
        A function from patches, float32 (batch, channel, ...), to logits, float32
        (batch, class, ...). It answers one call at a time.

    Raises:
        ModelError: If OpenVINO is not installed.
    """
    import torch

    model = convert_network(network, channels, patch_size, batch)
    return run_model(model, precision, threads or torch.get_num_threads())


def convert_network(
    network: "nn.Module", channels: int, patch_size: Sequence[int], batch: int
) -> Any:
    """Convert a network in memory.

    Args:
        network: A module in evaluation mode, on the CPU.
        channels: Of its input.
        patch_size: Of the network's axes.
        batch: Patches at a time.

    Returns:
        An ``openvino.Model``, from ``patch`` to ``logits``.

    Raises:
        ModelError: If OpenVINO is not installed.
    """
    import torch

    openvino = import_openvino()
    example = torch.zeros(1, channels, *_least_size(network, patch_size))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch.jit; torch.export takes normalisations apart
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
        model = openvino.convert_model(traced, example_input=example)
    model.inputs[0].get_tensor().set_names({INPUT})
    model.outputs[0].get_tensor().set_names({OUTPUT})
    model.reshape([batch, channels, *patch_size])
    normalise_in_parts(model, openvino.opset13)
    return model


def write_openvino(
    network: "nn.Module", channels: int, patch_size: Sequence[int], path: Path
) -> None:
    """Write a network for one patch at a time as ``path`` (.xml) and a .bin beside it, float32.

    Raises:
        ModelError: If OpenVINO is not installed.
    """
    model = convert_network(network, channels, patch_size, batch=1)
    import_openvino().save_model(model, path, compress_to_fp16=False)


def read_openvino(path: Path) -> "Run":
    """Load what :func:`write_openvino` wrote."""
    import torch

    return run_model(import_openvino().Core().read_model(path), threads=torch.get_num_threads())


def run_model(model: Any, precision: Precision = "float32", threads: int = 1) -> "Run":
    """Compile an ``openvino.Model``; as :func:`openvino_run`."""
    import torch

    openvino = import_openvino()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        "ENABLE_CPU_PINNING": False,  # several workers would all be pinned to the first cores
    }
    compiled = openvino.Core().compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    batch, classes = compiled.outputs[0].shape[:2]

    def shared(tensor: "Tensor") -> Any:
        return openvino.Tensor(tensor.numpy(), shared_memory=True)

    def run(patches: "Tensor") -> "Tensor":
        count, room = len(patches), -(-len(patches) // batch) * batch
        seen = patches.detach().to("cpu", torch.float32).contiguous()
        if room > count:
            seen = torch.cat([seen, seen.new_zeros(room - count, *seen.shape[1:])])
        logits = torch.empty(room, classes, *seen.shape[2:])
        for start in range(0, room, batch):
            request.set_input_tensor(shared(seen[start : start + batch]))
            request.set_output_tensor(shared(logits[start : start + batch]))
            request.infer()
        return logits[:count]

    return run


def _least_size(network: "nn.Module", patch_size: Sequence[int]) -> list[int]:
    """The smallest patch that a U-Net of nnU-Net takes; another network's is the patch itself."""
    strides = getattr(getattr(network, "encoder", None), "strides", None)
    if strides is None:
        return list(patch_size)
    size = [2, *[1] * (len(patch_size) - 1)]  # instance normalisation needs two voxels
    for steps in strides:
        each = [steps] * len(size) if isinstance(steps, int) else steps
        size = [n * step for n, step in zip(size, each, strict=True)]
    return size


def import_openvino() -> Any:
    """Import OpenVINO, and none of its telemetry: it would tell its maker of every import.

    Raises:
        ModelError: If it is not installed.
    """
    try:
        with _hidden("openvino_telemetry"):
            return import_module("openvino")
    except ImportError as error:
        raise ModelError("OpenVINO is not installed; pip install 'renalseg[openvino]'") from error


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Let a package be missing, for which OpenVINO has a silent substitute of its own."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]
