"""What inference needs of one fold's checkpoint."""

import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from renalseg.errors import ModelError
from renalseg.models.checkpoints import FINAL, load_checkpoint


@dataclass(frozen=True, eq=False)
class Fold:
    """One trained network of a model folder, as its file has it.

    Attributes:
        path: The checkpoint.
        configuration: Its name in the plans.
        mirror_axes: Axes along which inference may mirror; those of the patch.
        weights: What stands as ``network_weights``, not yet checked.
    """

    path: Path
    configuration: str
    mirror_axes: tuple[int, ...]
    weights: Any


def read_fold(folder: Path, fold: int | str) -> Fold:
    """Read a fold of a model folder.

    Args:
        folder: A plain nnU-Net v2 model folder.
        fold: A number, or ``"all"``.

    Raises:
        ModelError: If the checkpoint is missing or damaged, or does not say what it belongs to.
    """
    path = folder / f"fold_{fold}" / FINAL
    checkpoint = load_checkpoint(path)
    arguments = checkpoint.get("init_args")
    configuration = arguments.get("configuration") if isinstance(arguments, dict) else None
    if not isinstance(configuration, str):
        raise ModelError(
            f"{path}: expected init_args to name a configuration, got "
            f"{reprlib.repr(configuration)}; copy it again"
        )
    axes = checkpoint.get("inference_allowed_mirroring_axes")
    if axes is None:
        axes = ()
    if not isinstance(axes, list | tuple) or any(
        type(axis) is not int or axis not in range(3) for axis in axes
    ):
        raise ModelError(
            f"{path}: expected inference_allowed_mirroring_axes to be some of 0, 1, 2, got "
            f"{reprlib.repr(axes)}; copy it again"
        )
    chosen = tuple(sorted(set(axes)))
    return Fold(path, configuration, chosen, checkpoint["network_weights"])
