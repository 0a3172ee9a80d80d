"""ONNX: a network as a file that other runtimes read, and ONNX Runtime, which reads it back."""

import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renalseg.errors import ModelError
from renalseg.inference.openvino import INPUT, OUTPUT

if TYPE_CHECKING:
    from torch import Tensor, nn

    from renalseg.inference.forward import Run


def write_onnx(network: "nn.Module", channels: int, patch_size: Sequence[int], path: Path) -> None:
    """Write a network as one ONNX file for any number of patches.

    Args:
        network: A module in evaluation mode, on the CPU.
        channels: Of its input.
        patch_size: Of the network's axes.
        path: The file.

    Raises:
        ModelError: If what writes ONNX is not installed.
    """
    import torch

    check_onnx()
    onnx = import_module("onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of its own functions
        program = torch.onnx.export(
            network,
            (torch.zeros(1, channels, *patch_size),),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
    if program is None:  # says its type, and nothing else
        raise ModelError(f"{path.name}: PyTorch wrote no ONNX; leave --format onnx out")
    model = program.model_proto
    _forget_traces(model)
    onnx.save(model, path)


def onnx_run(path: Path, threads: int | None = None) -> "Run":
    """Load an ONNX file in ONNX Runtime, on the CPU.

    Args:
        path: The file.
        threads: As many as PyTorch's when absent.

    Returns:
        A function from patches, float32 (batch, channel, ...), to logits, float32
        (batch, class, ...).

    Raises:
        ModelError: If ONNX Runtime is not installed.
    """
    import torch

    check_onnx()
    runtime = import_module("onnxruntime")
    runtime.disable_telemetry_events()  # Microsoft's builds for Windows have some
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(patches: "Tensor") -> "Tensor":
        seen = patches.detach().to("cpu", torch.float32).contiguous()
        return torch.from_numpy(session.run(None, {name: seen.numpy()})[0])

    return run


def check_onnx() -> None:
    """Look for the packages that write ONNX and read it back.

    Raises:
        ModelError: If one of them is not installed.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        try:
            import_module(package)
        except ImportError as error:
            raise ModelError(
                f"{package} is not installed; pip install 'renalseg[export]'"
            ) from error


def _forget_traces(model: Any) -> None:
    """Take out where in which files of this machine each layer was written down."""
    graph = model.graph
    for parts in (graph.node, graph.input, graph.output, graph.value_info, graph.initializer):
        for part in parts:
            part.ClearField("metadata_props")
    model.ClearField("metadata_props")
