"""Outlines of a mask within one slice, along the edges of its pixels.

An outline encloses its pixels whole, so that the area is theirs and a pixel's centre is never in
doubt. Corners are given as (row, column) with pixels' centres at whole numbers: the first pixel's
corners lie at -0.5 and 0.5.

A piece with holes is one closed line (PS3.3 C.8.8.6.3, "keyhole"): a bridge leads to each hole and
back along itself, so that any rule of filling gives the same pixels.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float

from renalseg.types import AnyArray

Pixels = Bool[np.ndarray, "row column"]
#: Corners of a closed line: row, column; the last is joined to the first.
Outline = Float[np.ndarray, "corner 2"]

_Corner = tuple[int, int]
#: A pixel's edges: the neighbour beyond, and from which corner to which; the pixel lies on the
#: right-hand side of its edges as one looks at the image.
_EDGES = (
    ((-1, 0), (0, 0), (0, 1)),
    ((0, 1), (0, 1), (1, 1)),
    ((1, 0), (1, 1), (1, 0)),
    ((0, -1), (1, 0), (0, 0)),
)


def outlines(mask: Pixels) -> Iterator[Outline]:
    """The outlines of a mask, one for each piece whose pixels are joined by edges."""
    from scipy import ndimage

    pieces, _ = ndimage.label(mask)
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        # the first corner of a piece is one of its outer line
        line, *holes = _loops(pieces[box] == number)
        for hole in sorted(holes, key=lambda loop: min(corner[::-1] for corner in loop)):
            line = _bridged(line, hole)
        corner = [side.start - 0.5 for side in box]
        yield np.array(_without_straight(line), np.float64) + corner


def _loops(piece: Pixels) -> list[list[_Corner]]:
    """Closed lines along a piece's pixel edges, one corner per unit; no two share a corner."""
    padded = np.pad(piece, 1)
    leads: dict[_Corner, list[_Corner]] = {}
    for (row_step, column_step), begin, end in _EDGES:
        beyond = padded[
            1 + row_step : 1 + row_step + piece.shape[0],
            1 + column_step : 1 + column_step + piece.shape[1],
        ]
        for row, column in np.argwhere(piece & ~beyond).tolist():
            start = (row + begin[0], column + begin[1])
            leads.setdefault(start, []).append((row + end[0], column + end[1]))
    loops = []
    while leads:
        first = min(leads)
        line = [first]
        here = _next(leads, first, None)
        while here != first:
            line.append(here)
            here = _next(leads, here, line[-2])
        loops.append(line)
    return loops


def _next(leads: dict[_Corner, list[_Corner]], here: _Corner, before: _Corner | None) -> _Corner:
    """Take the edge that leads on; where two pixels touch at a corner, stay at one's own."""
    ways = leads[here]
    chosen = ways[0]
    if before is not None and len(ways) > 1:
        step = (here[0] - before[0], here[1] - before[1])
        right = (here[0] + step[1], here[1] - step[0])
        chosen = right if right in ways else ways[0]
    ways.remove(chosen)
    if not ways:
        del leads[here]
    return chosen


def _bridged(line: list[_Corner], hole: list[_Corner]) -> list[_Corner]:
    """Join a hole to the line, along the pixel edges to the left of its leftmost corner.

    Holes come from left to right, so that whatever lies there is part of the line.
    """
    start = min(range(len(hole)), key=lambda n: hole[n][::-1])
    row, column = hole[start]
    on_line = {corner: place for place, corner in enumerate(line)}
    reached = next(c for c in range(column - 1, -1, -1) if (row, c) in on_line)
    place = on_line[row, reached]
    bridge = [(row, c) for c in range(reached + 1, column)]
    around = hole[start:] + hole[: start + 1]
    return line[: place + 1] + bridge + around + bridge[::-1] + line[place:]


def _without_straight(line: list[_Corner]) -> AnyArray:
    """Only the corners where the line turns."""
    corners = np.array(line)
    steps = np.diff(corners, axis=0, append=corners[:1])
    turns = np.any(steps != np.roll(steps, 1, axis=0), axis=1)
    return corners[turns]
