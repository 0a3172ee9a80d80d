"""The largest diameter in nephrometry: its points, and whether another line would change them.

The publications do not say in which plane the "maximal diameter" lies, so a score names the line
that it took, and what the others give.
"""

from renalseg.clinical.points import margin
from renalseg.clinical.position import Position
from renalseg.clinical.records import Component, LesionRecord, LinePoints
from renalseg.labels import DiameterLine

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
        title=f"largest {position.line.in_words}",
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

    For example ``R.E.N.A.L. R and PADUA size: 2 by the axial diameter (68 mm), 3 by the coronal
    (71 mm) and the 3D (74 mm)``.
    """
    names: dict[str, list[str]] = {}
    for score in lesion.scores:
        for component in score.components:
            if len({one.points for one in component.by_line}) > 1:
                text = _in_words(component, score.diameter)
                names.setdefault(text, []).append(f"{score.system} {component.name}")
    return tuple(f"{' and '.join(of)}: {text}" for text, of in names.items())


def _in_words(component: Component, line: DiameterLine) -> str:
    """The line that was taken, then those that give other points."""
    own = [one for one in component.by_line if one.line is line]
    shown = own + [one for one in component.by_line if one.points != component.points]
    digits = _digits([one.length_mm for one in shown])
    of_points: dict[int, list[str]] = {}
    for one in shown:
        name = (
            one.line.in_words if one.line is line else one.line.in_words.removesuffix(" diameter")
        )
        of_points.setdefault(one.points, []).append(f"the {name} ({one.length_mm:.{digits}f} mm)")
    return ", ".join(f"{points} by {_listed(names)}" for points, names in of_points.items())


def _digits(lengths_mm: list[float]) -> int:
    """As few digits as leave every length on its own side of every threshold."""
    for digits in range(_DECIMALS):
        if all(
            points_of(round(length, digits)) == points_of(length)
            for length in lengths_mm
            for _, points_of in _SIZES.values()
        ):
            return digits
    return _DECIMALS


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
