"""The centrality index.

Simmons et al., J Urol 2010;183:1708-1713: the distance c between the centres of tumor and kidney,
from their distance x within the axial plane and y along the body's axis (there, from the number of
slices between them), divided by the tumor's radius r. At 1 the tumor's edge reaches the kidney's
centre; the larger, the further out it lies.
"""

from math import hypot

from renalseg.clinical.position import Position
from renalseg.clinical.records import Component, Score


def c_index(position: Position) -> Score:
    """Score a tumor."""
    radius = position.diameter_mm / 2
    title = f"half the largest {position.line.in_words}"
    r = Component(name="r", title=title, value=radius, unit="mm")
    if position.off_centre_mm is None:
        lost = "open: the kidney's own shape is lost to the tumor"
        x = Component(name="x", title=_X, unit="mm", finding=lost)
        y = Component(name="y", title=_Y, unit="mm", finding=lost)
        return Score(
            system="C-index",
            components=(x, y, r),
            total=None,
            text="open",
            diameter=position.line,
        )
    in_plane, along = position.off_centre_mm
    index = hypot(in_plane, along) / radius
    return Score(
        system="C-index",
        components=(
            Component(name="x", title=_X, value=in_plane, unit="mm"),
            Component(name="y", title=_Y, value=along, unit="mm"),
            r,
        ),
        total=index,
        text=f"{index:.1f}",
        diameter=position.line,
    )


_X = "distance of the centres within the axial plane"
_Y = "distance of the centres along the body's axis"
