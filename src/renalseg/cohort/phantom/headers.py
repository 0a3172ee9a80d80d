"""Cases of full size and almost no content, for dry runs of a whole cohort."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from renalseg.cohort.phantom.config import PhantomConfig
from renalseg.cohort.phantom.files import gz, nifti_header
from renalseg.cohort.phantom.grid import Grid, stream

#: Few numbers of slices, so that few images are ever compressed.
_SLICES = (61, 87, 109, 133, 155)


def hollow_case(config: PhantomConfig, index: int) -> Iterator[tuple[str, bytes]]:
    """The files of one case: air, and a small block for each instance.

    Args:
        config: The cohort.
        index: The case's number.

    Yields:
        Name and content of each file. Header and voxels are two gzip members, so that the
        voxels are compressed once for all cases of their shape.
    """
    rng = stream(config.seed, index, "headers")
    slices = int(rng.choice(_SLICES))
    pixel = round(float(np.clip(rng.normal(0.78, 0.08), *config.in_plane_mm)), 4)
    thick = round(float(np.clip(327 / slices, *config.slice_mm)), 4)
    grid = Grid((slices, 512, 512), (thick, pixel, pixel))
    kinds = ["kidney", "kidney", "tumor"] + ["cyst"] * int(rng.random() < 0.5)
    image_header = nifti_header(grid.shape, np.dtype(np.int16), grid.affine)
    mask_header = nifti_header(grid.shape, np.dtype(np.uint8), grid.affine)
    yield "imaging.nii.gz", gz(image_header) + _air(grid.shape)
    for place, kind in enumerate(kinds):
        number = kinds[: place + 1].count(kind)
        for annotation in (1, 2, 3):
            name = f"{kind}_instance-{number}_annotation-{annotation}.nii.gz"
            yield f"segmentations/{name}", gz(mask_header) + _block(grid.shape, place, annotation)
    yield "aggregated_MAJ_seg.nii.gz", gz(mask_header) + _map(grid.shape, tuple(kinds))


@lru_cache(maxsize=16)
def _air(shape: tuple[int, int, int]) -> bytes:
    return gz(np.full(shape, -1000, np.int16).tobytes())


def _paint(
    array: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", place: int, longer: int, value: int
) -> None:
    # A right and a left kidney, and in the right one a tumor and a cyst.
    row, column = ((270, 150), (270, 340), (280, 160), (270, 190))[place]
    size, slices = (60, 30) if place < 2 else (15, 8)
    start = array.shape[0] // 2 - slices // 2
    array[start : start + slices, row : row + size, column : column + size + longer] = value


@lru_cache(maxsize=128)
def _block(shape: tuple[int, int, int], place: int, annotation: int) -> bytes:
    array = np.zeros(shape, np.uint8)
    _paint(array, place, annotation, 1)
    return gz(array.tobytes("F"))


@lru_cache(maxsize=16)
def _map(shape: tuple[int, int, int], kinds: tuple[str, ...]) -> bytes:
    array = np.zeros(shape, np.uint8)
    values = {"kidney": 1, "tumor": 2, "cyst": 3}
    for place, kind in sorted(enumerate(kinds), key=lambda item: (1, 3, 2).index(values[item[1]])):
        _paint(array, place, 2, values[kind])
    return gz(array.tobytes("F"))
