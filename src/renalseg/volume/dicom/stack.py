"""Slices stacked to one grid: ordered along their normal, even, upright.

The grid's axes are slice (along the normal of the slices), row and column of the stored pixels. Its
origin and steps are fitted to all positions, which differ by rounding. Where the slices do not lie
on it, because the gantry was tilted or some are missing, they are resampled to it:

- A tilted gantry's slices lean, and each starts further along its columns than the one below: the
  grid of voxels is sheared. Each slice is moved within its own plane by the part of a pixel that
  brings it upright, onto a grid that is as much longer.
- Missing slices are interpolated between their neighbours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import Affine, AnyArray
from renalseg.volume.dicom.slices import Slice

_LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Slices nearer than this are the same place.
SAME_PLACE_MM = 0.01
#: Slices off their place by more than this part of their distance (or a pixel) are not even.
_UNEVEN = 0.1
#: By more than this part, a person is told.
_TOLD = 0.01
#: A stack that drifts by less than this part of a pixel in all stands upright.
_UPRIGHT = 0.2
#: No gantry leans by more than 30 degrees.
_MOST_TILT_DEGREES = 45.0
#: An error names this many places.
_MOST_SHOWN = 4


@dataclass(frozen=True, eq=False)
class Stack:
    """A grid, and where each slice lies on it.

    Attributes:
        order: Numbers of the slices, sorted along the normal.
        affine: Grid index (slice, row, column) to world, RAS+, mm.
        shape: Of the grid.
        heights: Index of each slice along the grid's slices, in sorted order; whole numbers but for
            uneven slices.
        offsets: Row and column of the grid that each slice's first pixel lies at, sorted likewise.
        notes: What a person should know.
    """

    order: tuple[int, ...]
    affine: Affine
    shape: tuple[int, int, int]
    heights: AnyArray
    offsets: AnyArray
    notes: tuple[str, ...] = ()

    @property
    def places(self) -> AnyArray:
        """The grid's voxel nearest to each slice's first pixel: slice, row, column."""
        nearest = np.rint(np.column_stack([self.heights, self.offsets]))
        return np.asarray(nearest, dtype=np.int64)


def stack(slices: Sequence[Slice], name: str, *, allow_gaps: bool = False) -> Stack:
    """Order slices and lay a grid through them.

    Args:
        slices: Parallel slices of one shape and pixel size.
        name: Names them in errors.
        allow_gaps: Fill missing slices in and make uneven ones even.

    Raises:
        VolumeError: Two slices lie at one place, some are missing or uneven, or they do not lie
            above one another.
    """
    first = slices[0]
    row, column = np.median([one.directions for one in slices], axis=0)
    frame = np.stack([np.cross(row, column), column, row])  # slice, row, column
    # slice, row, column, in mm
    coordinates = np.array([one.position_mm for one in slices]) @ frame.T
    order = np.argsort(coordinates[:, 0], kind="stable")
    coordinates = coordinates[order]
    where = _Where(name, [slices[i] for i in order], frame[0])
    heights, step_mm, height_notes = _heights(coordinates[:, 0], first, where, allow_gaps)
    offsets, origin, offset_notes = _offsets(coordinates, first, where)
    start = float(np.mean(coordinates[:, 0] - heights * step_mm))
    rows, columns = (int(n) for n in first.shape + np.ceil(offsets.max(axis=0) - 1e-6))
    affine = np.eye(4)
    affine[:3, :3] = frame.T * [step_mm, *np.median([one.spacing_mm for one in slices], axis=0)]
    affine[:3, 3] = frame.T @ [start, *origin]
    return Stack(
        tuple(int(i) for i in order),
        np.asarray(_LPS_RAS @ affine),
        (round(heights[-1]) + 1, rows, columns),
        heights,
        offsets,
        (*height_notes, *offset_notes),
    )


@dataclass(frozen=True, eq=False)
class _Where:
    """How places along the normal are told: by the patient's axis that is nearest."""

    name: str
    slices: list[Slice]
    normal: AnyArray

    def __call__(self, number: int) -> str:
        axis = int(np.argmax(np.abs(self.normal)))
        return f"{'xyz'[axis]} {self.slices[number].position_mm[axis]:.6g}"

    def list(self, places: Sequence[str]) -> str:
        more = len(places) - _MOST_SHOWN
        return ", ".join(places[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")

    def file(self, number: int) -> str:
        return self.slices[number].name


def _heights(
    mm: AnyArray, first: Slice, where: _Where, allow_gaps: bool
) -> tuple[AnyArray, float, list[str]]:
    """Index of each slice along the normal, distance of two, notes."""
    if len(mm) == 1:
        if first.thickness_mm is None:
            raise VolumeError(
                f"{where.name}: one slice alone, and no SliceThickness; give the whole series"
            )
        told = f"one slice alone, taken to be {first.thickness_mm:g} mm thick"
        return np.zeros(1), first.thickness_mm, [told]
    steps = np.diff(mm)
    _refuse_duplicates(steps, where)
    # with many gaps, the median is none of the distances that would be without them
    tried = [_fit(mm, usual) for usual in (float(np.median(steps)), float(steps.min()))]
    fit = next((one for one in tried if one.is_even), tried[0])
    far = int(np.argmax(fit.off))
    if fit.is_even and not fit.gaps:
        told = (
            f"slices lie up to {fit.off[far] * fit.step_mm:.2g} mm off even distances (at "
            f"{where(far)})"
        )
        return fit.heights, fit.step_mm, [told] if fit.off[far] > _TOLD else []
    places = [f"between {where(i)} and {where(i + 1)} mm" for i in fit.gaps]
    kind = "missing" if fit.is_even else "unevenly spaced"
    what = f"slices are {kind} {where.list(places or [f'at {where(far)} mm'])}"
    expected = f"{what}, expected every {fit.usual_mm:.4g} mm"
    if not allow_gaps:
        raise VolumeError(
            f"{where.name}: {expected}; give all slices, or have them interpolated with "
            "--allow-gaps"
        )
    heights, step_mm = fit.heights, fit.step_mm
    if not fit.is_even:
        count = max(1, round((mm[-1] - mm[0]) / fit.usual_mm))
        step_mm = float(mm[-1] - mm[0]) / count
        heights = (mm - mm[0]) / step_mm
        heights[-1] = count
    if heights[-1] + 1 > 2 * len(mm):
        raise VolumeError(f"{where.name}: {expected}: more than there are; give all slices")
    return heights, step_mm, [f"{what}: interpolated to every {step_mm:.4g} mm"]


@dataclass(frozen=True, eq=False)
class _Fit:
    """Even heights, as near as they come to slices.

    Attributes:
        usual_mm: The distance that was tried.
        step_mm: The distance that fits best.
        heights: Whole numbers.
        off: How far each slice lies off its height, in steps.
        gaps: Numbers of the slices above which the next is not the next height.
        is_even: Whether each slice lies at a height of its own.
    """

    usual_mm: float
    step_mm: float
    heights: AnyArray
    off: AnyArray
    gaps: list[int]
    is_even: bool


def _fit(mm: AnyArray, usual_mm: float) -> _Fit:
    steps = np.diff(mm)
    counts = np.rint(steps / usual_mm)
    heights = np.concatenate([[0.0], np.cumsum(counts)])
    step_mm, start = usual_mm, mm[0]
    if counts.any():
        step_mm, start = (float(x) for x in np.polyfit(heights, mm, 1))
    off = np.abs(mm - start - heights * step_mm) / step_mm
    even = bool(counts.all()) and float(off.max()) <= _UNEVEN
    odd = counts != 1 if even else np.abs(steps - usual_mm) > _UNEVEN * usual_mm
    return _Fit(usual_mm, step_mm, heights, off, np.flatnonzero(odd).tolist(), even)


def is_even(mm: AnyArray) -> bool:
    """Whether slices at these heights, sorted, lie at even distances, none twice, none missing."""
    steps = np.diff(mm)
    if not steps.size or steps.min() < SAME_PLACE_MM:
        return not steps.size
    fit = _fit(mm, float(np.median(steps)))
    return fit.is_even and not fit.gaps


def _refuse_duplicates(steps: AnyArray, where: _Where) -> None:
    same = np.flatnonzero(steps < SAME_PLACE_MM)
    if same.size:
        places = where.list(
            [f"{where.file(i)} and {where.file(i + 1)} at {where(i)} mm" for i in map(int, same)]
        )
        raise VolumeError(
            f"{where.name}: two slices at one place: {places}; give one scan alone, each slice once"
        )


def _offsets(
    coordinates: AnyArray, first: Slice, where: _Where
) -> tuple[AnyArray, AnyArray, list[str]]:
    """Offset of each slice in its plane (pixels), origin of the grid there (mm), notes."""
    mm, heights = coordinates[:, 1:], coordinates[:, 0]
    spacing = np.array(first.spacing_mm)
    drift = np.zeros(2)
    centred = heights - heights.mean()
    if len(mm) > 1:
        drift = centred @ mm / (centred @ centred)
    fitted = mm.mean(axis=0) + np.outer(centred, drift)
    off = np.abs((mm - fitted) / spacing).max(axis=1)
    far = int(np.argmax(off))
    span = np.abs(drift) * np.ptp(heights) / spacing
    degrees = float(np.degrees(np.arctan(np.linalg.norm(drift))))
    leans = bool(np.any(span > _UPRIGHT))
    if off[far] > _UNEVEN or degrees > _MOST_TILT_DEGREES or (leans and len(mm) < 3):
        raise VolumeError(
            f"{where.name}: slices do not lie above one another ({where.file(far)} at {where(far)} "
            "mm is out of line); give one scan alone"
        )
    if not leans:
        told = f"slices lie up to {off[far]:.2g} pixels out of line (at {where(far)})"
        return np.zeros_like(mm), mm.mean(axis=0), [told] if off[far] > _TOLD else []
    origin = fitted.min(axis=0)
    note = f"slices lean by {degrees:.3g} degrees (tilted gantry): resampled to an upright grid"
    return (fitted - origin) / spacing, origin, [note]
