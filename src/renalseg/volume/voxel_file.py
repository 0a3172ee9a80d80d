"""The file that holds an image's voxels: the image file itself, or one that its header names."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import AnyArray
from renalseg.volume.claims import check_claim
from renalseg.volume.stream import Packing, finish, opened, read_voxels, skip

_PADDING_BYTES = 1 << 20
_SHOWN = 80
#: Words for lists of files, in MetaImage and NRRD.
_LIST = re.compile(r"LIST\b.*", re.IGNORECASE)


def linked_file(path: Path, name: str) -> Path:
    """The file that a header names: a plain file in the header's own folder.

    Args:
        path: The file of the header.
        name: The name in it.

    Raises:
        VolumeError: It lies elsewhere, is no file, or stands for several.
    """
    if _LIST.fullmatch(name) or "%" in name:
        raise VolumeError(
            f"{path}: its voxels lie in several files ({name[:_SHOWN]!r}); convert it to one file"
        )
    plain = name.removeprefix("./")
    if not plain or plain in {".", ".."} or re.search(r"[/\\]|^[A-Za-z]:", plain):
        raise VolumeError(
            f"{path}: its voxels lie in {name[:_SHOWN]!r}, expected the name of a file in the same "
            "folder; copy it there and mend the header"
        )
    data = path.parent / plain
    if not data.is_file():
        raise VolumeError(
            f"{path}: not a whole image (its voxels lie in {plain[:_SHOWN]!r}, which is no file in "
            "its folder); copy or export both"
        )
    if data.resolve().parent != path.parent.resolve():
        raise VolumeError(
            f"{path}: its voxels lie in {plain[:_SHOWN]!r}, a link to another folder; copy the file"
        )
    return data


@dataclass(frozen=True)
class VoxelFile:
    """Location and compression of an image's voxels.

    Attributes:
        path: The image file, which errors name.
        data: The file that holds the voxels.
        packing: How they are compressed.
        start: Where the data begin in it.
        skip: Decompressed bytes before the first voxel.
        limit: Number of compressed bytes; None is all.
        at_end: Whether the voxels are the file's last bytes, whatever comes before.
    """

    path: Path
    data: Path
    packing: Packing = Packing.NONE
    start: int = 0
    skip: int = 0
    limit: int | None = None
    at_end: bool = False

    def read(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[AnyArray, bool]:
        """Read an array whose first axis is the fastest.

        Args:
            shape: Length of each axis.
            dtype: Type of a stored voxel.

        Returns:
            The array, and whether junk follows the compressed data.

        Raises:
            VolumeError: The file is too short for it.
            EOFError: It ends early.
        """
        size = self.data.stat().st_size
        needed = math.prod(shape) * dtype.itemsize
        start, before = self.start, self.skip
        check_claim(
            self.path,
            shape,
            voxel_bytes=dtype.itemsize,
            offset=before,
            file_bytes=max(0, size - start),
            packing=self.packing,
        )
        if self.limit is not None and self.limit > size - start:
            raise EOFError(
                f"its header promises {self.limit} compressed bytes, the file has {size - start}"
            )
        if self.at_end and self.packing is Packing.NONE:
            start = size - needed
        with opened(self.data, self.packing, start=start, limit=self.limit) as stream:
            skip(stream, before)
            array = read_voxels(stream, shape, dtype)
            return array, finish(stream, needed + _PADDING_BYTES)
