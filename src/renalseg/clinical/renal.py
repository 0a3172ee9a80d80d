"""The R.E.N.A.L. nephrometry score.

Kutikov and Uzzo, J Urol 2009;182:844-853, table 1.
"""

from renalseg.clinical.points import TRACE_PERCENT, add_up, group, margin, range_text, trace_margin
from renalseg.clinical.position import Position
from renalseg.clinical.records import Component, Score, SinusSource
from renalseg.clinical.size import size_component

LIMITS = {"R": (1, 3), "E": (1, 3), "N": (1, 3), "L": (1, 3)}
GROUPS = ((6, "low"), (9, "intermediate"), (12, "high"))
#: A lesion is anterior, or posterior, where this share of it is.
_MOSTLY_PERCENT = 200 / 3


def renal_score(position: Position, sinus_from: SinusSource | None) -> Score:
    """Score a tumor.

    Args:
        position: Where it lies.
        sinus_from: Where the sinus was taken from.
    """
    face = face_of(position)
    hilar = Component(
        name="h",
        title="touches the main renal artery or vein",
        finding="open: the labels do not know vessels",
    )
    components = (
        size_component("R.E.N.A.L.", position),
        exophytic("E", position),
        _nearness(position),
        face,
        _location(position),
        hilar,
    )
    total, low, high = add_up(components, LIMITS)
    open_ones = [c.name for c in components if c.points is None and c.name in LIMITS]
    if suffix_of(face) == "":
        open_ones.append("A")
    return Score(
        system="R.E.N.A.L.",
        components=components,
        total=total,
        text=f"{range_text(low, high)}{suffix_of(face)} ({', '.join([*open_ones, 'h'])} open)",
        risk=group(low, high, GROUPS),
        sinus_from=sinus_from,
        diameter=position.line,
    )


def exophytic(name: str, position: Position) -> Component:
    """How much of a tumor lies outside the kidney; R.E.N.A.L. and PADUA ask the same."""
    title = "part outside the kidney's own outline"
    value = position.exophytic_percent
    if value is None:
        return Component(name=name, title=title, unit="%", finding=_LOST)
    if value >= 50:
        points, finding = 1, "50 % or more exophytic"
    elif value >= TRACE_PERCENT:
        points, finding = 2, "less than 50 % exophytic"
    else:
        points, finding = 3, "entirely endophytic"
    return Component(
        name=name,
        title=title,
        value=value,
        unit="%",
        finding=finding,
        points=points,
        margin=trace_margin(value),
    )


def face_of(position: Position) -> Component:
    """Whether a tumor lies in front of the kidney's coronal plane; R.E.N.A.L.'s and PADUA's."""
    title = "part in front of the kidney's coronal plane"
    value = position.front_percent
    if value is None:
        return Component(name="A", title=title, unit="%", finding=_NO_SINUS)
    if value > _MOSTLY_PERCENT:
        finding = "anterior"
    elif value < 100 - _MOSTLY_PERCENT:
        finding = "posterior"
    else:
        finding = "neither anterior nor posterior"
    return Component(
        name="A",
        title=title,
        value=value,
        unit="%",
        finding=finding,
        margin=margin(value, _MOSTLY_PERCENT, 100 - _MOSTLY_PERCENT),
    )


def suffix_of(face: Component) -> str:
    """``a``, ``p`` or ``x``; nothing where it is open."""
    return "" if face.value is None else {"a": "a", "p": "p"}.get(face.finding[0], "x")


def _nearness(position: Position) -> Component:
    title = "distance to the renal sinus or collecting system"
    value = position.sinus_distance_mm
    if value is None:
        return Component(name="N", title=title, unit="mm", finding=_NO_SINUS)
    points, finding = 2, "more than 4 mm, less than 7 mm"
    if value >= 7:
        points, finding = 1, "7 mm or more"
    elif value <= 4:
        points, finding = 3, "4 mm or less"
    return Component(
        name="N",
        title=title,
        value=value,
        unit="mm",
        finding=finding,
        points=points,
        margin=margin(value, 4, 7),
    )


def _location(position: Position) -> Component:
    title = "part between the polar lines"
    value, over = position.between_percent, position.over_middle_percent
    if value is None or over is None:
        return Component(name="L", title=title, unit="%", finding=_NO_SINUS)
    above, below = position.above_percent or 0.0, position.below_percent or 0.0
    near: float | None
    if over >= TRACE_PERCENT:
        points, finding, near = 3, "crosses the axial midline", over - TRACE_PERCENT
    elif value > 50:
        is_within = max(above, below) < TRACE_PERCENT
        finding = "between the polar lines" if is_within else "more than half across a polar line"
        points, near = 3, value - 50
    elif value >= TRACE_PERCENT:
        points, finding, near = 2, "crosses a polar line", trace_margin(value)
    else:
        side = "above the upper" if above > below else "below the lower"
        points, finding, near = 1, f"entirely {side} polar line", trace_margin(value)
    return Component(
        name="L",
        title=title,
        value=value,
        unit="%",
        finding=finding,
        points=points,
        margin=near,
    )


_NO_SINUS = "open: no renal sinus is seen in the labels"
_LOST = "open: the kidney's own shape is lost to the tumor"
