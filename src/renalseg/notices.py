"""Warnings as a person reads them: ours as one line, those of other packages not at all."""

import logging
import sys
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from renalseg.errors import RenalsegWarning

#: Places of the last warnings of other packages, for a fault's details. Their texts are left out:
#: they may quote what a scan's header says of its patient.
hidden: deque[str] = deque(maxlen=20)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Show each warning of renalseg as ``look: ...`` on standard error while the block runs.

    Warnings and log records of other packages speak to programmers and are hidden. Filters that
    turn warnings into errors stay in force for them.
    """
    last_resort = logging.lastResort
    with warnings.catch_warnings():
        show_warnings_as_lines()
        try:
            yield
        finally:
            logging.lastResort = last_resort


def show_warnings_as_lines() -> None:
    """Show warnings as lines from now on, in a process that is ours alone."""
    warnings.simplefilter("default", RenalsegWarning)
    warnings.showwarning = _show
    logging.lastResort = _Hidden(logging.WARNING)


class _Hidden(logging.Handler):
    """Takes log records for which nobody has set up a handler."""

    def emit(self, record: logging.LogRecord) -> None:
        hidden.append(f"{record.pathname}:{record.lineno}: logged by {record.name}")


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001  # as Python calls it
    line: str | None = None,  # noqa: ARG001
) -> None:
    if not issubclass(category, RenalsegWarning):
        hidden.append(f"{filename}:{lineno}: {category.__name__}")
    elif sys.stderr is not None:
        sys.stderr.write(f"look: {printable(' '.join(str(message).split()))}\n")


def printable(text: str) -> str:
    """A line that a terminal shows and does not obey: a file's name may hold anything."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
