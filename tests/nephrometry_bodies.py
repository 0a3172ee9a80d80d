"""A kidney that is an ellipsoid with a slot for a sinus, and tumors that are balls.

All is given in the kidney's own axes: up (to the upper pole), medial (to the hilum), front; in mm
from its centre.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from renalseg.clinical.anatomy import Anatomy, kidney_anatomy
from renalseg.clinical.instances import Instance, Kidney
from renalseg.labels import Label
from renalseg.volume import Volume
from renalseg.volume.boxes import bounding_box

RADII = (55.0, 30.0, 27.0)
#: The slot: from -15 to 15 mm along the axis, 9 mm to the front and back, from 5 mm medial on.
POLAR_LINE = 15.0
SLOT_FRONT = 9.0
SLOT_DEPTH = 5.0


@dataclass(frozen=True)
class Ball:
    """A round lesion: its centre (up, medial, front) and radius."""

    centre: tuple[float, float, float]
    radius: float
    label: Label = Label.TUMOR


@dataclass(frozen=True)
class Body:
    """A kidney with lesions, in a patient.

    Attributes:
        lesions: Its lesions.
        side: ``left`` or ``right``.
        tilt: How it lies, a rotation vector in degrees, about the patient's axes.
        is_filled: Whether the label map counts the sinus as kidney.
    """

    lesions: tuple[Ball, ...] = ()
    side: str = "left"
    tilt: tuple[float, float, float] = (0.0, 0.0, 0.0)
    is_filled: bool = False
    centre: tuple[float, float, float] = (-70.0, 12.0, -310.0)

    def axes(self):
        """Up, medial and front as rows, in patient coordinates."""
        medial = 1.0 if self.side == "left" else -1.0
        upright = np.array([[0, 0, 1.0], [medial, 0, 0], [0, 1.0, 0]])
        turn = Rotation.from_rotvec(self.tilt, degrees=True).as_matrix()
        return upright @ turn.T

    def labels_at(self, points):
        """The label at points in the patient."""
        own = (points - self.centre) @ self.axes().T
        labels = np.where(inside(own), Label.KIDNEY, Label.BACKGROUND).astype(np.uint8)
        if not self.is_filled:
            labels[in_slot(own)] = Label.BACKGROUND
        for ball in self.lesions:
            labels[((own - ball.centre) ** 2).sum(axis=-1) < ball.radius**2] = ball.label
        return labels

    def volume(self, spacing_mm=1.5, turn=(0.0, 0.0, 0.0), order=(0, 1, 2), flips=(1, 1, 1)):
        """A label map on a grid.

        Args:
            spacing_mm: Voxel size; one number or one for each stored axis.
            turn: How the grid lies in the patient, a rotation vector in degrees.
            order: Order of the stored axes.
            flips: Their directions.
        """
        steps = np.diag(np.broadcast_to(np.asarray(spacing_mm, float), 3)) * flips
        steps = Rotation.from_rotvec(turn, degrees=True).as_matrix() @ steps[:, list(order)]
        sizes = np.linalg.norm(steps, axis=0)
        extent = self._extent() @ (steps / sizes)
        low, high = extent.min(axis=0) - 6, extent.max(axis=0) + 6
        shape = np.ceil((high - low) / sizes).astype(int)
        affine = np.eye(4)
        affine[:3, :3] = steps
        affine[:3, 3] = np.asarray(self.centre) + 0.3 + (steps / sizes) @ low
        indices = np.indices(shape).reshape(3, -1).T
        labels = self.labels_at(indices @ steps.T + affine[:3, 3]).reshape(shape)
        return Volume.from_stored(labels, affine)

    def _extent(self):
        """Points that the body lies between, from its centre, in patient coordinates."""
        directions = np.random.default_rng(0).normal(size=(2000, 3))
        directions /= np.linalg.norm(directions, axis=1)[:, None]
        balls = [np.asarray(b.centre) + b.radius * directions for b in self.lesions]
        return np.concatenate([directions * RADII, *balls]) @ self.axes()

    def anatomy(self, ct=None, **grid) -> tuple[Anatomy, tuple[Instance, ...]]:
        """The kidney's anatomy, as from a label map on a grid, and its lesions in order."""
        volume = self.volume(**grid)
        kidney = as_kidney(self, volume)
        hu = None if ct is None else ct(self, volume)[kidney.box]
        anatomy = kidney_anatomy(kidney, volume.affine, hu)
        return anatomy, kidney.lesions


def inside(own):
    """Whether points in the kidney's axes lie in the ellipsoid."""
    up, medial, front = np.moveaxis(own, -1, 0)
    a, b, c = RADII
    return (up / a) ** 2 + (medial / b) ** 2 + (front / c) ** 2 < 1


def in_slot(own):
    """Whether they lie in the sinus."""
    up, medial, front = np.moveaxis(own, -1, 0)
    slot = (np.abs(up) < POLAR_LINE) & (np.abs(front) < SLOT_FRONT) & (medial > SLOT_DEPTH)
    return slot & inside(own)


def as_kidney(body, volume):
    """What the measuring finds in a label map, here known from the start."""
    array = volume.array
    box = bounding_box(array > 0)
    box = tuple(
        slice(max(0, side.start - 3), min(length, side.stop + 3))
        for side, length in zip(box, array.shape, strict=True)
    )
    own = own_points(body, volume)
    lesions = []
    for ball in body.lesions:
        mask = ((own - ball.centre) ** 2).sum(axis=-1) < ball.radius**2
        mask &= array == ball.label
        place = bounding_box(mask)
        lesions.append(Instance(ball.label, mask[place], place))
    return Kidney(body.side, array[box] == Label.KIDNEY, box, tuple(lesions))


def own_points(body, volume):
    """A grid's voxels in the kidney's axes."""
    indices = np.indices(volume.shape).reshape(3, -1).T
    points = indices @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    return ((points - body.centre) @ body.axes().T).reshape((*volume.shape, 3))


def share(ball, is_so):
    """The share of a ball, in percent, where something is so; by a fine grid of its points."""
    line = np.linspace(-1, 1, 121)[:-1] + 1 / 120
    unit = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    unit = unit[(unit**2).sum(axis=1) < 1]
    return 100 * float(is_so(np.asarray(ball.centre) + ball.radius * unit).mean())


def cap(ball, level):
    """The share of a ball above a level of the long axis, in percent, by the cap's formula."""
    height = np.clip(ball.centre[0] + ball.radius - level, 0, 2 * ball.radius)
    return 100 * height**2 * (3 * ball.radius - height) / (4 * ball.radius**3)
