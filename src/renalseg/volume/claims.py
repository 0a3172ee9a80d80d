"""What a header promises, held against the size of its file before memory is taken for it."""

import math
from collections.abc import Sequence
from pathlib import Path

from renalseg.errors import VolumeError
from renalseg.volume.stream import Packing

#: Twice 1024 slices of 1024 x 1024.
_MOST_VOXELS = 1 << 31
#: No packing shrinks data to less than this part.
_MOST_PACKED = {Packing.NONE: 1, Packing.DEFLATE: 1032, Packing.BZIP2: 2_000_000}
#: Nobody keeps more than that between a header and its voxels.
_MOST_OFFSET = 64 << 20


def check_claim(
    path: Path,
    shape: Sequence[int],
    *,
    voxel_bytes: int,
    offset: int,
    file_bytes: int,
    packing: Packing,
) -> None:
    """Refuse a header that promises more voxels than its file can hold.

    Args:
        path: Named in errors.
        shape: Voxels along each axis, as the header has them.
        voxel_bytes: Bytes of one voxel.
        offset: Where the voxels begin.
        file_bytes: Bytes of the file that holds them.
        packing: How that file is compressed.

    Raises:
        VolumeError: It does, or it promises more than any CT has.
    """
    voxels = math.prod(shape)
    if voxels > _MOST_VOXELS:
        raise VolumeError(
            f"{path}: its header promises {voxels} voxels, expected {_MOST_VOXELS} at most; copy "
            "or export it again"
        )
    if offset > _MOST_OFFSET:
        raise VolumeError(
            f"{path}: its header says that the voxels begin at byte {offset}, expected "
            f"{_MOST_OFFSET} at most; export it again"
        )
    needed = offset + voxels * voxel_bytes
    if needed > file_bytes * _MOST_PACKED[packing]:
        raise VolumeError(
            f"{path}: not a whole image (its header promises {needed} bytes, the file has "
            f"{file_bytes}{'' if packing is Packing.NONE else ' compressed ones'}); copy or export "
            "it again"
        )
