"""What every command shows alike: a bar for work on many cases, one line per problem, JSON."""

import json
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import typer

from renalseg.labels import DiameterLine

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


def printable(text: str) -> str:
    """A line that a terminal shows and does not obey: a file's name may hold anything."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


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
    with bar(total, title) as update, _warnings_as_lines():
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


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show each warning as one line, without the place in the code that it came from."""

    def show(message: Warning | str, *_place: object, **_more: object) -> None:
        sys.stderr.write(f"warning: {message}\n")

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield
