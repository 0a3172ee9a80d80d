"""What every command shows alike: a bar for work on many cases, one line per problem, JSON."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import typer

from renalseg.faults import OURS, USER, is_fault, problem_of
from renalseg.labels import DiameterLine
from renalseg.notices import printable

Item = TypeVar("Item")

#: Of every command that segments.
MODEL = typer.Option(
    "default",
    "-m",
    "--model",
    help="An ensemble folder, or one nnU-Net v2 model folder; `default` comes with renalseg.",
)
#: Of every command that measures.
DIAMETER = typer.Option(
    DiameterLine.AXIAL,
    "--diameter",
    help="The line that scores (R.E.N.A.L., PADUA, C-index) take for a tumor's largest diameter; "
    "axial is what radiologists read.",
)


def print_json(value: object) -> None:
    """Print a value for machines, on standard output."""
    typer.echo(json.dumps(value, indent=2))


def note(line: str) -> None:
    """Show a line on standard error."""
    typer.echo(line, err=True)


class Failures:
    """What failed of a command's work on many cases; each is shown as one line.

    Attributes:
        count: How many cases failed.
        faults: How many of them by a fault of renalseg.
    """

    def __init__(self) -> None:
        self.count = self.faults = 0

    def add(self, line: str) -> None:
        """Show a case's failure."""
        self.count += 1
        self.faults += is_fault(line)
        note(printable(line))

    @contextmanager
    def of(self, case: Path | str) -> Iterator[None]:
        """Work on a case; whatever goes wrong is its failure, and the next case goes on."""
        try:
            yield
        except Exception as error:
            self.add(problem_of(error, case))

    def leave(self) -> None:
        """End the command: by exit code 3 where a fault was renalseg's, else 1 where any failed.

        Raises:
            typer.Exit: If something failed.
        """
        if self.count:
            raise typer.Exit(OURS if self.faults else USER)


def duration(seconds: float | None) -> str:
    """A length of time in the unit that suits it; a question mark where it is not known."""
    if seconds is None:
        return "?"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


@contextmanager
def tracked(items: Iterable[Item], total: int, title: str) -> Iterator[Iterator[Item]]:
    """Show a bar on a terminal's standard error while items are worked through.

    Lines that ``note`` shows meanwhile, and warnings, one line each, stand above the bar.
    """
    with bar(total, title) as update:
        yield _counted(items, total, update)


def _counted(
    items: Iterable[Item], total: int, update: Callable[[int, int], None]
) -> Iterator[Item]:
    for done, item in enumerate(items, start=1):
        yield item
        update(done, total)


@contextmanager
def bar(total: int, title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal's standard error; what it gives is told how many of how many."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def parts_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for work in parts; it is told the part, how much of it is done, and all of it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("", total=None)
        yield lambda part, done, total: progress.update(
            task, description=part, completed=done, total=total or None
        )
