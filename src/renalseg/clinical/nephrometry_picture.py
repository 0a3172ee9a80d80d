"""A picture of why a tumor has its scores: one panel for each component of R.E.N.A.L.

Each panel is a plane through the kidney in its own axes, in mm from its centre; that of R lies
where the diameter was looked for, in the scan's own planes unless it is the one in 3D. Axial panels
are looked at from the feet, as radiologists do: the front above, the patient's right on the left.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from renalseg.clinical.anatomy import Anatomy
from renalseg.clinical.instances import Instance
from renalseg.clinical.position import Line, Position, find_position
from renalseg.clinical.records import Component, Score
from renalseg.clinical.surfaces import Points, crop_affine, sample
from renalseg.labels import COLORS, DiameterLine, Label
from renalseg.types import AnyArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BACKGROUND = (0.06, 0.07, 0.09)
_SINUS = (0.95, 0.82, 0.35)
_OTHER = (0.45, 0.5, 0.55)
_OUTSIDE = (0.75, 0.95, 0.45)
_LINE = (1.0, 1.0, 1.0)
_DPI = 100
_STEP_MM = 0.5
#: Canonical axes that point down and to the right where a plane of the grid is looked at.
_DOWN_RIGHT = {
    DiameterLine.AXIAL: (1, 2),
    DiameterLine.CORONAL: (0, 2),
    DiameterLine.SAGITTAL: (0, 1),
}


def nephrometry_picture(
    anatomy: Anatomy, lesion: Instance, score: Score, width_px: int = 1500
) -> UInt8[np.ndarray, "height width 3"]:
    """Draw what the components of a R.E.N.A.L. score were measured on.

    PADUA and the C-index are made of the same measurements, so the picture explains them too; its
    title is the text of the score that is given.

    Args:
        anatomy: Of the kidney.
        lesion: The tumor.
        score: Any of its scores; of R.E.N.A.L.'s, each panel says the value and the points.
        width_px: Width of the picture; it is about a quarter as high.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    position = find_position(anatomy, lesion, score.diameter)
    parts = {part.name: part for part in score.components}
    figure = Figure(figsize=(width_px / _DPI, 0.27 * width_px / _DPI), dpi=_DPI)
    figure.set_facecolor(_BACKGROUND)
    panels = figure.subplots(1, 5)
    view = _View(anatomy, lesion)
    _draw_diameter(panels[0], view, position)
    _draw_outline(panels[1], view, position)
    _draw_nearness(panels[2], view, position)
    _draw_face(panels[3], view, position)
    _draw_polar_lines(panels[4], view, position)
    for panel, name in zip(panels, "RENAL", strict=True):
        panel.set_title(_caption(name, parts.get(name), position), color=_LINE, fontsize=9)
        panel.set_facecolor(_BACKGROUND)
        panel.set_xticks([])
        panel.set_yticks([])
    source = "" if anatomy.sinus is None else f" · sinus from {anatomy.sinus.source}"
    figure.suptitle(f"{score.system} {score.text}{source}", color=_LINE, fontsize=11)
    figure.subplots_adjust(0.005, 0.01, 0.995, 0.8, 0.02)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    picture: AnyArray = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(picture)


class _View:
    """The kidney and a lesion, cut along planes of the patient."""

    def __init__(self, anatomy: Anatomy, lesion: Instance) -> None:
        self.anatomy = anatomy
        kidney = anatomy.kidney
        self._grid = crop_affine(anatomy.grid, kidney.box)
        self._lesion_grid = crop_affine(anatomy.grid, lesion.box)
        self._kidney = kidney.mask.astype(np.float32)
        self._lesion = np.pad(lesion.mask, 1).astype(np.float32)
        self._lesion_grid[:3, 3] -= self._lesion_grid[:3, :3].sum(axis=1)
        self._lesions = anatomy.lesions.astype(np.float32)
        left = np.cross(anatomy.long_axis, [0.0, -1.0, 0.0])
        self.left = left / np.linalg.norm(left) * (-1.0 if left[0] > 0 else 1.0)
        self.back = np.cross(anatomy.long_axis, self.left)
        self.back *= -1.0 if self.back[1] > 0 else 1.0
        corners = np.argwhere(lesion.mask)
        box = np.stack([corners.min(axis=0), corners.max(axis=0)]).astype(float)
        ends = np.stack(np.meshgrid(*box.T, indexing="ij"), axis=-1).reshape(-1, 3)
        affine = crop_affine(anatomy.grid, lesion.box)
        points = ends @ affine[:3, :3].T + affine[:3, 3]
        away = np.concatenate([anatomy.outline.surface, points]) - anatomy.centre
        self.reach = float(np.abs(away).max()) + 6.0

    def flat(self, points: Points, right: AnyArray, down: AnyArray) -> AnyArray:
        """Points in the coordinates of a picture."""
        away = points - self.anatomy.centre
        return np.stack([away @ right, away @ down], axis=-1)

    def cut(self, panel: "Axes", through: AnyArray, right: AnyArray, down: AnyArray) -> None:
        """Draw a plane: kidney, sinus, lesions, and the part of the lesion outside."""
        normal = np.cross(right, down)
        lift = (through - self.anatomy.centre) @ normal * normal
        line = np.arange(-self.reach, self.reach, _STEP_MM)
        x, y = np.meshgrid(line, line)
        points = (self.anatomy.centre + lift + x[..., None] * right + y[..., None] * down).reshape(
            -1, 3
        )
        picture = np.tile(np.array(_BACKGROUND), (len(points), 1))
        outside = self.anatomy.outline.depths_mm(points) < 0
        layers: list[tuple[Any, tuple[float, ...]]] = [
            (self._inside(self._kidney, points, self._grid), _color(Label.KIDNEY)),
            (self._inside(self._lesions, points, self.anatomy.affine), _OTHER),
        ]
        if self.anatomy.sinus is not None:
            mask = self.anatomy.sinus.mask.astype(np.float32)
            layers.append((self._inside(mask, points, self.anatomy.affine), _SINUS))
        lesion = self._inside(self._lesion, points, self._lesion_grid)
        layers += [(lesion, _color(Label.TUMOR)), (lesion & outside, _OUTSIDE)]
        for mask, color in layers:
            picture[mask] = color
        side = len(line)
        extent = (-self.reach, self.reach, self.reach, -self.reach)
        panel.imshow(picture.reshape(side, side, 3), extent=extent, interpolation="bilinear")
        panel.contour(
            x, y, outside.reshape(side, side), levels=[0.5], colors=[_LINE], linewidths=0.8
        )

    def draw(self, panel: "Axes", line: Line, right: AnyArray, down: AnyArray) -> None:
        """Draw a line in space upon a plane."""
        ends = self.flat(line, right, down)
        panel.plot(ends[:, 0], ends[:, 1], "-o", color=_LINE, linewidth=1.6, markersize=3)

    @staticmethod
    def _inside(mask: AnyArray, points: Points, affine: AnyArray) -> AnyArray:
        """Whether points lie in a mask; one of ones and zeros."""
        away = points @ np.linalg.inv(affine)[:3, :3].T + np.linalg.inv(affine)[:3, 3]
        within = ((away > -0.5) & (away < np.array(mask.shape) - 0.5)).all(axis=1)
        return np.asarray(within & (sample(mask, affine, points) > 0.5))


def _draw_diameter(panel: "Axes", view: _View, position: Position) -> None:
    """The plane that the diameter was looked for in, as radiologists see it."""
    if position.line is DiameterLine.IN_3D:
        _draw_diameter_3d(panel, view, position)
        return
    down, right = _DOWN_RIGHT[position.line]
    steps = view.anatomy.grid[:3, :3] / np.linalg.norm(view.anatomy.grid[:3, :3], axis=0)
    view.cut(panel, position.diameter[0], steps[:, right], steps[:, down])
    view.draw(panel, position.diameter, steps[:, right], steps[:, down])


def _draw_diameter_3d(panel: "Axes", view: _View, position: Position) -> None:
    """The plane that holds the diameter and lies nearest to the long axis, head above."""
    along = position.diameter[1] - position.diameter[0]
    along /= np.linalg.norm(along)
    other = view.anatomy.long_axis - (view.anatomy.long_axis @ along) * along
    if np.linalg.norm(other) < 0.3:
        other = view.left - (view.left @ along) * along
    other /= np.linalg.norm(other)
    normal = np.cross(along, other)
    down = -view.anatomy.long_axis + (view.anatomy.long_axis @ normal) * normal
    if np.linalg.norm(down) < 0.3:
        down = view.back - (view.back @ normal) * normal
    down /= np.linalg.norm(down)
    right = np.cross(normal, down)
    right *= 1.0 if right @ view.left >= 0 else -1.0
    view.cut(panel, position.diameter[0], right, down)
    view.draw(panel, position.diameter, right, down)


def _draw_outline(panel: "Axes", view: _View, position: Position) -> None:
    """The axial plane through the lesion's middle."""
    view.cut(panel, position.centre, view.left, view.back)


def _draw_nearness(panel: "Axes", view: _View, position: Position) -> None:
    """The axial plane at the middle of the shortest line to the sinus, or the lesion's."""
    line = position.to_sinus
    through = position.centre if line is None else line.mean(axis=0)
    view.cut(panel, through, view.left, view.back)
    if line is not None:
        view.draw(panel, line, view.left, view.back)


def _draw_face(panel: "Axes", view: _View, position: Position) -> None:
    """The axial plane through the lesion's middle, with the kidney's coronal plane."""
    view.cut(panel, position.centre, view.left, view.back)
    if position.front_percent is not None:
        reach = view.reach * view.anatomy.hilum
        line = np.stack([view.anatomy.centre - reach, view.anatomy.centre + reach])
        ends = view.flat(line, view.left, view.back)
        panel.plot(ends[:, 0], ends[:, 1], "--", color=_LINE, linewidth=1.2)
    panel.set_xlim(-view.reach, view.reach)
    panel.set_ylim(view.reach, -view.reach)


def _draw_polar_lines(panel: "Axes", view: _View, position: Position) -> None:
    """The plane through the kidney's axis and the lesion's middle, head above."""
    anatomy = view.anatomy
    away = position.centre - anatomy.centre
    right = away - (away @ anatomy.long_axis) * anatomy.long_axis
    right = right if np.linalg.norm(right) > 3 else anatomy.hilum
    right = right / np.linalg.norm(right)
    right *= 1.0 if right @ view.left >= 0 else -1.0
    view.cut(panel, anatomy.centre, right, -anatomy.long_axis)
    if anatomy.polar_lines is not None:
        for level in (anatomy.polar_lines.upper_mm, anatomy.polar_lines.lower_mm):
            panel.axhline(-level, color=_LINE, linewidth=1.2)
        panel.axhline(-anatomy.middle_mm, color=_LINE, linewidth=1.0, linestyle=":")


def _caption(name: str, part: Component | None, position: Position) -> str:
    """A panel's title: the component with its value, finding and points."""
    if part is None:
        values = {
            "R": (position.diameter_mm, f"mm {position.line.in_words}"),
            "E": (position.exophytic_percent, "% outside"),
            "N": (position.sinus_distance_mm, "mm to sinus"),
            "A": (position.front_percent, "% in front"),
            "L": (position.between_percent, "% between polar lines"),
        }
        number, text = values[name]
        return "open" if number is None else f"{number:.0f} {text}"
    digits = 1 if part.unit == "mm" else 0
    value = "" if part.value is None else f"{part.value:.{digits}f} {part.unit}"
    points = "" if part.points is None else f" = {part.points}"
    finding = part.finding.split(":")[0]
    return f"{name}{points}: {value}\n{finding}"


def _color(label: Label) -> tuple[float, ...]:
    return tuple(channel / 255 for channel in COLORS[label])
