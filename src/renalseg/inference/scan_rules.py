"""What is unusual about a scan, before anything has been found in it.

Networks know axial CT of adults' abdomens, with slices and pixels of a range (``World``). One that
sees something else still answers.
"""

import math
from collections.abc import Iterator

import numpy as np

from renalseg.inference.finding import Finding
from renalseg.models.manifest import KITS_WORLD, World
from renalseg.types import AnyArray
from renalseg.volume import Volume

#: A hundredth more than the greatest voxel is rounding.
_ROUNDING = 1.01
#: An adult's two kidneys span 120 to 150 mm from the upper pole of one to the lower of the other.
_LEAST_LENGTH_MM = 120.0
#: Two kidneys and the spine between them; the narrowest of 60 KiTS scans is 275 mm.
_LEAST_WIDTH_MM = 200.0
#: A gantry tilts by up to 30 degrees; nobody tilts it for the abdomen.
_GREATEST_TILT_DEGREES = 15.0

#: About so many voxels are looked at.
_SAMPLES = 1_000_000
#: Air around and within the patient is -1000; lung of -850 is not air. Padding lies below -1500.
_AIR_HU = (-1500.0, -940.0)
_LOWEST_AIR_HU = -1060.0
#: Gas in the bowel alone is some thousandths of an abdomen.
_LEAST_AIR = 1e-3
#: Where the peak of fat is looked for: it lies near -100, at 80 kV near -120.
_FAT_HU = (-250.0, -30.0)
_FAT_PEAK_HU = (-145.0, -65.0)
_BIN_HU = 10.0
_LEAST_PEAK = 1e-3
#: Fat and organs. The emptiest scan, a thin patient in a wide field, has more.
_SOFT_HU = (-200.0, 200.0)
_LEAST_SOFT = 0.03


def unusual_scan(volume: Volume, world: World = KITS_WORLD) -> Iterator[Finding]:
    """Findings about a scan's grid and its intensities.

    Args:
        volume: A CT in HU.
        world: The scans that the networks know.
    """
    yield from _voxels(volume.spacing_mm, world)
    yield from _extent(volume)
    every = max(1, round((volume.array.size / _SAMPLES) ** (1 / 3)))
    yield from _intensities(volume.array[::every, ::every, ::every].astype(np.float32).ravel())


def _voxels(spacing_mm: tuple[float, float, float], world: World) -> Iterator[Finding]:
    slice_mm, row_mm, column_mm = spacing_mm
    least, greatest = world.slice_mm
    if slice_mm > greatest * _ROUNDING:
        yield Finding(
            "slice-thickness",
            f"Slices lie {slice_mm:.1f} mm apart; the networks learned from {least:g} to "
            f"{greatest:g} mm, and small lesions may be missed.",
        )
    least, greatest = world.pixel_mm
    if max(row_mm, column_mm) > greatest * _ROUNDING:
        yield Finding(
            "pixel-size",
            f"Pixels are {row_mm:.2f} x {column_mm:.2f} mm; the networks learned from {least:g} to "
            f"{greatest:g} mm.",
        )


def _extent(volume: Volume) -> Iterator[Finding]:
    length, depth, width = (
        count * mm for count, mm in zip(volume.shape, volume.spacing_mm, strict=True)
    )
    if length < _LEAST_LENGTH_MM or min(depth, width) < _LEAST_WIDTH_MM:
        yield Finding(
            "field-of-view",
            f"The scan is {length:.0f} mm long and {width:.0f} x {depth:.0f} mm wide; both kidneys "
            f"need some {_LEAST_LENGTH_MM:.0f} mm and {_LEAST_WIDTH_MM:.0f} mm.",
        )
    upright = abs(volume.affine[2, 0]) / volume.spacing_mm[0]
    tilt = math.degrees(math.acos(min(1.0, float(upright))))
    if tilt > _GREATEST_TILT_DEGREES:
        yield Finding(
            "tilted",
            f"Slices are tilted by {tilt:.0f} degrees; the networks learned from axial slices.",
        )


def _intensities(values_hu: AnyArray) -> Iterator[Finding]:
    low, high = float(values_hu.min()), float(values_hu.max())
    soft = _share(values_hu, *_SOFT_HU)
    if soft < _LEAST_SOFT:
        yield Finding(
            "intensity-range",
            f"{100 * soft:.1f} % of the voxels are between {_SOFT_HU[0]:.0f} and {_SOFT_HU[1]:.0f} "
            "HU, where fat and organs are; in CT of the abdomen a fifth to a half is, so the "
            "voxels may not be HU, or the patient is missing.",
        )
    if _share(values_hu, *_AIR_HU) < _LEAST_AIR:
        yield Finding(
            "intensity-range",
            f"Voxels run from {low:.0f} to {high:.0f} HU and hardly any is air (-1000); the "
            "scan may be cropped or clipped, or the offset of its HU wrong.",
        )
    # a clipped image has its peaks where it was clipped
    inner = values_hu[(values_hu > low) & (values_hu < high)]
    air, fat = _peak(inner, *_AIR_HU), _peak(inner, *_FAT_HU)
    if air is not None and air < _LOWEST_AIR_HU:
        yield _offset("Air", air, -1000)
    elif fat is not None and not _FAT_PEAK_HU[0] <= fat <= _FAT_PEAK_HU[1]:
        yield _offset("Fat", fat, -100)


def _offset(tissue: str, found_hu: float, usual_hu: int) -> Finding:
    return Finding(
        "intensity-offset",
        f"{tissue} seems to have {found_hu:.0f} HU and not about {usual_hu}; the offset of the HU "
        "may be wrong.",
    )


def _share(values: AnyArray, low: float, high: float) -> float:
    return np.count_nonzero((values >= low) & (values < high)) / values.size


def _peak(values: AnyArray, low: float, high: float) -> float | None:
    """The most frequent value of a range; None where that is one of its ends, or rare."""
    counts, edges = np.histogram(values, np.arange(low, high + _BIN_HU, _BIN_HU))
    highest = int(counts.argmax())
    if highest in (0, len(counts) - 1) or counts[highest] < _LEAST_PEAK * values.size:
        return None
    return float(edges[highest]) + _BIN_HU / 2
