"""The loops over voxels, compiled: where the patient lies, distances to shapes, painting.

Coordinates are the patient's (down, back, left) in mm, float32, on I-P-L grids. Distances are
negative inside. All textures come from one periodic tile of smooth noise (`tile.py`), read at a
random offset and at any scale, so that no random field is ever drawn.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

import numpy as np

from renalseg.compiled import compiled

#: Columns of a material, in order.
MATERIAL = (
    "hu",
    "fine_hu",
    "fine_mm",
    "coarse_hu",
    "coarse_mm",
    "shell_hu",
    "shell_mm",
    "level",
    "gas_hu",
    "bubbles",
    "bubble_mm",
    "free",
)
_CELLS = 4.0  # a blob of the tile is about four cells wide


@compiled(nogil=True, error_model="numpy")
def noise(tile, z, y, x):
    """The tile at a position in cells, periodic, linear between cells."""
    fz, fy, fx = np.floor(z), np.floor(y), np.floor(x)
    tz, ty, tx = np.float32(z - fz), np.float32(y - fy), np.float32(x - fx)
    n, next_cell = np.uint32(tile.shape[0] - 1), np.uint32(1)  # unsigned: none counts from the end
    z0, y0, x0 = np.uint32(int(fz)) & n, np.uint32(int(fy)) & n, np.uint32(int(fx)) & n
    z1, y1, x1 = (z0 + next_cell) & n, (y0 + next_cell) & n, (x0 + next_cell) & n
    one = np.float32(1)
    a = tile[z0, y0, x0] * (one - tx) + tile[z0, y0, x1] * tx
    b = tile[z0, y1, x0] * (one - tx) + tile[z0, y1, x1] * tx
    c = tile[z1, y0, x0] * (one - tx) + tile[z1, y0, x1] * tx
    d = tile[z1, y1, x0] * (one - tx) + tile[z1, y1, x1] * tx
    return (a * (one - ty) + b * ty) * (one - tz) + (c * (one - ty) + d * ty) * tz


@compiled(nogil=True, error_model="numpy")
def coordinates(tile, shape, spacing, origin, rotation, bend, warp_mm, knot_mm, offsets):
    """Patient positions of all voxels: turned, warped, the spine bent.

    The warp is so smooth that along a row it is looked up only every 12 mm.
    """
    out = np.empty((3, shape[0], shape[1], shape[2]), np.float32)
    per = _CELLS / knot_mm
    stride = max(1, int(12 / spacing[2]))
    low, high, p = np.zeros(3), np.zeros(3), np.zeros(3)
    for i in range(shape[0]):
        a = i * spacing[0] - origin[0]
        for j in range(shape[1]):
            b = j * spacing[1] - origin[1]
            for k in range(shape[2]):
                c = k * spacing[2] - origin[2]
                if k % stride == 0:
                    for m in range(3):
                        z, y, x = a * per + offsets[m, 0], b * per + offsets[m, 1], c * per
                        low[m] = high[m]
                        if k == 0:
                            low[m] = warp_mm * noise(tile, z, y, x + offsets[m, 2])
                        x += stride * spacing[2] * per + offsets[m, 2]
                        high[m] = warp_mm * noise(tile, z, y, x)
                t = (k % stride) / stride
                for m in range(3):
                    p[m] = rotation[m, 0] * a + rotation[m, 1] * b + rotation[m, 2] * c
                    p[m] += low[m] + t * (high[m] - low[m])
                p[1] -= bend * ((p[0] - 15) / 100) ** 2
                out[0, i, j, k], out[1, i, j, k], out[2, i, j, k] = p[0], p[1], p[2]
    return out


@compiled(nogil=True, error_model="numpy")
def _ellipsoid(part, z, y, x, out):
    """Distances of a row of voxels to an ellipsoid, to first order."""
    for k in range(out.size):
        a, b, c = z[k] - part[3], y[k] - part[4], x[k] - part[5]
        u = part[6] * a + part[7] * b + part[8] * c
        v = part[9] * a + part[10] * b + part[11] * c
        w = part[12] * a + part[13] * b + part[14] * c
        level = np.sqrt(u * u + v * v + w * w)
        ga = part[6] * u + part[9] * v + part[12] * w
        gb = part[7] * u + part[10] * v + part[13] * w
        gc = part[8] * u + part[11] * v + part[14] * w
        out[k] = level * (level - 1) / np.sqrt(ga * ga + gb * gb + gc * gc + 1e-9)


@compiled(nogil=True, error_model="numpy")
def _cone(part, z, y, x, out):
    """To a cone with round ends."""
    da, db, dc = part[6], part[7], part[8]
    length = da * da + db * db + dc * dc + 1e-6
    for k in range(out.size):
        a, b, c = z[k] - part[3], y[k] - part[4], x[k] - part[5]
        t = (a * da + b * db + c * dc) / length
        t = min(max(t, 0.0), 1.0)
        a, b, c = a - t * da, b - t * db, c - t * dc
        out[k] = np.sqrt(a * a + b * b + c * c) - (part[9] + t * (part[10] - part[9]))


@compiled(nogil=True, error_model="numpy")
def _plane(part, z, y, x, out):
    """To a plane."""
    for k in range(out.size):
        out[k] = part[3] * z[k] + part[4] * y[k] + part[5] * x[k] - part[6]


@compiled(nogil=True, error_model="numpy")
def _join(out, d, op, blend):
    """Join a row of distances with others."""
    if op == 0:
        per = 4 * max(blend, 1e-9)
        for k in range(out.size):
            near = max(blend - abs(out[k] - d[k]), 0.0)
            out[k] = min(out[k], d[k]) - near * near / per
    elif op == 1:
        for k in range(out.size):
            out[k] = max(out[k], -d[k])
    else:
        for k in range(out.size):
            out[k] = max(out[k], d[k])


@compiled(nogil=True, error_model="numpy")
def add_parts(out, start, at, parts, boxes):
    """Join parts into distances over a box, each within its own voxels, row by row.

    Op 0 joins with a rounded crease, 1 cuts away, 2 keeps what is inside.
    """
    row = np.empty(out.shape[2])
    for n in range(parts.shape[0]):
        part = parts[n]
        low, high = boxes[n, 4], boxes[n, 5]
        d = row[: high - low]
        for i in range(boxes[n, 0], boxes[n, 1]):
            for j in range(boxes[n, 2], boxes[n, 3]):
                z, y, x = at[0, i, j, low:high], at[1, i, j, low:high], at[2, i, j, low:high]
                if part[0] == 0:
                    _ellipsoid(part, z, y, x, d)
                elif part[0] == 1:
                    _cone(part, z, y, x, d)
                else:
                    _plane(part, z, y, x, d)
                inside = out[i - start[0], j - start[1], low - start[2] : high - start[2]]
                _join(inside, d, part[1], part[2])


@compiled(nogil=True, error_model="numpy")
def _noise_at(tile, at, i, j, k, per, offset):
    return noise(
        tile,
        at[0, i, j, k] * per + offset[0],
        at[1, i, j, k] * per + offset[1],
        at[2, i, j, k] * per + offset[2],
    )


@compiled(nogil=True, error_model="numpy")
def bump(out, start, at, tile, size, feature_mm, offset, stride):
    """Move a surface out and in, where it is near.

    Noise is smooth: along a row it is looked up at every so manieth voxel.
    """
    per, band = _CELLS / feature_mm, 3 * size + 8
    last = out.shape[2] - 1
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            row, u, v, w = out[i, j], start[0] + i, start[1] + j, start[2]
            if stride == 1:
                for k in range(last + 1):
                    if abs(row[k]) < band:
                        row[k] += size * _noise_at(tile, at, u, v, w + k, per, offset)
                continue
            known, high = False, np.float32(0)
            for knot in range(0, last + 1, stride):
                end = min(knot + stride, last)
                is_near = False
                for k in range(knot, min(knot + stride, last + 1)):
                    is_near |= abs(row[k]) < band
                if is_near:
                    low = high if known else _noise_at(tile, at, u, v, w + knot, per, offset)
                    high = _noise_at(tile, at, u, v, w + end, per, offset)
                    for k in range(knot, min(knot + stride, last + 1)):
                        if abs(row[k]) < band:
                            t = np.float32((k - knot) / max(end - knot, 1))
                            row[k] += size * (low + t * (high - low))
                known = is_near


@compiled(nogil=True, error_model="numpy")
def keep_within(out, start, belly, gap):
    """Keep a shape within the belly."""
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            row, wall = out[i, j], belly[start[0] + i, start[1] + j, start[2] :]
            for k in range(row.size):
                row[k] = max(row[k], wall[k] + gap)


@compiled(nogil=True, error_model="numpy")
def paint(hu, distance, start, at, tile, edge, material, offset):
    """Paint a shape: wall, contents, gas above a level, bubbles, texture of two scales."""
    m = material
    fine, coarse = _CELLS / m[2], _CELLS / m[4]
    bubble = _CELLS / m[10]
    for i in range(distance.shape[0]):
        for j in range(distance.shape[1]):
            for k in range(distance.shape[2]):
                d = distance[i, j, k]
                share = 0.5 - d / edge
                if share <= 0:
                    continue
                share = min(share, 1.0)
                u, v, w = start[0] + i, start[1] + j, start[2] + k
                old = hu[u, v, w]
                if m[11] > 0:
                    t = min(max((old + 70) / 60, 0.0), 1.0)
                    share *= 1 - t * t * (3 - 2 * t)
                    if share <= 0:
                        continue
                z, y, x = at[0, u, v, w], at[1, u, v, w], at[2, u, v, w]
                value = m[0]
                if m[1] != 0:
                    n = noise(
                        tile, z * fine + offset[0], y * fine + offset[1], x * fine + offset[2]
                    )
                    value += m[1] * n
                if m[3] != 0:
                    n = noise(
                        tile, z * coarse + offset[1], y * coarse + offset[2], x * coarse + offset[0]
                    )
                    value += m[3] * n if m[3] > 0 else -m[3] * max(n, 0.0)
                if m[6] > 0:
                    inner = min(max(0.5 - (d + m[6]) / edge, 0.0), 1.0)
                    if inner > 0:
                        gas = 0.0
                        if y < m[7]:
                            gas = min((m[7] - y) / edge + 0.5, 1.0)
                        if m[9] < 9:
                            b = noise(
                                tile,
                                z * bubble + offset[2],
                                y * bubble + offset[0],
                                x * bubble + offset[1],
                            )
                            gas = max(gas, min(max((b - m[9]) * 1.6, 0.0), 1.0))
                        value += gas * (m[8] - value)
                    value = m[5] + inner * (value - m[5])
                hu[u, v, w] = old + share * (value - old)


@compiled(nogil=True, error_model="numpy")
def sample(values, at, start, shape, matrix, center, scale):
    """Distances stored as int8 tenths of mm (times ``scale``) on a grid, at patient positions.

    ``matrix`` and ``center`` take a patient position less the shape's center to its cells.
    Outside of the grid the nearest cell holds.
    """
    out = np.empty((shape[0], shape[1], shape[2]), np.float32)
    top = (values.shape[0] - 1.001, values.shape[1] - 1.001, values.shape[2] - 1.001)
    for i in range(shape[0]):
        for j in range(shape[1]):
            for k in range(shape[2]):
                a = at[0, start[0] + i, start[1] + j, start[2] + k] - center[0]
                b = at[1, start[0] + i, start[1] + j, start[2] + k] - center[1]
                c = at[2, start[0] + i, start[1] + j, start[2] + k] - center[2]
                z = matrix[0, 0] * a + matrix[0, 1] * b + matrix[0, 2] * c + matrix[0, 3]
                y = matrix[1, 0] * a + matrix[1, 1] * b + matrix[1, 2] * c + matrix[1, 3]
                x = matrix[2, 0] * a + matrix[2, 1] * b + matrix[2, 2] * c + matrix[2, 3]
                cz, cy, cx = (
                    min(max(z, 0.0), top[0]),
                    min(max(y, 0.0), top[1]),
                    min(max(x, 0.0), top[2]),
                )
                beyond = abs(z - cz) + abs(y - cy) + abs(x - cx)
                p, q, r = int(cz), int(cy), int(cx)
                s, t, u = cz - p, cy - q, cx - r
                low = (values[p, q, r] * (1 - u) + values[p, q, r + 1] * u) * (1 - t)
                low += (values[p, q + 1, r] * (1 - u) + values[p, q + 1, r + 1] * u) * t
                high = (values[p + 1, q, r] * (1 - u) + values[p + 1, q, r + 1] * u) * (1 - t)
                high += (values[p + 1, q + 1, r] * (1 - u) + values[p + 1, q + 1, r + 1] * u) * t
                out[i, j, k] = 0.1 * scale * (low * (1 - s) + high * s) + beyond
    return out
