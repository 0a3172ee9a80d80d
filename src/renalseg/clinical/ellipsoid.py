"""The ellipsoid that fits a set of points on a surface."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from renalseg.clinical.surfaces import Points

#: Points further off than this, in mm, weigh less: lobes, and dents that nobody explained.
_OUTLIER_MM = 2.0


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """An ellipsoid in the patient.

    Attributes:
        centre: In mm, RAS+.
        axes: Its axes as rows, unit vectors.
        radii: Its semi-axes in mm.
    """

    centre: Float[np.ndarray, "3"]
    axes: Float[np.ndarray, "3 3"]
    radii: Float[np.ndarray, "3"]

    def distances_from(
        self, origin: Float[np.ndarray, "3"], directions: Points
    ) -> Float[np.ndarray, " direction"]:
        """How far it is, in mm, from a point within to the surface.

        Args:
            origin: The point; where it lies outside, the answer has no meaning.
            directions: Unit vectors.
        """
        start = self.axes @ (origin - self.centre) / self.radii
        step = directions @ self.axes.T / self.radii
        a = (step**2).sum(axis=1)
        b = step @ start
        c = start @ start - 1
        return np.asarray((np.sqrt(np.maximum(b * b - a * c, 0)) - b) / a)

    def holds(self, point: Float[np.ndarray, "3"]) -> bool:
        """Whether a point lies within."""
        return bool((((self.axes @ (point - self.centre)) / self.radii) ** 2).sum() < 1)


def fit_ellipsoid(points: Points, weights: Float[np.ndarray, " point"]) -> Ellipsoid:
    """Fit an ellipsoid by its points' distances along the radius, robustly.

    Args:
        points: At least nine points on the surface, in mm.
        weights: How much each counts.
    """
    from scipy.optimize import least_squares
    from scipy.spatial.transform import Rotation

    mean = np.average(points, axis=0, weights=weights)
    spread = np.cov((points - mean).T, aweights=weights)
    values, vectors = np.linalg.eigh(spread)
    if np.linalg.det(vectors) < 0:
        vectors[:, 0] *= -1
    start_axes = vectors.T
    scale = np.sqrt(weights / weights.mean())

    def unpack(x: Float[np.ndarray, "9"]) -> Ellipsoid:
        turned = Rotation.from_rotvec(x[6:]).as_matrix() @ start_axes
        return Ellipsoid(mean + x[:3], turned, np.exp(x[3:6]))

    def residuals(x: Float[np.ndarray, "9"]) -> Float[np.ndarray, " point"]:
        body = unpack(x)
        away = points - body.centre
        level = np.linalg.norm(away @ body.axes.T / body.radii, axis=1)
        distance = np.linalg.norm(away, axis=1)
        return np.asarray(scale * distance * (1 - 1 / np.maximum(level, 1e-3)))

    start = np.concatenate([np.zeros(3), 0.5 * np.log(3 * np.maximum(values, 1)), np.zeros(3)])
    found = least_squares(residuals, start, loss="soft_l1", f_scale=_OUTLIER_MM, max_nfev=200)
    return unpack(found.x)
