"""The largest diameter in nephrometry: its points, and whether another line would change them.

The publications do not say in which plane the "maximal diameter" lies, so a score names the line
that it took, and what the others give.
"""

from collections.abc import Callable

from renalseg.clinical.points import margin
from renalseg.clinical.position import Position
from renalseg.clinical.records import Component, LesionRecord, LinePoints, Score

#: More digits than this say nothing more.
_DECIMALS = 3


def renal_points(length_mm: float) -> tuple[int, str]:
    """R of R.E.N.A.L.: its points, and their range in words."""
    if length_mm <= 40:
        return 1, "4 cm or less"
    if length_mm >= 70:
        return 3, "7 cm or more"
    return 2, "more than 4 cm, less than 7 cm"


def padua_points(length_mm: float) -> tuple[int, str]:
    """PADUA's size: its points, and their range in words."""
    if length_mm <= 40:
        return 1, "4 cm or less"
    if length_mm > 70:
        return 3, "more than 7 cm"
    return 2, "more than 4 cm, up to 7 cm"


#: By the score's system: the component, and its points.
_SIZES = {"R.E.N.A.L.": ("R", renal_points), "PADUA": ("size", padua_points)}


def size_component(system: str, position: Position) -> Component:
    """The component of a score that is a tumor's largest diameter."""
    name, points_of = _SIZES[system]
    value = position.diameter_mm
    points, finding = points_of(value)
    return Component(
        name=name,
        title=f"largest {position.line.title}",
        value=value,
        unit="mm",
        finding=finding,
        points=points,
        margin=margin(value, 40, 70),
        by_line=tuple(
            LinePoints(line=line, length_mm=length, points=points_of(length)[0])
            for line, length in position.lengths_mm.items()
        ),
    )


def points_by_line(lesion: LesionRecord) -> tuple[str, ...]:
    """Where another line gives a lesion other points, in words; scores that agree share a text.

    For example ``R.E.N.A.L. R and PADUA size: 2 by the axial diameter (68 mm), 3 by the 3D
    diameter (74 mm)``.
    """
    names: dict[str, list[str]] = {}
    for score in lesion.scores:
        for text in _by_line(score):
            names.setdefault(text, []).append(f"{score.system} {_SIZES[score.system][0]}")
    return tuple(f"{' and '.join(of)}: {text}" for text, of in names.items())


def _by_line(score: Score) -> tuple[str, ...]:
    name, points_of = _SIZES.get(score.system, ("", renal_points))
    for component in score.components:
        if component.name == name and len({one.points for one in component.by_line}) > 1:
            return (_in_words(component, score, points_of),)
    return ()


def _in_words(
    component: Component, score: Score, points_of: Callable[[float], tuple[int, str]]
) -> str:
    """The line that was taken, then those that give other points."""
    own = [one for one in component.by_line if one.line is score.diameter]
    shown = own + [one for one in component.by_line if one.points != component.points]
    # as few digits as still tell one side of a threshold from the other
    decimals = next(
        (
            digits
            for digits in range(_DECIMALS)
            if all(points_of(round(one.length_mm, digits))[0] == one.points for one in shown)
        ),
        _DECIMALS,
    )
    return ", ".join(
        f"{one.points} by the {one.line.title} ({one.length_mm:.{decimals}f} mm)" for one in shown
    )
