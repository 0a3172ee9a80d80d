"""Training curves as small pictures in SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 300, 150, 34, 18, 8


@dataclass(frozen=True)
class Curve:
    """What one training logged, per epoch.

    Attributes:
        name: Recipe and stage.
        fold: The fold.
        train_loss: Mean training loss.
        val_loss: Mean validation loss.
        dice: nnU-Net's pseudo Dice on validation patches.
    """

    name: str
    fold: int
    train_loss: tuple[float, ...]
    val_loss: tuple[float, ...]
    dice: tuple[float, ...]


@dataclass(frozen=True)
class Line:
    """A polyline of the picture."""

    kind: str
    points: str


@dataclass(frozen=True)
class DrawnCurve:
    """A curve ready for the template; loss has its axis on the left, Dice runs from 0 to 1."""

    title: str
    epochs: int
    low: float
    high: float
    last_dice: float
    lines: tuple[Line, ...]


def draw_curve(curve: Curve) -> DrawnCurve:
    """Turn logged values into polylines."""
    losses = [v for v in (*curve.train_loss, *curve.val_loss) if isfinite(v)]
    low, high = (min(losses), max(losses)) if losses else (0.0, 1.0)
    high = high if high > low else low + 1
    lines = (
        Line("train", _points(curve.train_loss, low, high)),
        Line("validation", _points(curve.val_loss, low, high)),
        Line("dice", _points(curve.dice, 0.0, 1.0)),
    )
    epochs = len(curve.train_loss)
    last = curve.dice[-1] if curve.dice else 0.0
    return DrawnCurve(f"{curve.name}, fold {curve.fold}", epochs, low, high, last, lines)


def _points(values: Sequence[float], low: float, high: float) -> str:
    steps = max(1, len(values) - 1)
    points = []
    for index, value in enumerate(values):
        if not isfinite(value):  # nnU-Net logs nan where no patch had a class
            continue
        x = LEFT + (WIDTH - LEFT - 6) * index / steps
        y = TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low))
        points.append(f"{x:.1f},{y:.1f}")
    return " ".join(points)
