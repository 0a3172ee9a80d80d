"""One periodic tile of smooth noise, which every texture and bump is read from."""

from functools import lru_cache

import numpy as np

from renalseg.types import AnyArray

#: Cells along each side: a power of two.
SIDE = 64


@lru_cache(maxsize=1)
def noise_tile() -> AnyArray:
    """A periodic tile of mean 0 and standard deviation 1; blobs are about four cells wide."""
    from scipy import ndimage

    white = np.random.default_rng(20210).standard_normal((SIDE,) * 3)
    soft = ndimage.gaussian_filter(white, 1.4, mode="wrap")
    soft = (soft - soft.mean()) / soft.std()
    tile: AnyArray = soft.astype(np.float32)
    tile.setflags(write=False)
    return tile
