"""The device that networks run on."""

from renalseg.errors import ModelError

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
