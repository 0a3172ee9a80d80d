"""Where the patient lies in a CT: the box that networks have to look into.

The search runs on blocks of about 8 mm. A block is tissue where half of it is denser than air and
padding. Tables, clothes and tubes are thinner than the patient: opening the blocks loses them, and
of what is left the largest piece is the body. Arms belong to it where they touch it.
"""

import math

import numpy as np

from renalseg.types import AnyArray, MaskArray
from renalseg.volume import Volume
from renalseg.volume.boxes import Box, bounding_box

#: Half-way between lung (-850) or mattress foam (-900) and fat (-100).
_TISSUE_HU = -400.0
_BLOCK_MM = 8.0
#: Voxels further apart than this are looked at; those between them are not.
_SAMPLE_MM = 2.0
#: Blocks that the opening takes from the body's rim and that are given back.
_RIM_BLOCKS = 2
#: Voxels of the box around the tissue that only half-filled blocks hold, in blocks.
_MARGIN_BLOCKS = 1
#: A body is no smaller than this; less is a phantom of a few voxels, or noise.
_LEAST_BODY_ML = 500.0


def body_box(volume: Volume) -> Box:
    """The box around the patient's body, up to about 3 cm too large and not too small.

    Where the body leaves the scan the box ends with the scan. Padding counts as outside whatever
    its value: below -400 HU, or the value of one of the scan's corners.

    Args:
        volume: A CT in HU.

    Returns:
        Ranges of slices, rows and columns; the whole scan where no body of 0.5 litres is found.
    """
    whole = _box([(0, size) for size in volume.shape])
    block = [max(1, round(_BLOCK_MM / mm)) for mm in volume.spacing_mm]
    step = [
        max(1, min(size, math.floor(_SAMPLE_MM / mm)))
        for size, mm in zip(block, volume.spacing_mm, strict=True)
    ]
    # whole numbers of samples per block
    block = [size // every * every for size, every in zip(block, step, strict=True)]
    body = _largest_solid(_tissue_blocks(volume.array, block, step))
    block_ml = math.prod(block) * math.prod(volume.spacing_mm) / 1000
    if int(body.sum()) * block_ml < _LEAST_BODY_ML:
        return whole
    return _box(
        [
            (
                max(0, (side.start - _MARGIN_BLOCKS) * size),
                min(length, (side.stop + _MARGIN_BLOCKS) * size),
            )
            for side, size, length in zip(bounding_box(body), block, volume.shape, strict=True)
        ]
    )


def _tissue_blocks(array: AnyArray, block: list[int], step: list[int]) -> MaskArray:
    """Blocks of which half or more is tissue; one layer of blocks is in memory at a time."""
    padding = _tissue_like_padding(array)
    counts = [-(-length // size) for length, size in zip(array.shape, block, strict=True)]
    samples = [size // every for size, every in zip(block, step, strict=True)]
    _, rows, columns = (
        -(-length // every) for length, every in zip(array.shape, step, strict=True)
    )
    padded = np.zeros((counts[1] * samples[1], counts[2] * samples[2]), np.uint16)
    seen = padded.copy()
    seen[:rows, :columns] = 1
    seen_in_layer = _sum_blocks(seen, samples[1], samples[2])
    found = np.zeros(counts, bool)
    for number in range(counts[0]):
        layer = slice(number * block[0], (number + 1) * block[0], step[0])
        voxels = array[layer, :: step[1], :: step[2]]
        tissue = voxels > _TISSUE_HU
        for value in padding:
            tissue &= voxels != value
        padded[:rows, :columns] = tissue.sum(0, dtype=np.uint16)
        filled = _sum_blocks(padded, samples[1], samples[2])
        found[number] = 2 * filled >= seen_in_layer * len(voxels)
    return found


def _sum_blocks(plane: AnyArray, rows: int, columns: int) -> AnyArray:
    high, wide = plane.shape
    by_row = plane.reshape(high // rows, rows, wide).sum(1, dtype=np.int64)
    sums: AnyArray = by_row.reshape(high // rows, wide // columns, columns).sum(2)
    return sums


def _tissue_like_padding(array: AnyArray) -> list[float]:
    """Values of the scan's corners that look like tissue, as where a round field is padded with 0.

    In a scan that the body fills, the corners are tissue; taking a few HU out of it does no harm.
    """
    corners = {float(value) for value in array[np.ix_((0, -1), (0, -1), (0, -1))].flat}
    return sorted(value for value in corners if value > _TISSUE_HU)


def _largest_solid(tissue: MaskArray) -> MaskArray:
    """The largest piece that is not thin, lungs and bowel gas within it filled.

    Thin is what one step of erosion within the slice takes away. Beyond the edge of the scan the
    body goes on.
    """
    from scipy import ndimage

    in_slice = ndimage.generate_binary_structure(3, 1)
    in_slice[[0, 2]] = False
    filled = ndimage.binary_fill_holes(tissue, in_slice)
    core = ndimage.binary_erosion(filled, in_slice, border_value=1)
    pieces, count = ndimage.label(core)
    if not count:
        return np.zeros_like(tissue)
    largest = 1 + int(np.bincount(pieces.ravel())[1:].argmax())
    body: MaskArray = ndimage.binary_dilation(
        pieces == largest, in_slice, iterations=_RIM_BLOCKS, mask=filled
    )
    return body


def _box(sides: list[tuple[int, int]]) -> Box:
    slices, rows, columns = (slice(start, stop) for start, stop in sides)
    return slices, rows, columns
