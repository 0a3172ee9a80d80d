"""What tables can be written as; imports nothing heavy, as the command line offers it."""

from enum import StrEnum


class TableFormat(StrEnum):
    """A language that tables are written in."""

    MARKDOWN = "markdown"
    LATEX = "latex"
    HTML = "html"

    @property
    def file_name(self) -> str:
        """The tables' file in an experiment's folder."""
        return {"markdown": "tables.md", "latex": "tables.tex", "html": "tables.html"}[self]
