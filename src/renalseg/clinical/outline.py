"""A kidney's own outline: the hull of its parenchyma, as if its lesions were not there.

The convex hull spans the renal sinus, which belongs to the kidney. Where a lesion lies at the
hull's surface the hull says nothing: an exophytic tumor leaves a dent that the hull bridges too
flat, and stretches a rim of parenchyma outwards. There the outline goes on from the parts that no
lesion touches: the ellipsoid that fits them, raised or lowered by how far the hull around the gap
lies off it. So a lesion neither dents nor swells the outline, and a kidney that is an ellipsoid
gets exactly its own surface back.

The outline is kept as the distance from its centre to its surface in each direction, on a grid of
polar and azimuth angles about the world's axes.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from renalseg.clinical.ellipsoid import fit_ellipsoid
from renalseg.clinical.surfaces import Distance, Points, sample
from renalseg.types import Affine

#: Degrees between neighbouring directions.
_STEP = 2
#: The hull counts as seen where parenchyma reaches to within this of it.
_BACKED_MM = 2.5
#: A lesion this near to the hull hides it.
_NEAR_LESION_MM = 3.0
#: The hull's parts that are seen must hold this share of all directions for an ellipsoid to be fit.
_LEAST_SEEN = 0.25
#: An ellipsoid beyond this many times the hull's reach is no kidney.
_LARGEST = 1.6


@dataclass(frozen=True, eq=False)
class Outline:
    """A kidney's own outline.

    Attributes:
        origin: A point within, in mm; directions start there.
        radius_mm: Distance to the surface: polar angles from +z, azimuths from +x.
        seen: Share of the surface that is the kidney's hull; the rest was hidden by lesions.
        is_completed: Whether what was hidden could be completed; else it is the hull there too.
    """

    origin: Float[np.ndarray, "3"]
    radius_mm: Float[np.ndarray, "polar azimuth"]
    seen: float
    is_completed: bool

    def depths_mm(self, points: Points) -> Float[np.ndarray, " point"]:
        """How deep points lie below the surface along the radius; negative outside."""
        from scipy.ndimage import map_coordinates

        away = points - self.origin
        distance = np.linalg.norm(away, axis=1)
        cosine = away[:, 2] / np.maximum(distance, 1e-9)
        polar = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        azimuth = np.degrees(np.arctan2(away[:, 1], away[:, 0])) % 360
        closed = np.concatenate([self.radius_mm, self.radius_mm[:, :1]], axis=1)
        radius = map_coordinates(closed, [polar / _STEP, azimuth / _STEP], order=1, mode="nearest")
        return np.asarray(radius - distance)

    @cached_property
    def centroid(self) -> Float[np.ndarray, "3"]:
        """Its centre of mass, in mm."""
        directions, angles = _directions()
        radius = self.radius_mm.ravel()
        volume = (angles * radius**3 / 3).sum()
        moment = (directions * (angles * radius**4 / 4)[:, None]).sum(axis=0)
        return np.asarray(self.origin + moment / volume)

    @cached_property
    def surface(self) -> Points:
        """Points on its surface, in mm."""
        return np.asarray(self.origin + _directions()[0] * self.radius_mm.reshape(-1, 1))

    def principal_axes(self) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]:
        """Its principal axes as rows, longest first, and the standard deviations along them."""
        directions, angles = _directions()
        radius = self.radius_mm.ravel()
        weights = angles * radius**5 / 5
        volume = (angles * radius**3 / 3).sum()
        second = (directions * weights[:, None]).T @ directions / volume
        away = self.centroid - self.origin
        values, vectors = np.linalg.eigh(second - np.outer(away, away))
        return vectors.T[::-1], np.sqrt(np.maximum(values[::-1], 0))


def find_outline(
    surface: Points, parenchyma: Distance, lesions: Distance, affine: Affine
) -> Outline | None:
    """The outline of a kidney.

    Args:
        surface: Points on the parenchyma's surface, in mm.
        parenchyma: Its signed distance.
        lesions: Signed distance of all lesions of this kidney as one mask.
        affine: Of both arrays.

    Returns:
        None where the parenchyma has no volume to speak of.
    """
    from scipy.spatial import ConvexHull, QhullError

    away = sample(lesions, affine, surface) < -_NEAR_LESION_MM  # a lesion's rim would swell it
    if away.mean() > _LEAST_SEEN:
        surface = surface[away]
    try:
        hull = ConvexHull(surface)
    except (QhullError, ValueError):  # flat, or fewer than four points
        return None
    origin = _centre_of_mass(surface, hull.simplices)
    directions, angles = _directions()
    radius = _exits(hull.equations, origin, directions)
    exits = origin + directions * radius[:, None]
    hidden = sample(lesions, affine, exits) > -_NEAR_LESION_MM - _BACKED_MM
    seen = ~hidden & (sample(parenchyma, affine, exits) > -_BACKED_MM)
    share = float(angles[~hidden].sum() / angles.sum())
    is_completed = True
    if hidden.any():
        filled = None
        if angles[seen].sum() > _LEAST_SEEN * angles.sum():
            filled = _complete(origin, directions, angles, radius, seen, hidden)
        is_completed = filled is not None
        if filled is not None:
            radius = np.where(hidden, filled, radius)
    shape = (180 // _STEP + 1, 360 // _STEP)
    return Outline(origin, radius.reshape(shape), share, is_completed)


def _complete(
    origin: Float[np.ndarray, "3"],
    directions: Points,
    angles: Float[np.ndarray, " direction"],
    radius: Float[np.ndarray, " direction"],
    seen: Bool[np.ndarray, " direction"],
    hidden: Bool[np.ndarray, " direction"],
) -> Float[np.ndarray, " direction"] | None:
    """Radii of the outline where lesions hide the hull; None where no ellipsoid fits the rest."""
    few = np.flatnonzero(seen)[::3]  # plenty for nine numbers
    points = origin + directions[few] * radius[few, None]
    body = fit_ellipsoid(points, angles[few] * radius[few] ** 2)
    if not body.holds(origin) or body.radii.max() > _LARGEST * radius.max():
        return None
    smooth = body.distances_from(origin, directions)
    ratio = radius[few] / smooth[few]
    filled = smooth.copy()
    chord = 2 - 2 * directions[hidden] @ directions[few].T  # squared, on the unit sphere
    weights = angles[few] / (chord + np.radians(_STEP) ** 2) ** 2
    filled[hidden] *= (weights * ratio).sum(axis=1) / weights.sum(axis=1)
    return filled


def _directions() -> tuple[Points, Float[np.ndarray, " direction"]]:
    """Unit vectors of the grid of angles, polar angle first, and the solid angle of each."""
    polar = np.radians(np.arange(0, 181, _STEP, dtype=np.float64))
    azimuth = np.radians(np.arange(0, 360, _STEP, dtype=np.float64))
    theta, phi = (grid.ravel() for grid in np.meshgrid(polar, azimuth, indexing="ij"))
    directions = np.stack(
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1
    )
    half = np.radians(_STEP) / 2
    upper, lower = np.maximum(theta - half, 0), np.minimum(theta + half, np.pi)
    return directions, (np.cos(upper) - np.cos(lower)) * np.radians(_STEP)


def _exits(
    planes: Float[np.ndarray, "facet 4"], origin: Float[np.ndarray, "3"], directions: Points
) -> Float[np.ndarray, " direction"]:
    """Where rays from a point within a convex body leave it."""
    gaps = -(planes[:, :3] @ origin + planes[:, 3])
    radius = np.full(len(directions), np.inf)
    for start in range(0, len(planes), 256):
        steps = directions @ planes[start : start + 256, :3].T
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(steps > 1e-9, gaps[start : start + 256] / steps, np.inf)
        np.minimum(radius, reach.min(axis=1), out=radius)
    return radius


def _centre_of_mass(points: Points, triangles: Float[np.ndarray, "triangle 3"]) -> Points:
    """Of a convex body, from its surface."""
    middle = points[np.unique(triangles)].mean(axis=0)
    a, b, c = (points[triangles[:, corner]] - middle for corner in range(3))
    volumes = np.abs((np.cross(a, b) * c).sum(axis=1))
    return np.asarray(middle + (volumes[:, None] * (a + b + c)).sum(axis=0) / 4 / volumes.sum())
