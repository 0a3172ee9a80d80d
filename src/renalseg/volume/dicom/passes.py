"""Several passes over the same places in one series: phases, time points, kernels.

Each place is there twice, or slices of one pass lie between those of another, and no rule says
which are meant. What tells passes apart is a value in their headers, or the order of time: slices
in the order in which they were made begin anew.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import AnyArray
from renalseg.volume.dicom.slices import MARKS, Slice
from renalseg.volume.dicom.stack import SAME_PLACE_MM, is_even

#: Slices in this order begin anew with each pass.
_ORDERS = ("AcquisitionDateTime", "AcquisitionTime", "ContentTime", "InstanceNumber")
_KINDS = tuple(mark for mark in MARKS if mark != "InstanceNumber")
_MOST_SHOWN = 6
#: Slices of a pass, where those of all passes would make one stack.
_FEWEST = 4


@dataclass(frozen=True, eq=False)
class _Pass:
    """Numbers of the slices of one pass, and what its headers call it."""

    slices: AnyArray
    label: str


def split_pass(wanted: str | None) -> tuple[str | None, int | None]:
    """A series and a pass of it as a person names them: ``3:2`` is pass 2 of series 3."""
    series, colon, number = (wanted or "").rpartition(":")
    if colon and number.isdigit():
        return series or None, int(number)
    return wanted, None


def choose_pass(
    slices: Sequence[Slice], number: int | None, name: str, series: str
) -> tuple[tuple[Slice, ...], tuple[str, ...]]:
    """The slices of one pass.

    Args:
        slices: Of the series.
        number: The pass that is wanted, from 1; None where there must be one alone.
        name: Names the source and the series in errors.
        series: What a person calls the series by.

    Returns:
        Slices, in their order, and what a person should know.

    Raises:
        VolumeError: There are several and none was chosen, or not as many, or a file holds parts of
            several.
    """
    passes = _find(slices)
    if not passes:
        if number not in (None, 1):
            raise VolumeError(f"{name}: no pass {number}, it has one; give --series {series}")
        return tuple(slices), ()
    heights = _heights(slices)
    shown = [
        f"{n} ({one.label}, {len(one.slices)} slices, "
        f"{heights[one.slices].min():.6g} to {heights[one.slices].max():.6g} mm)"
        for n, one in enumerate(passes[:_MOST_SHOWN], start=1)
    ]
    more = f" and {len(passes) - _MOST_SHOWN} more" if len(passes) > _MOST_SHOWN else ""
    told = f"{name}: {len(passes)} passes over the same places: {', '.join(shown)}{more}"
    of_files = [{slices[i].path for i in one.slices} for one in passes]
    if len(set().union(*of_files)) < sum(map(len, of_files)):
        raise VolumeError(f"{told}, in the frames of one file; export one pass alone")
    if number is None:
        raise VolumeError(f"{told}; choose one, for example with --series {series}:1")
    if not 1 <= number <= len(passes):
        raise VolumeError(f"{told}; there is no pass {number}")
    chosen = passes[number - 1]
    note = f"pass {number} of {len(passes)} in this series ({chosen.label})"
    return tuple(slices[i] for i in np.sort(chosen.slices)), (note,)


def _find(slices: Sequence[Slice]) -> list[_Pass]:
    """The passes; none where slices are one stack, or nothing tells them apart.

    Slices that fit into one stack are passes too where each kind of them is a stack of its own
    over the same part of the patient: every second slice would be another phase's.
    """
    if len(slices) < 4:  # two passes have two each
        return []
    directions = np.array([one.directions.ravel() for one in slices])
    if np.ptp(directions, axis=0).max() > 0.01:  # no stack; reported later
        return []
    heights = _heights(slices)
    mm = np.sort(heights)
    fits = is_even(mm)  # slices half a step apart do too
    is_twice = not fits and bool(np.diff(mm).min() < SAME_PLACE_MM)
    fewest = _FEWEST if fits else 2  # two or three may lie evenly by chance
    for keyword in _KINDS:
        passes = _by_value(slices, keyword)
        if _are_passes(passes, heights, is_twice, touching=not fits, fewest=fewest):
            return passes
    if any(one.frame for one in slices) and not fits:
        passes = _by_file(slices)
        if _are_passes(passes, heights, is_twice, touching=True, fewest=fewest):
            return passes
    for keyword in _ORDERS:
        passes = _by_order(slices, keyword, heights)
        if _are_passes(passes, heights, is_twice, touching=False, fewest=fewest):
            return passes
    return []


def _heights(slices: Sequence[Slice]) -> AnyArray:
    row, column = np.median([one.directions for one in slices], axis=0)
    normal = np.cross(row, column)
    if normal[np.argmax(np.abs(normal))] < 0:  # as the patient's axis counts
        normal = -normal
    return np.array([one.position_mm for one in slices]) @ normal


def _are_passes(
    passes: list[_Pass], heights: AnyArray, is_twice: bool, *, touching: bool, fewest: int
) -> bool:
    """Whether each pass has each place once, and some passes go over the same part of the patient.

    Args:
        passes: What they might be.
        heights: Of all slices.
        is_twice: Whether some place is there twice. If none is, each pass must be even, for then
            slices may as well be missing.
        touching: Whether it is enough that two share a single place.
        fewest: Slices that each must have.
    """
    if len(passes) < 2 or any(len(one.slices) < fewest for one in passes):
        return False
    sorted_mm = [np.sort(heights[one.slices]) for one in passes]
    if any(np.diff(mm).min() < SAME_PLACE_MM for mm in sorted_mm):
        return False
    if not is_twice and not all(map(is_even, sorted_mm)):
        return False
    ends = sorted((mm[0], mm[-1]) for mm in sorted_mm)
    overlaps = [
        min(low[1], high[1]) - high[0] for i, low in enumerate(ends) for high in ends[i + 1 :]
    ]
    return bool(max(overlaps) > (-SAME_PLACE_MM if touching else SAME_PLACE_MM))


def _by_value(slices: Sequence[Slice], keyword: str) -> list[_Pass]:
    groups: dict[str, list[int]] = defaultdict(list)
    for i, one in enumerate(slices):
        groups[one.marks.get(keyword, "")].append(i)
    ordered = sorted(groups, key=_in_order)
    return [_Pass(np.array(groups[text]), f"{keyword} {text or 'empty'}") for text in ordered]


def _by_file(slices: Sequence[Slice]) -> list[_Pass]:
    groups: dict[str, list[int]] = defaultdict(list)
    for i, one in enumerate(slices):
        groups[one.path.name].append(i)
    return [_Pass(np.array(numbers), name) for name, numbers in groups.items()]


def _by_order(slices: Sequence[Slice], keyword: str, heights: AnyArray) -> list[_Pass]:
    """Runs of slices, in the order of a value, that each go one way."""
    values = {one.marks[keyword] for one in slices if keyword in one.marks}
    if len(values) < len(slices):  # some have none, or share one
        return []
    order = sorted(range(len(slices)), key=lambda i: _in_order(slices[i].marks[keyword]))
    steps = np.diff(heights[order])
    usual = np.sign(np.median(np.sign(steps)))
    begins = np.flatnonzero(np.sign(steps) != usual) + 1
    runs = np.split(np.array(order), begins)
    return [_Pass(run, f"from {keyword} {slices[run[0]].marks[keyword]}") for run in runs]


def _in_order(text: str) -> tuple[float, str]:
    """Sorts numbers as such, and texts behind them."""
    try:
        return float(text), text
    except ValueError:
        return float("inf"), text
