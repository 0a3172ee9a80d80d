"""One slice of a study on matplotlib axes: CT or dark ground, contours, lines, words.

Axes are in mm of the picture's plane: x along the columns, to the patient's left; y down, along
the rows of an axial slice and the slices of a coronal one. Voxel index i has its centre at
i x spacing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from renalseg.clinical.records import Diameter, Point
from renalseg.labels import COLORS, FOREGROUND
from renalseg.report.slices import AXES, WINDOW_HU, Plane
from renalseg.types import AnyArray
from renalseg.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Ground of every picture, as in ``render``.
GROUND = "#14181f"
LETTERS: dict[Plane, tuple[str, str, str, str]] = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "H", "F"),
}
#: Width that pictures are designed for; text keeps its share of it in any size.
WIDTH_MM = 85.0
_FILL = 0.42
_INK = "#f4f6f8"
_MARK = "#ffd60a"
#: Lines shorter than this share of the picture are drawn fine.
_SMALL = 0.16


@dataclass(frozen=True)
class Panel:
    """A picture that can be drawn at any size.

    Attributes:
        title: What it shows, in a few words.
        caption: What else a reader should know.
        alt: The picture in words, for who cannot see it.
        draw: Draws it on axes that fill the picture.
        ratio: Height by width.
    """

    title: str
    caption: str
    alt: str
    draw: "Callable[[Axes], None]"
    ratio: float = 1.0


@dataclass(frozen=True)
class Window:
    """A square part of one slice, in voxels and mm.

    Attributes:
        plane: How it is cut.
        index: Where it is cut.
        box: The voxels that it covers: vertical and columns.
        spacing_mm: Voxel size: vertical and column.
        centre_mm: Its middle: x, y.
        size_mm: Length of its sides; it may reach beyond the volume.
    """

    plane: Plane
    index: int
    box: tuple[slice, slice]
    spacing_mm: tuple[float, float]
    centre_mm: tuple[float, float]
    size_mm: float

    @classmethod
    def around(cls, volume: Volume, plane: Plane, point: Point, size_mm: float) -> "Window":
        """The slice through a point, and of it a square with the point in its middle."""
        axis = AXES[plane]
        vertical = 1 - axis
        spacing_mm = (volume.spacing_mm[vertical], volume.spacing_mm[2])
        middle = (point.index[vertical], point.index[2])
        shape = (volume.shape[vertical], volume.shape[2])
        box = tuple(
            slice(
                min(n - 1, max(0, int(centre - size_mm / 2 / size))),
                max(1, min(n, int(centre + size_mm / 2 / size) + 2)),
            )
            for centre, size, n in zip(middle, spacing_mm, shape, strict=True)
        )
        index = min(volume.shape[axis] - 1, max(0, round(point.index[axis])))
        centre_mm = (middle[1] * spacing_mm[1], middle[0] * spacing_mm[0])
        return cls(plane, index, (box[0], box[1]), spacing_mm, centre_mm, size_mm)

    def cut(self, volume: Volume) -> AnyArray:
        """The voxels that it covers, (vertical, column)."""
        flat = volume.array[self.index] if self.plane == "axial" else volume.array[:, self.index]
        return flat[self.box]

    def place(self, point: Point) -> tuple[float, float]:
        """Where a point falls on the picture: x, y in mm."""
        vertical = point.index[1 - AXES[self.plane]]
        return point.index[2] * self.spacing_mm[1], vertical * self.spacing_mm[0]


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with matplotlib's own settings and not the user's, and with fonts that can be kept."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["font.family"] = "DejaVu Sans"
        matplotlib.rcParams["pdf.fonttype"] = 42
        yield


def draw_slice(axes: "Axes", window: Window, labels: Volume, ct: Volume | None) -> None:
    """Draw ground, contours, letters of the patient's sides and a scale."""
    axes.set_facecolor(GROUND)
    axes.set_axis_off()
    axes.add_artist(axes.patch)  # set_axis_off hides the ground too
    axes.patch.set_zorder(-1)
    (x, y), half = window.centre_mm, window.size_mm / 2
    step_y, step_x = window.spacing_mm
    rows, columns = window.box
    if ct is not None:
        axes.imshow(
            window.cut(ct),
            cmap="gray",
            vmin=WINDOW_HU[0],
            vmax=WINDOW_HU[1],
            interpolation="bilinear",
            aspect="auto",
            extent=(
                (columns.start - 0.5) * step_x,
                (columns.stop - 0.5) * step_x,
                (rows.stop - 0.5) * step_y,
                (rows.start - 0.5) * step_y,
            ),
        )
    flat = window.cut(labels)
    xs = np.arange(columns.start - 1, columns.stop + 1) * step_x
    ys = np.arange(rows.start - 1, rows.stop + 1) * step_y
    for label in FOREGROUND:
        mask = flat == label
        if not mask.any():
            continue
        field = np.pad(mask, 1).astype(np.float32)  # so that contours close at the volume's edge
        color = tuple(part / 255 for part in COLORS[label])
        if ct is None:
            axes.contourf(xs, ys, field, levels=[0.5, 2], colors=[color], alpha=_FILL)
        axes.contour(xs, ys, field, levels=[0.5], colors=[color], linewidths=1.1)
    axes.set_xlim(x - half, x + half)
    axes.set_ylim(y + half, y - half)
    _letters(axes, window.plane)
    _scale(axes, window.size_mm)


def draw_diameter(axes: "Axes", window: Window, diameter: Diameter, *, dashed: bool) -> None:
    """Draw a line with its length at the end that is nearer to the right or lower edge."""
    start, end = (np.array(window.place(point)) for point in diameter.ends)
    if end.sum() < start.sum():
        start, end = end, start
    length = float(np.linalg.norm(end - start))
    is_small = length < _SMALL * window.size_mm  # dots would hide what they measure
    axes.plot(
        [start[0], end[0]],
        [start[1], end[1]],
        color=_MARK,
        linewidth=0.7 if is_small else 1.0,
        linestyle=(0, (3, 1.6)) if dashed else "-",
        solid_capstyle="butt",
        marker="" if is_small else "o",
        markersize=1.8,
        path_effects=[] if is_small else _halo(0.8),
    )
    way = (end - start) / length if length else np.array([1.0, 0.0])
    far = end + way * 0.022 * window.size_mm
    horizontal: Literal["left", "right", "center"] = "center"
    if abs(way[0]) > 0.38:
        horizontal = "left" if way[0] > 0 else "right"
    vertical: Literal["top", "bottom", "center"] = "center"
    if abs(way[1]) > 0.38:
        vertical = "top" if way[1] > 0 else "bottom"
    write(
        axes,
        (float(far[0]), float(far[1])),
        f"{diameter.length_mm:.1f} mm",
        color=_MARK,
        horizontal=horizontal,
        vertical=vertical,
    )


def write(
    axes: "Axes",
    place: tuple[float, float],
    text: str,
    *,
    color: str = _INK,
    size: float = 7.5,
    horizontal: Literal["left", "right", "center"] = "center",
    vertical: Literal["top", "bottom", "center"] = "center",
    is_share: bool = False,
) -> None:
    """Write on a picture, in mm or in shares of its sides, legibly on any ground."""
    axes.text(
        *place,
        text,
        color=color,
        fontsize=size,
        ha=horizontal,
        va=vertical,
        transform=axes.transAxes if is_share else axes.transData,
        path_effects=_halo(1.8),
        parse_math=False,
        clip_on=True,
    )


def _letters(axes: "Axes", plane: Plane) -> None:
    left, right, top, bottom = LETTERS[plane]
    write(axes, (0.015, 0.5), left, horizontal="left", is_share=True)
    write(axes, (0.985, 0.5), right, horizontal="right", is_share=True)
    write(axes, (0.5, 0.985), top, vertical="top", is_share=True)
    write(axes, (0.5, 0.015), bottom, vertical="bottom", is_share=True)


def _scale(axes: "Axes", size_mm: float) -> None:
    bar_mm = min((10, 20, 50, 100), key=lambda length: abs(length - size_mm / 5))
    share = bar_mm / size_mm
    axes.plot(
        [0.03, 0.03 + share],
        [0.035, 0.035],
        color=_INK,
        linewidth=1.6,
        solid_capstyle="butt",
        transform=axes.transAxes,
        path_effects=_halo(0.8),
    )
    where = (0.03 + share / 2, 0.05)
    write(axes, where, f"{bar_mm // 10} cm", size=6.5, vertical="bottom", is_share=True)


def _halo(width: float) -> list[object]:
    from matplotlib.patheffects import Normal, Stroke

    return [Stroke(linewidth=width + 1.0, foreground=(0, 0, 0, 0.6)), Normal()]
