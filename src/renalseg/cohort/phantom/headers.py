"""Cases of full size and almost no content, for dry runs of a whole cohort."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from renalseg.cohort.phantom.config import PhantomConfig
from renalseg.cohort.phantom.files import gz, nifti_header
from renalseg.cohort.phantom.grid import Grid, stream
from renalseg.labels import Label

#: Few numbers of slices, so that few images are ever compressed.
_SLICES = (61, 87, 109, 133, 155)
#: First row and column of a right and a left kidney, and in the right one a tumor and a cyst.
_PLACES = ((270, 150), (270, 340), (280, 160), (305, 190))
_VALUES = {label.title: int(label) for label in Label}


def hollow_case(config: PhantomConfig, index: int) -> Iterator[tuple[str, bytes]]:
    """The files of one case: air, and a small block for each instance.

    Args:
        config: The cohort.
        index: The case's number.

    Yields:
        Name and content of each file. It is a chain of gzip members, so that a stretch of
        voxels is compressed once and used again.
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
            yield (
                f"segmentations/{name}",
                gz(mask_header) + _map(grid.shape, ((place, annotation, 1),)),
            )
    # Of three annotators the second decides. Cysts are painted before tumors.
    order = sorted(
        range(len(kinds)), key=lambda place: ("kidney", "cyst", "tumor").index(kinds[place])
    )
    blocks = tuple((place, 2, _VALUES[kinds[place]]) for place in order)
    yield "aggregated_MAJ_seg.nii.gz", gz(mask_header) + _map(grid.shape, blocks)


def _air(shape: tuple[int, int, int]) -> bytes:
    return _constant(-1000, "int16", shape[0] * shape[1], shape[2])


@lru_cache(maxsize=64)
def _map(shape: tuple[int, int, int], blocks: tuple[tuple[int, int, int], ...]) -> bytes:
    """The compressed voxels of a mask of blocks: (place, how much longer, value).

    Columns are stored last, so that those left and right of all blocks are plain zeros.
    """
    ends = [(_PLACES[place][1], _size(place)[0] + longer) for place, longer, _ in blocks]
    first, last = min(c for c, _ in ends), max(c + width for c, width in ends)
    array = np.zeros((shape[0], shape[1], last - first), np.uint8)
    for place, longer, value in blocks:
        (row, column), (size, slices) = _PLACES[place], _size(place)
        start = shape[0] // 2 - slices // 2
        columns = slice(column - first, column - first + size + longer)
        array[start : start + slices, row : row + size, columns] = value
    zeros = [_constant(0, "uint8", shape[0] * shape[1], n) for n in (first, shape[2] - last)]
    return zeros[0] + gz(array.tobytes("F")) + zeros[1]


def _size(place: int) -> tuple[int, int]:
    return (60, 30) if place < 2 else (15, 8)


@lru_cache(maxsize=64)
def _constant(value: int, dtype: str, voxels: int, columns: int) -> bytes:
    """Compressed columns of one value: a compressed few, again and again."""
    many, rest = divmod(columns, 16)
    return gz(np.full(16 * voxels, value, dtype).tobytes()) * many + gz(
        np.full(rest * voxels, value, dtype).tobytes()
    )
