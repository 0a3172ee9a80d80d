"""Points of a score added up, while some components may be open."""

from collections.abc import Sequence

from renalseg.clinical.records import Component

#: A lesion has no part where less than this share of its volume lies, in percent: a voxel's error.
TRACE_PERCENT = 1.0


def margin(value: float, *thresholds: float) -> float:
    """Distance of a value from the nearest threshold."""
    return min(abs(value - threshold) for threshold in thresholds)


def trace_margin(percent: float) -> float | None:
    """The same of a share and 50 % or a trace; None where no voxel lies on the other side."""
    return margin(percent, TRACE_PERCENT, 50) if percent > 0 else None


def add_up(
    components: Sequence[Component], limits: dict[str, tuple[int, int]]
) -> tuple[int | None, int, int]:
    """Add points.

    Args:
        components: Of which those named in ``limits`` give points.
        limits: The least and the most points of each.

    Returns:
        The sum, None while a component is open; the least and the most that it can be.
    """
    low = high = 0
    is_open = False
    for component in components:
        if component.name not in limits:
            continue
        if component.points is None:
            is_open = True
            low += limits[component.name][0]
            high += limits[component.name][1]
        else:
            low += component.points
            high += component.points
    return (None if is_open else low), low, high


def range_text(low: int, high: int) -> str:
    """``7``, or ``7-9``."""
    return str(low) if low == high else f"{low}-{high}"


def group(low: int, high: int, names: Sequence[tuple[int, str]]) -> str | None:
    """The group that a sum falls into; None where it could be more than one.

    Args:
        low: The least that the sum can be.
        high: The most.
        names: The most points of each group and its name, in rising order.
    """

    def of(total: int) -> str:
        return next(name for most, name in names if total <= most)

    return of(low) if of(low) == of(high) else None
