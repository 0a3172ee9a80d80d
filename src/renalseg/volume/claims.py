"""What a header promises, held against the size of its file before memory is taken for it."""

import math
from collections.abc import Sequence
from pathlib import Path

from renalseg.errors import VolumeError

#: Twice 1024 slices of 1024 x 1024.
_MOST_VOXELS = 1 << 31
#: Deflate shrinks nothing to less than this part.
_MOST_DEFLATED = 1032
#: Nobody keeps more than that between a header and its voxels.
_MOST_OFFSET = 64 << 20


def check_claim(
    path: Path,
    shape: Sequence[int],
    *,
    voxel_bytes: int,
    offset: int,
    file_bytes: int,
    compressed: bool,
) -> None:
    """Refuse a header that promises more voxels than its file can hold.

    Args:
        path: Named in errors.
        shape: Voxels along each axis, as the header has them.
        voxel_bytes: Bytes of one voxel.
        offset: Where the voxels begin.
        file_bytes: Bytes of the file that holds them.
        compressed: Whether that file is compressed.

    Raises:
        VolumeError: It does, or it promises more than any CT has.
    """
    voxels = math.prod(shape)
    if voxels > _MOST_VOXELS:
        raise VolumeError(
            f"{path}: its header promises {voxels} voxels, expected {_MOST_VOXELS} at most; copy "
            "or export it again"
        )
    needed = offset + voxels * voxel_bytes
    if offset > _MOST_OFFSET or needed > file_bytes * (_MOST_DEFLATED if compressed else 1):
        raise VolumeError(
            f"{path}: not a whole image (its header promises {needed} bytes, the file has "
            f"{file_bytes}{' compressed ones' if compressed else ''}); copy or export it again"
        )
