"""Pages of A4 that fill from the top: headings, text that wraps, tables, pictures.

Lengths are in mm from the upper left corner of the page, type sizes in points.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from renalseg.report.study.canvas import Panel
from renalseg.report.study.columns import PAD_MM, cell_height, column_widths, head_text, wrap_row
from renalseg.report.study.lettering import MM_PER_POINT, Weight, leading, wrap
from renalseg.report.study.table import Cell, Column, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH_MM, HEIGHT_MM = 210.0, 297.0
LEFT_MM, RIGHT_MM, TOP_MM, BOTTOM_MM = 14.0, 196.0, 14.0, 279.0
INK, SOFT, LINE = "#1c2430", "#566171", "#cfd6de"
FLAG = "#fff0c2"
GAP_MM = 4.0
CAPTION = 7.5


@dataclass
class Flow:
    """Pages under construction.

    Attributes:
        pages: Those begun so far.
        y: How far the last one is filled.
    """

    pages: "list[Figure]" = field(default_factory=list)
    y: float = BOTTOM_MM

    def room(self, height: float) -> None:
        """Begin a page unless so much room is left on this one."""
        from matplotlib.figure import Figure

        if not self.pages or self.y + height > BOTTOM_MM:
            self.pages.append(Figure((WIDTH_MM / 25.4, HEIGHT_MM / 25.4), facecolor="white"))
            self.y = TOP_MM

    def heading(self, text: str, *, size: float = 13, keep: float = 30, above: float = 5) -> None:
        """A heading that stays with what follows it."""
        lines = wrap(text, RIGHT_MM - LEFT_MM, size, "bold")
        self.room(above + len(lines) * leading(size) + keep)
        self.y += above if self.y > TOP_MM else 0
        self.text(lines, size=size, weight="bold")
        self.y += 1

    def paragraph(self, text: str, *, size: float = 8.5, color: str = SOFT) -> None:
        """Text over the page's width."""
        self.text(wrap(text, RIGHT_MM - LEFT_MM, size), size=size, color=color)

    def text(
        self,
        lines: Sequence[str],
        *,
        size: float,
        weight: Weight = "normal",
        color: str = INK,
        x: float = LEFT_MM,
    ) -> None:
        """Lines one below the other."""
        for line in lines:
            self.room(leading(size))
            self.write(line, x, self.y, size=size, weight=weight, color=color)
            self.y += leading(size)

    def box(
        self, title: str, lines: Sequence[str], *, size: float, color: str, ground: str, edge: str
    ) -> None:
        """A title and paragraphs on a coloured ground."""
        width = RIGHT_MM - LEFT_MM - 6
        wrapped = [part for line in lines for part in wrap(line, width, size)]
        big = size + 2
        while wrapped:
            self.room(5 + leading(big) + leading(size))
            fits = int((BOTTOM_MM - self.y - 5 - leading(big)) / leading(size))
            part, wrapped = wrapped[:fits], wrapped[fits:]
            height = 5 + leading(big) + len(part) * leading(size)
            self.fill(LEFT_MM, self.y, RIGHT_MM - LEFT_MM, height, ground, edge)
            self.y += 2.5
            self.text([title], size=big, weight="bold", color=color, x=LEFT_MM + 3)
            self.text(part, size=size, color=color, x=LEFT_MM + 3)
            self.y += 2.5

    def facts(
        self, rows: Sequence[tuple[str, str]], *, size: float = 8.5, name: float = 42
    ) -> None:
        """Names on the left, what they are beside them."""
        for title, value in rows:
            names = wrap(title, name - 2, size)
            lines = wrap(value, RIGHT_MM - LEFT_MM - name, size)
            self.room(min(len(lines), 3) * leading(size))
            page, y = len(self.pages), self.y
            for number, line in enumerate(names):
                self.write(line, LEFT_MM, y + number * leading(size), size=size, color=SOFT)
            self.text(lines, size=size, x=LEFT_MM + name)
            if len(self.pages) == page:
                self.y = max(self.y, y + len(names) * leading(size))
            self.y += 0.5

    def fits(self, panels: Sequence[Panel], columns: int) -> bool:
        """Whether a row of panels stands on the page that is begun."""
        height = max((panel.ratio for panel in panels), default=0) * _column(columns)
        return bool(self.pages) and self.y + height + 4 * leading(CAPTION) <= BOTTOM_MM

    def pictures(self, panels: Sequence[Panel], columns: int) -> None:
        """Panels side by side, each with its caption."""
        size, width = CAPTION, _column(columns)
        for start in range(0, len(panels), columns):
            row = panels[start : start + columns]
            titles = [wrap(panel.title, width, size, "bold") for panel in row]
            captions = [wrap(panel.caption, width, size) for panel in row]
            height = max(panel.ratio for panel in row) * width
            most = max(len(t) + len(c) for t, c in zip(titles, captions, strict=True))
            self.room(height + 1.5 + most * leading(size) + 3)
            for number, panel in enumerate(row):
                x = LEFT_MM + number * (width + GAP_MM)
                self._picture(panel, x, self.y, width)
                y = self.y + width * panel.ratio + 1.5
                for line in titles[number]:
                    self.write(line, x, y, size=size, weight="bold")
                    y += leading(size)
                for line in captions[number]:
                    self.write(line, x, y, size=size, color=SOFT)
                    y += leading(size)
            self.y += height + 1.5 + most * leading(size) + 3

    def table(self, table: Table, *, size: float = 8) -> None:
        """A table; its head is repeated where it goes on over the page."""
        widths = column_widths(table, RIGHT_MM - LEFT_MM, size)
        heads = [
            wrap(head_text(c), w - 2 * PAD_MM, size, "bold")
            for c, w in zip(table.columns, widths, strict=True)
        ]
        head = max(map(len, heads)) * leading(size) + 2
        rows = [wrap_row(row, widths, size) for row in table.rows]
        heights = [max(cell_height(lines, cell, size) for lines, cell in row) + 1.6 for row in rows]
        self.heading(table.caption, size=9.5, keep=head + sum(heights[:3]), above=4)
        self._head(table.columns, heads, widths, head, size)
        for row, height in zip(rows, heights, strict=True):
            if self.y + height > BOTTOM_MM:
                self.room(BOTTOM_MM)
                self._head(table.columns, heads, widths, head, size)
            self._row(row, table.columns, widths, height, size)
        if table.note:
            self.y += 1
            self.paragraph(table.note, size=7.5)

    def write(
        self,
        text: str,
        x: float,
        y: float,
        *,
        size: float,
        weight: Weight = "normal",
        color: str = INK,
        is_right: bool = False,
    ) -> None:
        """One line whose upper edge lies at y."""
        self.pages[-1].text(
            x / WIDTH_MM,
            1 - (y + 0.98 * size * MM_PER_POINT) / HEIGHT_MM,
            text,
            fontsize=size,
            fontweight=weight,
            color=color,
            ha="right" if is_right else "left",
            va="baseline",
            parse_math=False,
        )

    def fill(
        self, x: float, y: float, width: float, height: float, ground: str, edge: str = "none"
    ) -> None:
        """A rectangle."""
        from matplotlib.patches import Rectangle

        page = self.pages[-1]
        corner = (x / WIDTH_MM, 1 - (y + height) / HEIGHT_MM)
        page.add_artist(
            Rectangle(
                corner,
                width / WIDTH_MM,
                height / HEIGHT_MM,
                facecolor=ground,
                edgecolor=edge,
                linewidth=0.8,
                transform=page.transFigure,
                zorder=0,
            )
        )

    def _picture(self, panel: Panel, x: float, y: float, width: float) -> None:
        height = width * panel.ratio
        box = (
            x / WIDTH_MM,
            1 - (y + height) / HEIGHT_MM,
            width / WIDTH_MM,
            height / HEIGHT_MM,
        )
        panel.draw(self.pages[-1].add_axes(box))

    def _head(
        self,
        columns: Sequence[Column],
        heads: Sequence[Sequence[str]],
        widths: Sequence[float],
        height: float,
        size: float,
    ) -> None:
        x = LEFT_MM
        for column, lines, width in zip(columns, heads, widths, strict=True):
            y = self.y + height - 1.2 - len(lines) * leading(size)
            for line in lines:
                edge = x + width - PAD_MM if column.is_number else x + PAD_MM
                self.write(
                    line, edge, y, size=size, weight="bold", color=SOFT, is_right=column.is_number
                )
                y += leading(size)
            x += width
        self.y += height
        self.fill(LEFT_MM, self.y, RIGHT_MM - LEFT_MM, 0.25, SOFT)

    def _row(
        self,
        row: "Sequence[tuple[list[str], Cell]]",
        columns: Sequence[Column],
        widths: Sequence[float],
        height: float,
        size: float,
    ) -> None:
        x = LEFT_MM
        for number, ((lines, cell), column, width) in enumerate(
            zip(row, columns, widths, strict=True)
        ):
            if cell.is_flagged:
                self.fill(x, self.y + 0.2, width, height - 0.2, FLAG)
            edge = x + width - PAD_MM if column.is_number else x + PAD_MM
            y = self.y + 0.9
            weight: Weight = "bold" if number == 0 else "normal"
            for line in lines:
                self.write(line, edge, y, size=size, weight=weight, is_right=column.is_number)
                y += leading(size)
            if cell.below:
                small = size - 1.2
                color = INK if cell.is_flagged else SOFT
                self.write(cell.below, edge, y, size=small, color=color, is_right=column.is_number)
            x += width
        self.y += height
        self.fill(LEFT_MM, self.y, RIGHT_MM - LEFT_MM, 0.1, LINE)


def _column(columns: int) -> float:
    return (RIGHT_MM - LEFT_MM - GAP_MM * (columns - 1)) / columns
