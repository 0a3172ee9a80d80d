"""A table as text, the same for page and PDF."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A table's column.

    Attributes:
        title: Its heading.
        unit: What its numbers are in.
        is_number: Whether it stands on the right.
        wraps: Whether it may be narrower than its words.
    """

    title: str
    unit: str = ""
    is_number: bool = True
    wraps: bool = False


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: What stands in it.
        below: A second line, smaller: an interval.
        is_flagged: Whether a reader should look twice.
    """

    text: str
    below: str = ""
    is_flagged: bool = False


@dataclass(frozen=True)
class Table:
    """A table; each row begins with its heading."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
