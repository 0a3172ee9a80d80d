"""How a long job tells its caller where it is; the library itself prints nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Reporter(Protocol):
    """Receives the stages of a job."""

    def start(self, title: str) -> None:
        """A stage begins."""

    def update(self, done: int, total: int) -> None:
        """So much of the stage is done."""

    def finish(self, note: str = "") -> None:
        """The stage has ended."""

    def done(self, title: str) -> None:
        """A part of the stage has ended."""

    def problem(self, line: str) -> None:
        """Something was left out; the job goes on. A fault's line is a ``Problem``."""


class Silent:
    """Reports to nobody."""

    def start(self, title: str) -> None:
        """Say nothing."""

    def update(self, done: int, total: int) -> None:
        """Say nothing."""

    def finish(self, note: str = "") -> None:
        """Say nothing."""

    def done(self, title: str) -> None:
        """Say nothing."""

    def problem(self, line: str) -> None:
        """Say nothing."""


@contextmanager
def stage(reporter: Reporter, title: str) -> Iterator[Reporter]:
    """Report a stage from its beginning to its end."""
    reporter.start(title)
    yield reporter
    reporter.finish()
