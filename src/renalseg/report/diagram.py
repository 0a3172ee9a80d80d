"""Parts of a diagram on matplotlib axes, in inches: boxes, arrows, cards, and schematic volumes."""

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from renalseg.labels import COLORS, FOREGROUND, Label
from renalseg.models.plans import Resolution
from renalseg.types import AnyArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, SOFT, LINE, BLUE = "#1c2430", "#5b6675", "#b9c2cd", "#1f5fbf"
#: Grounds and edges: what is data, a network, an average, and what cleans.
DATA, NETWORK = ("#f5f7f9", LINE), ("#eaf1fb", BLUE)
AVERAGE, CLEANING = ("#fdf3e3", "#e08e0b"), ("#e8f5ee", "#2a9d5c")
SIZE, SMALL = 9.5, 8.0
#: Inches from line to line, and that a letter takes: of plain words, and of bold ones.
LEADING = 0.165
_LETTER, _BOLD = 0.064, 0.088
#: Inches: a picture's edge, and how far the sheets behind it stand out.
PICTURE, DEPTH = 1.4, 0.18
#: The field of view of a picture, in which patches are drawn to scale.
FIELD_MM = 400.0
_MOST_CARDS, _CARD, _CARD_STEP = 5, 0.95, 0.045
#: The voxel size of pictures where nnU-Net plans.
_UNPLANNED_MM = 4.0


def box(
    axes: "Axes", x: float, y: float, width: float, lines: Sequence[str], colors: tuple[str, str]
) -> tuple[float, float]:
    """A box around lines, the first of them bold, with its middle at ``y``.

    Returns:
        Its bottom and its top.
    """
    title, *rest = lines
    words = [(line, True) for line in wrapped(title, width, bold=True)]
    words += [(part, False) for line in rest for part in wrapped(line, width)]
    high = LEADING * len(words) + 0.22
    _rounded(axes, (x, y - high / 2), (width, high), colors)
    for number, (line, is_title) in enumerate(words):
        axes.text(
            x + 0.12,
            y + high / 2 - 0.11 - LEADING * (number + 0.5),
            line,
            fontsize=SIZE if is_title else SMALL,
            fontweight="bold" if is_title else "normal",
            color=INK if is_title else SOFT,
            va="center",
        )
    return y - high / 2, y + high / 2


def _rounded(
    axes: "Axes", corner: tuple[float, float], size: tuple[float, float], colors: tuple[str, str]
) -> None:
    from matplotlib.patches import FancyBboxPatch

    ground, edge = colors
    shape = FancyBboxPatch(
        corner,
        *size,
        boxstyle="round,pad=0,rounding_size=0.07",
        facecolor=ground,
        edgecolor=edge,
        linewidth=1.0,
    )
    axes.add_patch(shape)


def cards(axes: "Axes", x: float, y: float, folds: int, said: str) -> None:
    """A stack of cards, one for each fold up to five, with words on the first."""
    shown = min(folds, _MOST_CARDS)
    for number in reversed(range(shown)):
        step = number * _CARD_STEP
        _rounded(axes, (x + step, y - 0.25 + step), (_CARD, 0.5), AVERAGE)
    named = f"{folds} fold{'s' if folds > 1 else ''}"
    for up, line, weight in ((0.1, named, "bold"), (-0.1, said, "normal")):
        word(axes, x + _CARD / 2, y + up, line, weight=weight, color=INK)


def cards_width(folds: int) -> float:
    """Inches from the first card's left edge to the last one's right edge."""
    return _CARD + (min(folds, _MOST_CARDS) - 1) * _CARD_STEP


def volume(
    axes: "Axes",
    x: float,
    y: float,
    resolution: Resolution | None,
    *,
    with_labels: bool = False,
    channels: bool = False,
) -> None:
    """A slice of a schematic body at the plan's voxel size; behind it more slices, or channels."""
    from matplotlib.patches import Rectangle

    bottom = y - PICTURE / 2
    behind = [COLORS[label] for label in FOREGROUND] if channels else [(215, 220, 227)] * 3
    for number, color in reversed(list(enumerate(behind, 1))):
        offset = number * DEPTH / 3
        sheet = Rectangle(
            (x + offset, bottom + offset),
            PICTURE,
            PICTURE,
            facecolor=[part / 255 for part in color],
            edgecolor="white",
        )
        axes.add_patch(sheet)
    mm = resolution.spacing_mm[-1] if resolution else _UNPLANNED_MM
    axes.imshow(
        _body(max(8, round(FIELD_MM / mm)), with_labels=with_labels),
        extent=(x, x + PICTURE, bottom, bottom + PICTURE),
        interpolation="nearest",
        aspect="auto",
        zorder=2,
    )


def patch(axes: "Axes", x: float, y: float, resolution: Resolution | None) -> None:
    """A training patch to scale: around a kidney, or around the middle where it is large."""
    from matplotlib.patches import Rectangle

    if resolution is None:
        return
    sizes = zip(resolution.patch_size[1:], resolution.spacing_mm[1:], strict=True)
    high, wide = (min(n * mm / FIELD_MM, 1.0) for n, mm in sizes)
    left, low = (0.32 if wide < 0.5 else 0.5) - wide / 2, (0.45 if high < 0.5 else 0.5) - high / 2
    bottom = y - PICTURE / 2
    corner = (x + left * PICTURE, bottom + low * PICTURE)
    square = Rectangle(
        corner,
        wide * PICTURE,
        high * PICTURE,
        fill=False,
        edgecolor="#ffb020",
        linewidth=1.6,
        zorder=3,
    )
    axes.add_patch(square)


def _body(cells: int, *, with_labels: bool) -> AnyArray:
    """A trunk with spine and kidneys, a tumor and a cyst, as an RGB picture."""
    rows, columns = (np.indices((cells, cells)) + 0.5) / cells

    def ellipse(row: float, column: float, high: float, wide: float) -> AnyArray:
        inside: AnyArray = ((rows - row) / high) ** 2 + ((columns - column) / wide) ** 2 < 1
        return inside

    picture = np.empty((cells, cells, 3), np.uint8)
    picture[:] = (20, 24, 31)
    picture[ellipse(0.5, 0.5, 0.33, 0.44)] = (96, 104, 116)
    picture[ellipse(0.62, 0.5, 0.08, 0.08)] = (205, 210, 216)
    kidneys = ellipse(0.56, 0.31, 0.1, 0.065) | ellipse(0.56, 0.69, 0.1, 0.065)
    tumor, cyst = ellipse(0.49, 0.27, 0.05, 0.05), ellipse(0.64, 0.72, 0.035, 0.035)
    shown = ((kidneys, Label.KIDNEY), (cyst, Label.CYST), (tumor, Label.TUMOR))
    for mask, label in shown:
        picture[mask] = COLORS[label] if with_labels else (150, 157, 167)
    return picture


def arrow(axes: "Axes", start: tuple[float, float], end: tuple[float, float]) -> None:
    """An arrow from one point to another."""
    style: dict[str, Any] = {"arrowstyle": "-|>", "color": SOFT, "linewidth": 1.0, "shrinkB": 1.5}
    axes.annotate("", xy=end, xytext=start, arrowprops={**style, "shrinkA": 1.5})


def lines_below(axes: "Axes", x: float, top: float, lines: Sequence[str]) -> None:
    """Lines below a picture, each in its middle."""
    for number, line in enumerate(lines):
        word(axes, x + PICTURE / 2, top - LEADING * (number + 0.5), line)


def word(
    axes: "Axes", x: float, y: float, text: str, *, weight: str = "normal", color: str = SOFT
) -> None:
    """A small line around a point."""
    style: dict[str, Any] = {"fontsize": SMALL, "fontweight": weight, "color": color}
    axes.text(x, y, text, ha="center", va="center", **style)


def wrapped(line: str, width: float, *, bold: bool = False) -> list[str]:
    """A line cut to a box's width; a long name is cut where it must be."""
    return wrap(line, int((width - 0.2) / (_BOLD if bold else _LETTER)))
