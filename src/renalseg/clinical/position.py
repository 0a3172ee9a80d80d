"""Where a lesion lies in its kidney, in numbers: what every nephrometry score is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from renalseg.clinical.anatomy import Anatomy
from renalseg.clinical.diameters import largest_diameters
from renalseg.clinical.instances import Instance
from renalseg.clinical.records import Diameter
from renalseg.clinical.surfaces import Points, crop_affine, face_points, voxel_points
from renalseg.labels import DiameterLine

#: A straight line in mm: its two ends.
Line = Float[np.ndarray, "2 3"]


@dataclass(frozen=True, eq=False)
class Position:
    """A lesion in its kidney.

    Shares are of its volume, in percent. What needs the kidney's sinus, or its own shape, is None
    where that cannot be known.

    Attributes:
        diameter_mm: Its largest diameter along ``line``.
        diameter: The ends of that.
        centre: Its centre of mass, in mm.
        exophytic_percent: Share outside the kidney's own outline.
        sinus_distance_mm: Least distance between its surface and the sinus's.
        to_sinus: The ends of that, the lesion's first.
        front_percent: Share in front of the kidney's coronal plane.
        above_percent: Share above the upper polar line.
        below_percent: Share below the lower polar line.
        over_middle_percent: The lesser of the shares above and below the axial midline.
        medial_mm: How far its centre lies from the kidney's long axis towards the hilum.
        off_centre_mm: From the kidney's centre to its own: within the axial plane, and along the
            body's axis.
        line: Along which its largest diameter is taken.
        lengths_mm: Its largest diameter along every line.
    """

    diameter_mm: float
    diameter: Line
    centre: Float[np.ndarray, "3"]
    exophytic_percent: float | None
    sinus_distance_mm: float | None
    to_sinus: Line | None
    front_percent: float | None
    above_percent: float | None
    below_percent: float | None
    over_middle_percent: float | None
    medial_mm: float | None
    off_centre_mm: tuple[float, float] | None
    line: DiameterLine = DiameterLine.AXIAL
    lengths_mm: Mapping[DiameterLine, float] = field(default_factory=dict)

    @property
    def between_percent(self) -> float | None:
        """Share between the polar lines."""
        if self.above_percent is None or self.below_percent is None:
            return None
        return 100.0 - self.above_percent - self.below_percent


def find_position(
    anatomy: Anatomy,
    lesion: Instance,
    line: DiameterLine = DiameterLine.AXIAL,
    diameters: Mapping[DiameterLine, Diameter] | None = None,
) -> Position:
    """Measure where a lesion lies in its kidney.

    Args:
        anatomy: Of the kidney.
        lesion: The lesion.
        line: Along which its largest diameter is taken.
        diameters: Its largest diameter along every line, where that is known already.
    """
    affine = crop_affine(anatomy.grid, lesion.box)
    points = voxel_points(lesion.mask, affine)
    surface = face_points(lesion.mask, affine)
    centre = points.mean(axis=0)
    if diameters is None:
        diameters = largest_diameters(lesion.mask, lesion.box, anatomy.grid)[0]
    diameter = diameters[line]
    to_sinus = _shortest_line(surface, anatomy.sinus_surface())
    is_known = anatomy.outline.is_completed
    heights = anatomy.heights_mm(points)
    lines = anatomy.polar_lines
    is_above = float((heights > anatomy.middle_mm).mean()) * 100
    off = centre - anatomy.centre
    return Position(
        diameter_mm=diameter.length_mm,
        diameter=np.array([end.mm for end in diameter.ends]),
        centre=centre,
        exophytic_percent=_percent(anatomy.outline.depths_mm(points) < 0) if is_known else None,
        sinus_distance_mm=None
        if to_sinus is None
        else float(np.linalg.norm(to_sinus[1] - to_sinus[0])),
        to_sinus=to_sinus,
        front_percent=_percent((points - anatomy.centre) @ anatomy.front > 0) if lines else None,
        above_percent=_percent(heights > lines.upper_mm) if lines else None,
        below_percent=_percent(heights < lines.lower_mm) if lines else None,
        over_middle_percent=min(is_above, 100 - is_above) if is_known else None,
        medial_mm=float(off @ anatomy.hilum) if is_known else None,
        off_centre_mm=(float(np.hypot(off[0], off[1])), float(abs(off[2]))) if is_known else None,
        line=line,
        lengths_mm={name: found.length_mm for name, found in diameters.items()},
    )


def sinus_distance_mm(anatomy: Anatomy, lesion: Instance) -> float | None:
    """Least distance between a lesion's surface and the sinus's; None where no sinus is seen."""
    surface = face_points(lesion.mask, crop_affine(anatomy.grid, lesion.box))
    line = _shortest_line(surface, anatomy.sinus_surface())
    return None if line is None else float(np.linalg.norm(line[1] - line[0]))


def _percent(is_so: Float[np.ndarray, " point"]) -> float:
    return float(is_so.mean()) * 100


def _shortest_line(surface: Points, other: Points) -> Line | None:
    """The shortest line between two surfaces."""
    from scipy.spatial import KDTree

    if not len(other):
        return None
    distances, nearest = KDTree(other).query(surface)
    first = int(np.argmin(distances))
    return np.stack([surface[first], other[nearest[first]]])
