"""Curves for TensorBoard, where it is installed (extra ``tensorboard``)."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

#: Folder of the event files within a fold's.
BOARD = "tensorboard"


class Board:
    """Writes one training's curves; does nothing where TensorBoard is not installed."""

    def __init__(self, folder: Path, epoch: int) -> None:
        """Open the event file.

        Args:
            folder: The fold's folder.
            epoch: The first epoch that will be written; of an interrupted training, what stands
                from here on is replaced.
        """
        self._writer: Any = None
        if find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / BOARD), purge_step=epoch)

    def write(self, values: Mapping[str, float], epoch: int) -> None:
        """Add an epoch's values, so that a run that is killed has them."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, epoch)
            self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        if self._writer is not None:
            self._writer.close()
