"""The method as a figure: the cascade of the paper's Fig. 1, and the way to the final ensemble.

Drawn from a :class:`~renalseg.report.method.Method` alone, in inches from the lower left corner; a
box is as high as its words need.
"""

import io
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from renalseg.report.diagram import (
    AVERAGE,
    CLEANING,
    DATA,
    DEPTH,
    INK,
    LEADING,
    LINE,
    NETWORK,
    PICTURE,
    SMALL,
    SOFT,
    arrow,
    box,
    cards,
    cards_width,
    lines_below,
    patch,
    volume,
    word,
    wrapped,
)
from renalseg.report.method import Method, Model, Stage
from renalseg.report.study.canvas import house_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 13.0
_EDGE = 0.25
#: Height of the cascade's panel, and the least of the ensemble's: mean, cleaning and a label map.
_CASCADE, _LEAST = 2.95, 3.7
#: Widths of a model's box, and of those of data, networks, the mean and the cleaning.
_MODEL_WIDTH, _DATA_WIDTH, _NETWORK_WIDTH, _MEAN_WIDTH, _CLEANING_WIDTH = 3.75, 2.1, 1.85, 1.65, 1.7
_MEAN = ("Mean over models", "softmax scores on", "the scan's grid")
_CLEANING = (
    "Post-processing",
    "no tumor or cyst away from a kidney; small pieces of kidney relabeled",
)
_MOST_LETTERS = 120


def method_svg(method: Method) -> str:
    """The figure as an SVG element that refers to nothing outside itself."""
    import matplotlib

    buffer = io.StringIO()
    with house_style():
        matplotlib.rcParams["svg.hashsalt"] = "renalseg"  # the same experiment, the same text
        method_figure(method).savefig(buffer, format="svg", metadata={"Date": None})
    # its style would be the whole page's
    svg = re.sub(r"<(metadata|style)\b.*?</\1>", "", buffer.getvalue(), flags=re.S)
    drawn = svg[svg.index("<svg") :]
    tag, _, rest = drawn.partition(">")
    view = re.search(r'viewBox="[^"]*"', tag)
    assert view is not None
    label = escape(f"The method of experiment {method.name}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{view[0]} role="img" aria-label="{label}">{rest}'
    )


def save_method(method: Method, path: Path, dpi: int = 150) -> None:
    """Write the figure in the format that the file's ending names."""
    with house_style():
        method_figure(method).savefig(path, dpi=dpi)


def method_figure(method: Method) -> "Figure":
    """Draw the figure."""
    from matplotlib.figure import Figure

    row = LEADING * max(_line_count(model) for model in method.models) + 0.46
    ensemble = max(_LEAST, len(method.models) * row) + 1.35
    height = ensemble + (_CASCADE if method.cascade else 0.0)
    figure = Figure((WIDTH, height), facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(0, height)
    axes.set_axis_off()
    axes.set_autoscale_on(False)
    if method.cascade:
        _draw_cascade(axes, method.cascade, height)
    _draw_ensemble(axes, method, ensemble, row)
    for artist in axes.get_children():
        artist.set_clip_on(False)  # the axes are all of the figure
    return figure


def _draw_cascade(axes: "Axes", model: Model, top: float) -> None:
    """Both stages in a row: scan, network, labels; the first stage's labels go into the second."""
    first, second = model.stages
    _heading(axes, top, "The 3D U-Net cascade", "after Fig. 1 of Golts et al. 2021")
    middle = top - 1.6
    below = middle - PICTURE / 2 - 0.1
    places = (_EDGE, 2.2, 4.35, 7.0, 8.95, 11.1)
    for stage, (image, network, labels) in ((first, places[:3]), (second, places[3:])):
        volume(axes, image, middle, stage.resolution, channels=stage is second)
        patch(axes, image, middle, stage.resolution)
        which = "first stage" if stage is first else "second stage"
        box(axes, network, middle, _NETWORK_WIDTH, (stage.network, which), NETWORK)
        volume(axes, labels, middle, stage.resolution, with_labels=True)
        arrow(axes, (image + PICTURE + DEPTH, middle), (network, middle))
        arrow(axes, (network + _NETWORK_WIDTH, middle), (labels, middle))
        lines_below(axes, image, below, _patch_lines(stage))
        lines_below(axes, labels, below, (f"label map of the {which}",))
    start = places[2] + PICTURE + DEPTH
    arrow(axes, (start, middle), (places[3], middle))
    said = ((0.28, "upsampled,"), (0.11, "one channel"), (-0.11, "for each"), (-0.28, "class"))
    for up, line in said:
        word(axes, (start + places[3]) / 2, middle + up, line)


def _draw_ensemble(axes: "Axes", method: Method, height: float, row: float) -> None:
    """Cohort and preprocessing, the models with their folds, the two means, the cleaning."""
    _heading(axes, height, "The final ensemble", f"experiment {method.name}")
    count = len(method.models)
    middle = 0.62 + max(_LEAST, count * row) / 2
    bottom, _ = box(axes, _EDGE, middle + 0.75, _DATA_WIDTH, method.cohort, DATA)
    preprocessing = ("Preprocessing", *method.preprocessing)
    _, top = box(axes, _EDGE, middle - 0.65, _DATA_WIDTH, preprocessing, DATA)
    arrow(axes, (_EDGE + _DATA_WIDTH / 2, bottom), (_EDGE + _DATA_WIDTH / 2, top))
    left, folds, mean, clean, high = 2.95, 7.15, 9.0, 11.05, middle + 0.5
    box(axes, mean, high, _MEAN_WIDTH, _MEAN, AVERAGE)
    step = min(0.18, 0.54 / max(1, count - 1))
    for number, model in enumerate(method.models):
        place = (count - 1) / 2 - number
        y = middle + place * row
        box(axes, left, y, _MODEL_WIDTH, (model.name, *_model_lines(model)), NETWORK)
        arrow(axes, (_EDGE + _DATA_WIDTH, middle - 0.65), (left, y))
        said = f"mean {method.average}" if method.folds > 1 else method.average
        cards(axes, folds, y, method.folds, said)
        arrow(axes, (left + _MODEL_WIDTH, y), (folds, y))
        arrow(axes, (folds + cards_width(method.folds), y), (mean, high + place * step))
    below, _ = box(axes, clean, high, _CLEANING_WIDTH, _CLEANING, CLEANING)
    arrow(axes, (mean + _MEAN_WIDTH, high), (clean, high))
    picture = below - 0.4 - DEPTH - PICTURE / 2
    finest = method.models[0].stages[-1].resolution
    volume(axes, clean + 0.1, picture, finest, with_labels=True)
    arrow(axes, (clean + 0.85, below), (clean + 0.85, picture + PICTURE / 2 + DEPTH))
    if method.others:
        names = ", ".join(method.others)
        if len(names) > _MOST_LETTERS:
            names = names[:_MOST_LETTERS].rpartition(", ")[0] + ", ..."
        also = f"Also trained, for the tables: {names}"
        axes.text(_EDGE, 0.22, also, fontsize=SMALL, color=SOFT, va="center")


def _model_lines(model: Model) -> list[str]:
    """What the box of a model says below its name; what its stages share is said once."""
    if len(model.stages) == 1:
        (stage,) = model.stages
        return [stage.network, *stage.lines]
    shared = [line for line in model.stages[0].lines if line in model.stages[1].lines]
    lines = []
    for number, stage in enumerate(model.stages, 1):
        own = [line for line in stage.lines if line not in shared]
        lines.append("; ".join([f"{number}. {stage.network}", *own]))
    return [*lines, *shared]


def _line_count(model: Model) -> int:
    title = wrapped(model.name, _MODEL_WIDTH, bold=True)
    return len(title) + sum(len(wrapped(line, _MODEL_WIDTH)) for line in _model_lines(model))


def _patch_lines(stage: Stage) -> tuple[str, ...]:
    if stage.resolution is None:
        return ("CT, planned by nnU-Net",)
    size, spacing_mm = stage.resolution.patch_size, stage.resolution.spacing_mm
    extent = (f"{n * mm:.0f}" for n, mm in zip(size, spacing_mm, strict=True))
    return (f"patch {' × '.join(map(str, size))}", f"= {' × '.join(extent)} mm")


def _heading(axes: "Axes", top: float, title: str, note: str) -> None:
    axes.text(_EDGE, top - 0.38, title, fontsize=13, fontweight="bold", color=INK, va="center")
    axes.text(WIDTH - _EDGE, top - 0.38, note, fontsize=SMALL, color=SOFT, va="center", ha="right")
    axes.plot([_EDGE, WIDTH - _EDGE], [top - 0.6] * 2, color=LINE, linewidth=0.8)
