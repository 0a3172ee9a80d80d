"""The PADUA classification: preoperative aspects and dimensions used for an anatomical one.

Ficarra et al., Eur Urol 2009;56:786-793, table 1. Its sinus lines are R.E.N.A.L.'s polar lines.
"""

from renalseg.clinical.points import add_up, group, margin, range_text
from renalseg.clinical.position import Position
from renalseg.clinical.records import Component, Score, SinusSource
from renalseg.clinical.renal import exophytic, face_of, suffix_of
from renalseg.clinical.size import size_component

LIMITS = {
    "location": (1, 2),
    "exophytic": (1, 3),
    "rim": (1, 2),
    "sinus": (1, 2),
    "collecting system": (1, 2),
    "size": (1, 3),
}
GROUPS = ((7, "low"), (9, "intermediate"), (14, "high"))
#: A tumor this near to the sinus is involved with it: the frame's voxel.
_TOUCHES_MM = 1.0


def padua_score(position: Position, sinus_from: SinusSource | None) -> Score:
    """Score a tumor.

    Args:
        position: Where it lies.
        sinus_from: Where the sinus was taken from.
    """
    face = face_of(position)
    components = (
        _location(position),
        exophytic("exophytic", position),
        _rim(position),
        _sinus(position),
        _collecting_system(position),
        size_component("PADUA", position),
        face,
    )
    total, low, high = add_up(components, LIMITS)
    open_ones = [c.name for c in components if c.points is None and c.name in LIMITS]
    if suffix_of(face) == "":
        open_ones.append("face")
    return Score(
        system="PADUA",
        components=components,
        total=total,
        text=f"{range_text(low, high)}{suffix_of(face)} ({', '.join(open_ones)} open)",
        risk=group(low, high, GROUPS),
        sinus_from=sinus_from,
        diameter=position.line,
    )


def _location(position: Position) -> Component:
    title = "part between the sinus lines"
    value = position.between_percent
    if value is None:
        return Component(name="location", title=title, unit="%", finding=_NO_SINUS)
    is_middle = value > 50
    is_upper = (position.above_percent or 0) > (position.below_percent or 0)
    return Component(
        name="location",
        title=title,
        value=value,
        unit="%",
        finding="middle" if is_middle else "superior" if is_upper else "inferior",
        points=2 if is_middle else 1,
        margin=margin(value, 50),
    )


def _rim(position: Position) -> Component:
    title = "from the kidney's long axis towards the hilum"
    value = position.medial_mm
    if value is None or position.front_percent is None:
        return Component(name="rim", title=title, unit="mm", finding=_NO_SINUS)
    return Component(
        name="rim",
        title=title,
        value=value,
        unit="mm",
        finding="medial" if value > 0 else "lateral",
        points=2 if value > 0 else 1,
        margin=abs(value),
    )


def _sinus(position: Position) -> Component:
    title = "distance to the renal sinus"
    value = position.sinus_distance_mm
    if value is None:
        return Component(name="sinus", title=title, unit="mm", finding=_NO_SINUS)
    is_involved = value <= _TOUCHES_MM
    return Component(
        name="sinus",
        title=title,
        value=value,
        unit="mm",
        finding="involved" if is_involved else "not involved",
        points=2 if is_involved else 1,
        margin=margin(value, _TOUCHES_MM),
    )


def _collecting_system(position: Position) -> Component:
    distance = position.sinus_distance_mm
    away = "" if distance is None else f"; the sinus is {distance:.0f} mm away"
    return Component(
        name="collecting system",
        title="urinary collecting system dislocated or infiltrated",
        finding=f"open: the labels do not know it{away}",
    )


_NO_SINUS = "open: no renal sinus is seen in the labels"
