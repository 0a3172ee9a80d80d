"""The loop that lays down skin, fat, muscular wall, the fat of the belly, lungs and ribs."""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

import numpy as np

from renalseg.cohort.phantom.torso.kernels import noise
from renalseg.compiled import compiled

#: Columns of a profile: half width, middle and half depth of the fascia; fat in front, behind, at
#: the flanks; half width, middle and half depth of the cavity; middle and radius of a thigh.
PROFILE = (
    "width",
    "middle",
    "depth",
    "fat_front",
    "fat_back",
    "fat_side",
    "cavity_width",
    "cavity_middle",
    "cavity_depth",
    "thigh_across",
    "thigh_radius",
)
_TRUNK = 3  # the first columns tell whether a voxel is worth a look
#: What one patient's layers are painted with.
PAINT = (
    "fat_hu",
    "muscle_hu",
    "skin_hu",
    "lung_hu",
    "stranding",
    "marbling",
    "layering",
    "dome",
    "half_width",
    "lumps",
    "bone_hu",
    "cortex_hu",
    "last_rib",
    "rib_slope",
    "thigh_top",
    "planes",
    "effusion",
)


@compiled(nogil=True, error_model="numpy")
def _oval(x, y, width, depth):
    """Distance to an oval between an ellipse and a box: a superellipse without its powers."""
    u, v = (x / width) ** 2, (y / depth) ** 2
    level = 0.58 * np.sqrt(u + v) + 0.42 * np.sqrt(np.sqrt(u * u + v * v)) + 1e-3
    r = np.sqrt(x * x + y * y)
    return r - r / level


@compiled(nogil=True, error_model="numpy")
def _clip(x):
    return min(max(x, 0.0), 1.0)


@compiled(nogil=True, error_model="numpy")
def _smooth(x, low, high):
    t = _clip((x - low) / (high - low))
    return t * t * (3 - 2 * t)


@compiled(nogil=True, error_model="numpy")
def _fascia(row, down, back, left, thigh_top):
    """Distance to the outer surface of the muscles of trunk and thighs."""
    ahead = back - row[1]
    groove = 8 * np.exp(-((left / 20) ** 2)) if back > 0 else 0.0
    fascia = _oval(left, ahead + groove, row[0], row[2])
    if down > thigh_top:
        a, b = abs(left) - row[9], back - row[1] - 6
        thigh = np.sqrt(a * a + b * b) - row[10]
        fascia = min(fascia + (down - thigh_top) * 1.2, thigh)
    return fascia


@compiled(nogil=True, error_model="numpy")
def _fat(row, ahead, side):
    """How thick the fat under the skin is here."""
    turn = ahead / (abs(ahead) + side + 1e-3)
    fat = row[5] + (row[4] - row[5]) * _smooth(turn, 0.0, 0.8)
    return fat + (row[3] - row[5]) * _smooth(-turn, 0.0, 0.8)


@compiled(nogil=True, error_model="numpy")
def _grain(tile, place, offset):
    """The finest texture."""
    down, back, left = place
    return noise(tile, down * 0.8 + offset[1], back * 0.8 + offset[2], left * 0.8 + offset[0])


@compiled(nogil=True, error_model="numpy")
def _wall(row, paint, place, depth, tile, offset, fine):
    """HU of the muscles of the wall: layers at the flanks, recti in front, bundles elsewhere."""
    down, back, left = place
    grain = _grain(tile, place, offset)
    side, ahead, half = abs(left), back - row[1], paint[8]
    fat_hu, muscle_hu, marbling, layering, planes = (
        paint[0],
        paint[1],
        paint[5],
        paint[6],
        paint[15],
    )
    hu = muscle_hu + 2.5 * grain - marbling * _clip(fine - 0.2) * 2
    if layering > 0 and down < 110:
        flank = _smooth(side, 0.45 * half, 0.7 * half) * (1 - _smooth(back, 5, 40))
        between = np.exp(-(((depth - 0.38) / 0.1) ** 2)) + np.exp(-(((depth - 0.7) / 0.1) ** 2))
        line = (1 - _smooth(side, 2, 9)) * _smooth(-ahead, 0, 30)
        beside = np.exp(-(((side - 0.48 * half) / 7) ** 2))
        beside *= _smooth(-ahead, 0.3 * row[2], 0.6 * row[2])
        thin = between * flank + line + 0.6 * beside
        hu -= layering * min(thin, 1.0) * (muscle_hu - fat_hu)
    if planes > 0 and (down > 60 or back > 20):
        bundle = noise(
            tile, down * 0.045 + offset[1], back * 0.11 + offset[0], left * 0.11 + offset[2]
        )
        hu -= planes * np.exp(-((bundle / 0.13) ** 2)) * (muscle_hu - fat_hu)
    return hu


@compiled(nogil=True, error_model="numpy")
def _above(row, paint, place, cavity):
    """How far a position lies above the diaphragm: two domes, steep at the wall."""
    down, back, left = place
    at_most = (paint[7] + 88 - down) / 3.5
    if at_most < min(cavity, -6.0):  # most of the belly, where it is the cavity that counts
        return at_most
    behind = _smooth(back - row[1], -0.4 * row[2], 0.7 * row[2])
    recess = np.exp(min(cavity, 0.0) / 13) if cavity > -90 else 0.0
    across = min(max(left / paint[8], -1.0), 1.0)
    dome = paint[7] + (25 + 45 * behind) * recess + 18 * across + 88 * (abs(across) - 0.5) ** 2
    return (dome - 22 - down) / (1 + 2.5 * recess)


@compiled(nogil=True, error_model="numpy")
def _chest(value, paint, place, chest, edge, fine, tile, offset):
    """A thin diaphragm, then lung, with fluid behind in some."""
    muscle_hu, effusion = paint[1], paint[16]
    grain = _grain(tile, place, offset)
    value += _clip(0.5 - (chest - 3) / edge) * (muscle_hu - value)
    lung = paint[3] + 440 * _clip(grain - 1.1) + 60 * _smooth(place[1], 0, 60)
    if effusion > 0 and place[1] > 45 - effusion + 4 * fine:
        lung = 12 + 3 * grain
    return value + _clip(0.5 - chest / edge) * (lung - value)


@compiled(nogil=True, error_model="numpy")
def _ribs(value, row, paint, place, deep, edge, fine):
    """Ribs, which run down and forward within the wall, and their cartilage."""
    down, back, left = place
    side = abs(left)
    # 0 at the spine, 1 at the breastbone.
    turn = np.arctan2(side / row[0], (back - row[1]) / row[2]) / np.pi
    lowered = down - paint[13] * turn * (1.6 - 0.6 * turn) - paint[12]
    number = min(np.round(lowered / 27), 0.0)
    end = 0.72
    if number > -0.5:
        end = 0.42
    elif number > -1.5:
        end = 0.6
    middle = np.sqrt((deep / 0.62) ** 2 + (lowered - 27 * number) ** 2)
    rib = max((middle - 6.6) * 0.75, (turn - end) * 150, 18 - side)
    hard = _clip(0.5 - rib / edge)
    if hard > 0:
        rim = _clip(1 - abs(rib + 1.0) / 2.0)
        return value + hard * (0.75 * paint[10] + 30 * fine + paint[11] * rim - value)
    if number < -1.5 and middle < 6.5:
        gristle = _clip(0.5 - (middle - 5.5) / edge) * _clip((turn - end) * 20)
        return value + gristle * (paint[1] + 50 - value)
    return value


@compiled(nogil=True, error_model="numpy")
def _within(value, row, paint, place, fascia, tile, offset, edge, fine):
    """What lies within the fascia; HU and the distance of the belly."""
    down, back, left = place
    cavity = _oval(left, back - row[7], row[6], row[8]) if row[6] > 3 else 100.0
    cavity = max(cavity, fascia + 6)
    thick = max(cavity - fascia, 4.0)
    wall = _clip(0.5 - fascia / edge)
    if cavity > -edge:
        hu = _wall(row, paint, place, -fascia / thick, tile, offset, fine)
        value += wall * (hu - value)
    above = _above(row, paint, place, cavity)
    if cavity < edge:
        strand = paint[4] * min(max(fine, -0.4), 3.0)
        value += _clip(0.5 - cavity / edge) * (paint[0] + 3 + strand - value)
    if above > -6:
        value = _chest(value, paint, place, max(cavity + 1, -above), edge, fine, tile, offset)
    if down < paint[12] + 120 and fascia > -26 and cavity > -4:
        value = _ribs(value, row, paint, place, fascia + 0.5 * thick, edge, fine)
    return value, max(cavity, above)


@compiled(nogil=True, error_model="numpy")
def lay(hu, belly, at, tile, edge, profile, first_mm, step_mm, paint, offset):
    """Lay down everything that is not an organ."""
    row = np.empty(profile.shape[1])
    thigh_top, lumps = paint[14], paint[9]
    ends = profile.shape[0] - 2
    reach = 10 + (1 + 4 * lumps) * profile[:, 3:6].max()  # of fat and skin
    for i in range(hu.shape[0]):
        for j in range(hu.shape[1]):
            for k in range(hu.shape[2]):
                down, back, left = at[0, i, j, k], at[1, i, j, k], at[2, i, j, k]
                where = min(max((down - first_mm) / step_mm, 0.0), ends + 0.999)
                n = int(where)
                for m in range(_TRUNK):
                    row[m] = profile[n, m] + (where - n) * (profile[n + 1, m] - profile[n, m])
                belly[i, j, k] = 200.0
                if (
                    down < thigh_top
                    and max(abs(left) - row[0], abs(back - row[1]) - row[2]) > reach
                ):
                    continue
                for m in range(_TRUNK, profile.shape[1]):
                    row[m] = profile[n, m] + (where - n) * (profile[n + 1, m] - profile[n, m])
                fascia = _fascia(row, down, back, left, thigh_top)
                belly[i, j, k] = max(fascia, 6.0)
                if fascia > reach:
                    continue
                skin = -100.0
                if fascia > -2 * edge:
                    lump = noise(
                        tile,
                        down * 0.06 + offset[0],
                        back * 0.06 + offset[1],
                        left * 0.06 + offset[2],
                    )
                    fat = _fat(row, back - row[1], abs(left)) * (1 + lumps * lump)
                    skin = fascia - max(fat, 1.5) - 1.5
                out = _clip(0.5 - skin / edge)
                if out <= 0:
                    continue
                fine = noise(
                    tile, down * 0.33 + offset[2], back * 0.33 + offset[0], left * 0.33 + offset[1]
                )
                place = (down, back, left)
                value = hu[i, j, k]
                if skin > -99:
                    grain = _grain(tile, place, offset)
                    value += out * (paint[2] - value)
                    septa = paint[0] + np.exp(-((fine / 0.14) ** 2)) * 12 + 2 * grain
                    value += _clip(0.5 - (skin + 2.5) / edge) * (septa - value)
                if fascia < 0.5 * edge:
                    value, inside = _within(
                        value, row, paint, place, fascia, tile, offset, edge, fine
                    )
                    belly[i, j, k] = inside
                hu[i, j, k] = value
