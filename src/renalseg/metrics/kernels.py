"""The loops over voxels, compiled: surfaces, their agreement within a reach, overlap.

Several masks are done at once: bit ``h`` of a voxel says whether it is inside mask ``h``, for up
to eight masks. Voxels come with a border of one zero; the corner (z, y, x) lies between the
voxels (z, y, x) and (z + 1, y + 1, x + 1). Maps of corners come with a border of ``reach`` zeros,
so that an offset within reach never leaves them.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

import numpy as np

from renalseg.compiled import compiled


@compiled()
def surfaces(voxels, reach):
    """Bits of the masks whose surface passes each corner."""
    slices, rows, columns = voxels.shape[0] - 1, voxels.shape[1] - 1, voxels.shape[2] - 1
    found = np.zeros((slices + 2 * reach[0], rows + 2 * reach[1], columns + 2 * reach[2]), np.uint8)
    some = np.empty(columns + 1, np.uint8)
    every = np.empty(columns + 1, np.uint8)
    for z in range(slices):
        for y in range(rows):
            a, b = voxels[z, y], voxels[z, y + 1]
            c, d = voxels[z + 1, y], voxels[z + 1, y + 1]
            for x in range(columns + 1):
                some[x] = a[x] | b[x] | c[x] | d[x]
                every[x] = a[x] & b[x] & c[x] & d[x]
            line = found[z + reach[0], y + reach[1]]
            for x in range(columns):
                line[x + reach[2]] = (some[x] | some[x + 1]) ^ (every[x] & every[x + 1])
    return found


@compiled()
def _code(voxels, z, y, x, bit):
    """The eight voxels around a corner, the first one the highest bit."""
    code = 0
    for i in range(2):
        for j in range(2):
            for k in range(2):
                code = 2 * code + ((voxels[z + i, y + j, x + k] >> bit) & 1)
    return code


@compiled()
def agreement(voxels, own, other, reach, offsets, within, masks):
    """Count a surface's elements, by code, that lie near another surface and that do not.

    Args:
        voxels: The bits whose surface ``own`` is.
        own: Their corners, from ``surfaces``.
        other: Corners of the other surface, on the same grid.
        reach: Border of both.
        offsets: Steps in the flattened map of corners, nearest first.
        within: For each offset, the bits of the masks in whose tolerance it lies.
        masks: How many masks there are.

    Returns:
        Counts: mask, 0 near or 1 far, code.
    """
    counts = np.zeros((masks, 2, 256), np.int64)
    flat = other.ravel()
    depth, height, width = own.shape
    for z in range(reach[0], depth - reach[0]):
        for y in range(reach[1], height - reach[1]):
            line = own[z, y]
            start = (z * height + y) * width
            for x in range(reach[2], width - reach[2]):
                bits = line[x]
                if bits == 0:
                    continue
                far = bits
                for step in range(offsets.size):
                    far &= ~(flat[start + x + offsets[step]] & within[step])
                    if far == 0:
                        break
                for bit in range(masks):
                    if (bits >> bit) & 1:
                        code = _code(voxels, z - reach[0], y - reach[1], x - reach[2], bit)
                        counts[bit, (far >> bit) & 1, code] += 1
    return counts


@compiled()
def elements(voxels, own, bit):
    """The corners and codes of one mask's surface; ``own`` without border."""
    wanted = np.uint8(1 << bit)
    size = 0
    for value in own.ravel():
        if value & wanted:
            size += 1
    corners = np.empty((size, 3), np.int32)
    codes = np.empty(size, np.uint8)
    at = 0
    for z in range(own.shape[0]):
        for y in range(own.shape[1]):
            for x in range(own.shape[2]):
                if own[z, y, x] & wanted:
                    corners[at, 0], corners[at, 1], corners[at, 2] = z, y, x
                    codes[at] = _code(voxels, z, y, x, bit)
                    at += 1
    return corners, codes


@compiled()
def overlap(first, second, masks):
    """Voxels of each mask: in the first, in the second, in both."""
    pairs = np.zeros((1 << masks, 1 << masks), np.int64)
    for z in range(first.shape[0]):
        for y in range(first.shape[1]):
            a, b = first[z, y], second[z, y]
            for x in range(first.shape[2]):
                if a[x] | b[x]:
                    pairs[a[x], b[x]] += 1
    counts = np.zeros((masks, 3), np.int64)
    for one in range(1 << masks):
        for two in range(1 << masks):
            for bit in range(masks):
                inside, also = (one >> bit) & 1, (two >> bit) & 1
                counts[bit, 0] += inside * pairs[one, two]
                counts[bit, 1] += also * pairs[one, two]
                counts[bit, 2] += inside * also * pairs[one, two]
    return counts
