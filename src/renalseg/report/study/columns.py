"""How a table shares the width of a page among its columns, and breaks its cells. In mm."""

from collections.abc import Sequence

from renalseg.report.study.lettering import Weight, leading, text_width, wrap
from renalseg.report.study.table import Cell, Column, Table

PAD_MM = 1.4


def head_text(column: Column) -> str:
    """A column's heading with its unit."""
    return f"{column.title} ({column.unit})" if column.unit else column.title


def column_widths(table: Table, total: float, size: float) -> list[float]:
    """Room for the longest word of each column, then for its longest text, as far as there is."""
    least, most = [], []
    for number, column in enumerate(table.columns):
        cells = [row[number] for row in table.rows]
        weight: Weight = "bold" if number == 0 else "normal"
        words = [text_width(word, size, "bold") for word in head_text(column).split()]
        texts = [text_width(cell.text, size, weight) for cell in cells]
        texts += [text_width(cell.below, size, weight) for cell in cells]
        if not column.wraps:
            words += texts
        else:
            words += [
                text_width(word, size, weight) for cell in cells for word in cell.text.split()
            ]
        least.append(max(words) + 2 * PAD_MM)
        most.append(max([*words, *texts, text_width(head_text(column), size, "bold")]) + 2 * PAD_MM)
    if sum(least) >= total:
        return [width * total / sum(least) for width in least]
    spare, wish = total - sum(least), sum(most) - sum(least)
    share = min(1.0, spare / wish) if wish else 0.0
    widths = [low + share * (high - low) for low, high in zip(least, most, strict=True)]
    rest = (total - sum(widths)) / len(widths)
    return [width + rest for width in widths]


def wrap_row(
    row: Sequence[Cell], widths: Sequence[float], size: float
) -> list[tuple[list[str], Cell]]:
    """Break a row's cells into lines; the first stands in bold."""
    wrapped = []
    for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
        weight: Weight = "bold" if number == 0 else "normal"
        wrapped.append((wrap(cell.text, width - 2 * PAD_MM, size, weight), cell))
    return wrapped


def cell_height(lines: Sequence[str], cell: Cell, size: float) -> float:
    """Height of a cell's lines."""
    return len(lines) * leading(size) + (leading(size - 1.2) if cell.below else 0)
