"""One network as a file of another runtime, read back and compared with PyTorch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from renalseg.errors import ModelError
from renalseg.inference.onnx import check_onnx, onnx_run, write_onnx
from renalseg.inference.openvino import import_openvino, read_openvino, write_openvino
from renalseg.models.loading import LoadedModel
from renalseg.provenance import file_hash

Format = Literal["onnx", "openvino"]
FORMATS: tuple[Format, ...] = get_args(Format)

#: Largest difference from PyTorch, as a share of the range of its logits.
TOLERANCE = 1e-3


def check_packages(formats: Sequence[Format]) -> None:
    """Look for what the formats need, before any work is done.

    Raises:
        ModelError: If a package is not installed.
    """
    checks = {"onnx": check_onnx, "openvino": import_openvino}
    for kind in formats:
        checks[kind]()


def export_network(model: LoadedModel, kind: Format, stem: Path) -> dict[str, Any]:
    """Write the network of a model's first fold.

    Args:
        model: What was loaded.
        kind: The format.
        stem: The file without the format's ending.

    Returns:
        The files, what they hash to, and how far their logits are from PyTorch's for noise.

    Raises:
        ModelError: If they are too far.
    """
    import torch

    network, size = model.networks[0], model.settings.patch_size
    channels = input_channels(model)
    if kind == "onnx":
        path = stem.with_suffix(".onnx")
        write_onnx(network, channels, size, path)
        run, files = onnx_run(path), [path]
    else:
        path = stem.with_suffix(".xml")
        write_openvino(network, channels, size, path)
        run, files = read_openvino(path), [path, stem.with_suffix(".bin")]
    patch = torch.randn(1, channels, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(patch)
    difference = float((run(patch) - expected).abs().max())
    spread = float(expected.max() - expected.min())
    place = f"{path.parent.name}/{path.name}"
    if not difference <= TOLERANCE * spread:
        raise ModelError(
            f"{place}: differs from PyTorch by {difference:.2g} where logits range over "
            f"{spread:.2g}; leave out --format {kind}"
        )
    return {
        "format": kind,
        "batch": "any" if kind == "onnx" else 1,
        "file": place,
        "hashes": {f"{p.parent.name}/{p.name}": file_hash(p) for p in files},
        "largest_difference": difference,
        "logits_range": spread,
    }


def input_channels(model: LoadedModel) -> int:
    """Images, and for a second stage the classes of the first."""
    return model.channels + (model.classes - 1 if model.is_second_stage else 0)
