"""The device that networks run on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from renalseg.errors import ModelError

if TYPE_CHECKING:
    import torch

AUTO = "auto"


def resolve_device(name: str) -> str:
    """Turn ``auto`` into the best device there is, and refuse one that is not there.

    Raises:
        ModelError: If torch cannot use the device.
    """
    import torch

    if name == AUTO:
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"device {name!r} cannot be used here; try --device cpu") from error
    return name


def cpu_layout(patch_size: Sequence[int]) -> "torch.memory_format":
    """The memory layout in which a CPU convolves fastest, for a 2D or a 3D patch."""
    import torch

    return torch.channels_last_3d if len(patch_size) == 3 else torch.channels_last
