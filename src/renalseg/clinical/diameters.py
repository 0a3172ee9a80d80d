"""Diameters of a mask, exact for the middles of its voxels' outer faces.

A voxel reaches half its size beyond its centre. The middles of the faces count that along the axes
and in part across them, so that a ball has its own diameter to within a voxel, where corners would
say more and centres less. Only points of the convex hull can lie farthest apart.
"""

from dataclasses import dataclass

import numpy as np

from renalseg.clinical.records import Diameter, Point
from renalseg.clinical.surfaces import Corners, face_middles, to_world
from renalseg.labels import DiameterLine
from renalseg.types import Affine, AnyArray, MaskArray
from renalseg.volume.boxes import Box

#: The canonical axis that the planes of a line are stacked along.
_ACROSS = {DiameterLine.AXIAL: 0, DiameterLine.CORONAL: 1, DiameterLine.SAGITTAL: 2}


@dataclass(frozen=True)
class Planar:
    """The longest line within a plane of the grid, and the longest one across it."""

    long: Diameter
    short: Diameter


def axial_diameter(mask: MaskArray, box: Box, affine: Affine) -> Planar:
    """The largest diameter in any axial slice, and the short axis perpendicular to it there.

    Args:
        mask: A lesion within its box; not empty.
        box: Where in the volume.
        affine: Of the volume.
    """
    return planar_diameter(mask, box, affine, DiameterLine.AXIAL)


def planar_diameter(mask: MaskArray, box: Box, affine: Affine, line: DiameterLine) -> Planar:
    """The largest diameter in any axial, coronal or sagittal plane of the volume's grid.

    Args:
        mask: A lesion within its box; not empty.
        box: Where in the volume.
        affine: Of the volume.
        line: In which planes.
    """
    across_planes = _ACROSS[line]
    sizes = np.linalg.norm(np.delete(affine[:3, :3], across_planes, axis=1), axis=0)
    best: tuple[float, int, Corners, Corners] | None = None
    for number, plane in enumerate(np.moveaxis(mask, across_planes, 0)):
        if not plane.any():
            continue
        points = face_middles(plane)
        extent = np.ptp(points * sizes, axis=0)
        if best is not None and np.hypot(*extent) <= best[0]:
            continue
        hull = _hull(points, sizes)
        ends, length = _farthest(hull, sizes)
        if best is None or length > best[0]:
            best = (length, number, ends, hull)
    assert best is not None  # a lesion has a voxel
    length, number, ends, hull = best
    across, width = _across(hull, ends, sizes)
    first = np.array([side.start for side in box], float)

    def diameter(points: Corners, length_mm: float) -> Diameter:
        full = np.insert(points, across_planes, float(number), axis=1) + first
        return _diameter(full, length_mm, affine)

    return Planar(diameter(ends, length), diameter(across, width))


def largest_diameters(
    mask: MaskArray, box: Box, affine: Affine
) -> tuple[dict[DiameterLine, Diameter], Diameter]:
    """The largest diameter along every line, and the short axis of the axial one.

    Args:
        mask: A lesion within its box; not empty.
        box: Where in the volume.
        affine: Of the volume.
    """
    planar = {line: planar_diameter(mask, box, affine, line) for line in _ACROSS}
    lines = {line: found.long for line, found in planar.items()}
    lines[DiameterLine.IN_3D] = diameter_3d(mask, box, affine)
    return lines, planar[DiameterLine.AXIAL].short


def diameter_3d(mask: MaskArray, box: Box, affine: Affine) -> Diameter:
    """The longest line between any two points.

    Args:
        mask: A lesion within its box; not empty.
        box: Where in the volume.
        affine: Of the volume.
    """
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    ends, length = _farthest(_hull(face_middles(mask), sizes), sizes)
    first = np.array([side.start for side in box], float)
    return _diameter(ends + first, length, affine)


def point_at(index: AnyArray, affine: Affine) -> Point:
    """A voxel index as a place in the patient."""
    x, y, z = to_world(index[None], affine)[0]
    slice_, row, column = index
    return Point(
        mm=(float(x), float(y), float(z)), index=(float(slice_), float(row), float(column))
    )


def _diameter(ends: Corners, length: float, affine: Affine) -> Diameter:
    first, second = (point_at(end, affine) for end in ends)
    return Diameter(length_mm=length, ends=(first, second))


def _hull(points: Corners, sizes: AnyArray) -> Corners:
    """The points that are corners of the convex hull; in a plane, in their order around it."""
    from scipy.spatial import ConvexHull

    return np.asarray(points[ConvexHull(points * sizes).vertices])


def _farthest(hull: Corners, sizes: AnyArray) -> tuple[Corners, float]:
    """The two points that lie farthest apart, and how far in mm."""
    from scipy.spatial.distance import pdist, squareform

    distances = squareform(pdist(hull * sizes))
    pair = np.unravel_index(int(distances.argmax()), distances.shape)
    return hull[list(pair)], float(distances[pair])


def _across(hull: Corners, ends: Corners, sizes: AnyArray) -> tuple[Corners, float]:
    """The longest chord of a plane's hull perpendicular to a line, and its length in mm.

    Between two corners a hull's width changes linearly, so the greatest is at a corner.
    """
    along = (ends[1] - ends[0]) * sizes
    along /= np.linalg.norm(along)
    frame = np.array([along, [-along[1], along[0]]])
    turned = (hull * sizes) @ frame.T
    order = np.argsort(turned[:, 0], kind="stable")
    first, last = turned[order[0]], turned[order[-1]]
    height = turned[:, 1] - np.interp(turned[:, 0], [first[0], last[0]], [first[1], last[1]])
    widths = []
    for is_upper in (True, False):
        side = order[(height[order] >= -1e-9) if is_upper else (height[order] <= 1e-9)]
        widths.append(np.interp(turned[:, 0], turned[side, 0], turned[side, 1]))
    upper, lower = widths
    best = int((upper - lower).argmax())
    points = np.array([[turned[best, 0], upper[best]], [turned[best, 0], lower[best]]])
    return (points @ frame) / sizes, float(upper[best] - lower[best])
