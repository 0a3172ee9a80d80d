"""Masks as smooth bodies: signed distances, surfaces and their resampling to another grid.

A CT's slices may be five times as thick as its pixels are wide. A mask's signed distance,
interpolated between the voxels, gives its surface within a fraction of a voxel, and one that hardly
depends on the grid. Its zero lies midway between a voxel inside and one outside, on the face that
they share.
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Float32

from renalseg.types import Affine, AnyArray, MaskArray
from renalseg.volume.boxes import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Points in the patient, RAS+, mm.
Points = Float[np.ndarray, "point 3"]
#: Places on a grid, as indices; 2D or 3D.
Corners = Float[np.ndarray, "point axis"]
#: Signed distance from a surface, mm; positive inside.
Distance = Float32[np.ndarray, "slice row column"]


def crop_affine(affine: Affine, box: Box) -> Affine:
    """The affine of a part of an array."""
    cropped = affine.copy()
    cropped[:3, 3] += affine[:3, :3] @ [side.start for side in box]
    return cropped


def to_world(points: Points, affine: Affine) -> Points:
    """Voxel indices to mm."""
    return np.asarray(points @ affine[:3, :3].T + affine[:3, 3])


def face_middles(mask: AnyArray) -> Corners:
    """Middles of the faces between voxels inside and outside, as indices; 2D or 3D."""
    padded = np.pad(mask, 1)
    found = []
    for axis in range(mask.ndim):
        half = np.zeros(mask.ndim)
        half[axis] = 0.5
        found.append(np.argwhere(np.diff(padded, axis=axis)) + half - 1)
    return np.concatenate(found)


def face_points(mask: MaskArray, affine: Affine) -> Points:
    """The middles of the faces between a mask's voxels and those around it, in mm."""
    return to_world(face_middles(mask), affine)


def voxel_points(mask: MaskArray, affine: Affine) -> Points:
    """Centres of a mask's voxels, in mm."""
    return to_world(np.argwhere(mask).astype(np.float64), affine)


def signed_distance(mask: MaskArray, spacing_mm: "Sequence[float]") -> Distance:
    """Distance in mm from each voxel's centre to the mask's surface, negative outside.

    Args:
        mask: Any mask; without one true voxel the distance is minus infinity.
        spacing_mm: Voxel size.
    """
    from scipy.ndimage import distance_transform_edt

    if not mask.any():
        return np.full(mask.shape, -np.inf, np.float32)
    # the distance to the nearest voxel of the other kind, whose zero is midway between the two
    padded = np.pad(mask, 1)
    distance = distance_transform_edt(padded, spacing_mm).astype(np.float32)
    distance -= distance_transform_edt(~padded, spacing_mm).astype(np.float32)
    return np.asarray(distance[1:-1, 1:-1, 1:-1])


def surface_points(distance: Distance, affine: Affine) -> Points:
    """Points on the surface where a signed distance is 0, a voxel or less apart, in mm."""
    from skimage.measure import marching_cubes

    closed = np.pad(distance, 1, constant_values=-1.0)
    if not (closed > 0).any():
        return np.empty((0, 3))
    vertices = marching_cubes(closed, 0.0)[0]
    return to_world(vertices.astype(np.float64) - 1, affine)


def resample(
    values: Distance, affine: Affine, to_affine: Affine, shape: tuple[int, int, int]
) -> Distance:
    """An array on another grid, linear between the voxels; what lies outside is its border's."""
    from scipy.ndimage import affine_transform

    way = np.linalg.inv(affine) @ to_affine
    return np.asarray(
        affine_transform(
            values, way[:3, :3], way[:3, 3], output_shape=shape, order=1, mode="nearest"
        )
    )


def sample(values: Distance, affine: Affine, points: Points) -> Float[np.ndarray, " point"]:
    """An array's values at points in the patient, linear between the voxels."""
    from scipy.ndimage import map_coordinates

    inverse = np.linalg.inv(affine)
    return np.asarray(
        map_coordinates(values, to_world(points, inverse).T, order=1, mode="nearest"), np.float64
    )
