"""A kidney as nephrometry sees it: its outline, long axis, sinus and polar lines.

Axes
----
The kidney's frame is a grid of 1 mm voxels along the kidney's own axes: axis 0 runs down its long
axis, axis 1 to the back, axis 2 to the patient's left, each as nearly as the long axis allows. So
nothing here depends on how the scan's grid lies in the patient. Everything handed out is in mm,
RAS+ (``volume.orientation``), and ``Anatomy.affine`` leads there from the frame.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from renalseg.clinical.instances import Kidney, lesions_mask
from renalseg.clinical.outline import Outline, find_outline
from renalseg.clinical.sinus import Sinus, find_fat, find_sinus
from renalseg.clinical.surfaces import (
    Points,
    crop_affine,
    face_points,
    resample,
    signed_distance,
    surface_points,
    voxel_points,
)
from renalseg.types import Affine, ImageArray, MaskArray

#: Voxels of the kidney's frame.
STEP_MM = 1.0
#: The frame reaches this far beyond the kidney.
_MARGIN_MM = 5.0
#: A kidney whose longest axis is shorter than this many times the next has no long axis of its own.
_LEAST_ELONGATION = 1.15
#: Nor has one whose longest axis lies further than this from the body's, in degrees: a piece of a
#: kidney, or one that is not where kidneys are.
_LARGEST_TILT = 60.0
#: Less parenchyma than this is no kidney to take a score from.
_LEAST_PARENCHYMA_ML = 5.0


@dataclass(frozen=True)
class PolarLines:
    """Where the sinus begins and ends to open, along the long axis.

    Attributes:
        upper_mm: Of the upper line, from the kidney's centre, positive to the head.
        lower_mm: Of the lower line.
    """

    upper_mm: float
    lower_mm: float


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A kidney's own shape, lesions left out.

    Attributes:
        kidney: What it was found from.
        grid: Affine of the scan: index to mm.
        outline: The kidney's own outline.
        centre: The outline's centre of mass, in mm.
        long_axis: Unit vector to the upper pole.
        hilum: Unit vector from the centre to where the sinus opens, perpendicular to the long axis;
            the body's medial direction where no opening was found.
        front: Unit vector perpendicular to both, to the front: of the kidney's own coronal plane.
        affine: From indices of the frame to mm.
        parenchyma: In the frame.
        lesions: In the frame, all of them.
        sinus: In the frame; None where there is none to see.
        polar_lines: None where the sinus does not open.
        middle_mm: The axial midline, half way between the outline's poles, from the centre.
    """

    kidney: Kidney
    grid: Affine
    outline: Outline
    centre: Float[np.ndarray, "3"]
    long_axis: Float[np.ndarray, "3"]
    hilum: Float[np.ndarray, "3"]
    front: Float[np.ndarray, "3"]
    affine: Affine
    parenchyma: MaskArray
    lesions: MaskArray
    sinus: Sinus | None
    polar_lines: PolarLines | None
    middle_mm: float

    @property
    def opens(self) -> bool:
        """Whether an opening of the sinus was found, which gives the kidney's front and back."""
        return self.polar_lines is not None

    def heights_mm(self, points: Points) -> Float[np.ndarray, " point"]:
        """How far points lie above the centre, along the long axis."""
        return np.asarray((points - self.centre) @ self.long_axis)

    def sinus_surface(self) -> Points:
        """Points on the sinus's surface, in mm: the middles of its voxels' outer faces."""
        if self.sinus is None:
            return np.empty((0, 3))
        return face_points(self.sinus.mask, self.affine)


def kidney_anatomy(kidney: Kidney, affine: Affine, hu: ImageArray | None = None) -> Anatomy | None:
    """Find a kidney's outline, axes, sinus and polar lines.

    Args:
        kidney: The kidney with its lesions.
        affine: Of the volume that it lies in: canonical voxel index to mm, RAS+.
        hu: The CT within ``kidney.box``, in HU.

    Returns:
        None where there is too little parenchyma left to know a kidney by.
    """
    from scipy.ndimage import distance_transform_edt

    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    if kidney.mask.sum() * abs(np.linalg.det(affine[:3, :3])) < _LEAST_PARENCHYMA_ML * 1000:
        return None
    here = crop_affine(affine, kidney.box)
    parenchyma = signed_distance(kidney.mask, spacing_mm)
    lesions = signed_distance(lesions_mask(kidney), spacing_mm)
    surface = surface_points(parenchyma, here)
    outline = find_outline(surface, parenchyma, lesions, here)
    if outline is None:
        return None
    centre = outline.centroid
    long_axis = _long_axis(outline)
    frame, shape = _frame(np.concatenate([surface, outline.surface]), long_axis)
    in_frame = [resample(distance, here, frame, shape) > 0 for distance in (parenchyma, lesions)]
    in_frame[0] &= ~in_frame[1]
    medial = np.array([-1.0 if kidney.side == "right" else 1.0, 0.0, 0.0])
    sinus = None
    if outline.is_completed:  # else the hull spans a tumor, and what is not kidney is no sinus
        everywhere = voxel_points(np.ones(shape, bool), frame)
        inside = (outline.depths_mm(everywhere) >= 0).reshape(shape)
        sinus = find_sinus(
            in_frame[0],
            in_frame[1],
            distance_transform_edt(inside, STEP_MM).astype(np.float32),
            ((everywhere - centre) @ medial).reshape(shape),
            STEP_MM,
            None
            if hu is None
            else resample(find_fat(hu).astype(np.float32), here, frame, shape) > 0.5,
        )
    mouth = np.empty((0, 3)) if sinus is None else voxel_points(sinus.mouth, frame)
    towards = mouth.mean(axis=0) - centre if len(mouth) else medial
    hilum = _unit(towards - (towards @ long_axis) * long_axis)
    front = np.cross(long_axis, hilum)
    heights = (outline.surface - centre) @ long_axis
    return Anatomy(
        kidney=kidney,
        grid=affine,
        outline=outline,
        centre=centre,
        long_axis=long_axis,
        hilum=hilum,
        front=front if front[1] > 0 else -front,
        affine=frame,
        parenchyma=in_frame[0],
        lesions=in_frame[1],
        sinus=sinus,
        polar_lines=_polar_lines((mouth - centre) @ long_axis),
        middle_mm=float(heights.max() + heights.min()) / 2,
    )


def _long_axis(outline: Outline) -> Float[np.ndarray, "3"]:
    """The outline's longest axis to the head, or the body's where it has none of its own."""
    axes, spread = outline.principal_axes()
    longest = axes[0] * (1.0 if axes[0][2] >= 0 else -1.0)
    is_upright = longest[2] >= np.cos(np.radians(_LARGEST_TILT))
    if is_upright and spread[0] >= _LEAST_ELONGATION * spread[1]:
        return np.asarray(longest)
    return np.array([0.0, 0.0, 1.0])


def _frame(
    points: Points, long_axis: Float[np.ndarray, "3"]
) -> tuple[Affine, tuple[int, int, int]]:
    """The affine and shape of a kidney's frame around some points."""
    down = -long_axis
    back = np.array([0.0, -1.0, 0.0])
    back = _unit(back - (back @ down) * down)
    axes = np.stack([down, back, np.cross(back, down)])
    axes[2] *= -np.sign(axes[2][0])  # to the patient's left
    along = points @ axes.T
    first = along.min(axis=0) - _MARGIN_MM
    levels, rows, columns = np.ceil((along.max(axis=0) + _MARGIN_MM - first) / STEP_MM) + 1
    affine = np.eye(4)
    affine[:3, :3] = axes.T * STEP_MM
    affine[:3, 3] = first @ axes
    return affine, (int(levels), int(rows), int(columns))


def _polar_lines(heights: Float[np.ndarray, " point"]) -> PolarLines | None:
    """The levels between which the sinus opens, from its mouth's voxels."""
    if not len(heights):
        return None
    half = STEP_MM / 2
    return PolarLines(float(heights.max()) + half, float(heights.min()) - half)


def _unit(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    return np.asarray(vector / np.linalg.norm(vector))
