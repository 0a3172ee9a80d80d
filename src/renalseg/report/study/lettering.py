"""How wide text is, and where it breaks. Lengths are in mm, type sizes in points."""

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.font_manager import FontProperties

LEADING = 1.32
MM_PER_POINT = 25.4 / 72

Weight = Literal["normal", "bold"]


def leading(size: float) -> float:
    """Height of a line in mm."""
    return size * LEADING * MM_PER_POINT


def wrap(text: str, width: float, size: float, weight: Weight = "normal") -> list[str]:
    """Break text into lines no wider than so many mm; a word that is wider is broken too."""
    lines: list[str] = []
    line = ""
    width += 0.05  # a column made for its text holds it
    for word in printable(text).split():
        longer = f"{line} {word}" if line else word
        if text_width(longer, size, weight) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while text_width(line, size, weight) > width and len(line) > 1:
            fits = next(
                n
                for n in range(len(line) - 1, 0, -1)
                if n == 1 or text_width(line[:n], size, weight) <= width
            )
            lines.append(line[:fits])
            line = line[fits:]
    return [*lines, line]


def text_width(text: str, size: float, weight: Weight) -> float:
    """Width of a line in mm."""
    return _points(text, weight) * size / 10 * MM_PER_POINT


def printable(text: str) -> str:
    """Text in letters that the font has; a question mark in a lozenge stands for others."""
    return "".join(
        letter if letter.isspace() or ord(letter) in _letters() else "\ufffd" for letter in text
    )


@lru_cache(maxsize=8192)
def _points(text: str, weight: Weight) -> float:
    from matplotlib.textpath import text_to_path

    width, _, _ = text_to_path.get_text_width_height_descent(text, _font(weight), ismath=False)
    return float(width)


@lru_cache
def _font(weight: Weight) -> "FontProperties":
    from matplotlib.font_manager import FontProperties

    return FontProperties(family="DejaVu Sans", size=10, weight=weight)


@lru_cache
def _letters() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    letters = [
        set(get_font(findfont(_font(weight))).get_charmap()) for weight in ("normal", "bold")
    ]
    return frozenset(letters[0] & letters[1])
