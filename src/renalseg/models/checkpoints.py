"""Weights are data: checkpoints hold tensors and plain values, and are read as nothing else."""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from renalseg.errors import ModelError
from renalseg.models.documents import reason, shown

FINAL = "checkpoint_final.pth"
LATEST = "checkpoint_latest.pth"


def save_checkpoint(checkpoint: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint that ``torch.load(weights_only=True)`` reads; all of it or nothing.

    Raises:
        ModelError: If it cannot be written.
    """
    import torch

    beside = path.with_name(f".{path.name}.part")
    try:
        torch.save(_plain(checkpoint), beside)
        os.replace(beside, path)
    except (OSError, RuntimeError) as error:
        beside.unlink(missing_ok=True)
        raise ModelError(
            f"{path}: cannot be written ({reason(error)}); see to space and rights, and run again"
        ) from error


def load_checkpoint(path: Path, device: str = "cpu") -> dict[str, Any]:
    """Read a checkpoint without running any code that it may carry.

    Raises:
        ModelError: If the file is missing, damaged, or holds more than tensors and plain values.
    """
    checkpoint = load_tensors(path, device)
    if not isinstance(checkpoint, dict) or "network_weights" not in checkpoint:
        raise ModelError(f"{path}: expected an nnU-Net v2 checkpoint with network_weights")
    return checkpoint


def load_tensors(path: Path, device: str = "cpu") -> Any:
    """Read tensors, plain values and numpy's numbers, which nnU-Net keeps beside its weights.

    Raises:
        ModelError: If the file is missing, damaged, or holds more than that.
    """
    import torch

    if not path.is_file():
        raise ModelError(f"{path}: no such checkpoint; the model was not trained to its end")
    _refuse_compressed(path)
    try:
        with torch.serialization.safe_globals(_numpy_numbers()):
            return torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        # torch opens with a paragraph on its own versions
        said = shown(str(error).rpartition("WeightsUnpickler error: ")[2]) or reason(error)
        raise ModelError(
            f"{path}: not a checkpoint of tensors and plain values ({said}); copy it again, or "
            " do not use it if you do not know where it comes from"
        ) from error


def _refuse_compressed(path: Path) -> None:
    """Torch never compresses; a file of a few bytes that unpacks to gigabytes is no checkpoint."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as opened:
            unpacked = sum(member.file_size for member in opened.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelError(f"{path}: damaged ({reason(error)}); copy it again") from None
    if unpacked > path.stat().st_size:
        raise ModelError(
            f"{path}: expected tensors as they are, got an archive that unpacks to {unpacked} "
            "bytes; do not use it if you do not know where it comes from"
        )


def _numpy_numbers() -> list[Any]:
    """What numpy's numbers and arrays are pickled as, by version 1 and by version 2."""
    import numpy as np

    multiarray = np._core.multiarray  # type: ignore[attr-defined]
    functions = [
        (getattr(multiarray, name), f"numpy.{core}.multiarray.{name}")
        for name in ("_reconstruct", "scalar")
        for core in ("core", "_core")
    ]
    kinds = [type(np.dtype(kind)) for kind in ("f8", "f4", "f2", "i8", "i4", "u1", "?")]
    return [np.ndarray, np.dtype, *functions, *kinds]


def _plain(value: Any) -> Any:
    """Replace numpy's and torch's wrappers by what they wrap; tensors stay."""
    import numpy as np
    import torch

    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, torch.device):
        return str(value)
    return value
