"""What every command shows alike: a bar for work on many cases, one line per problem, JSON."""

import json
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import typer

Item = TypeVar("Item")


def print_json(value: object) -> None:
    """Print a value for machines, on standard output."""
    typer.echo(json.dumps(value, indent=2))


def note(line: str) -> None:
    """Show a line on standard error."""
    typer.echo(line, err=True)


@contextmanager
def tracked(items: Iterable[Item], total: int, title: str) -> Iterator[Iterator[Item]]:
    """Show a bar on a terminal's standard error while items are worked through.

    Lines that ``note`` shows meanwhile, and warnings, one line each, stand above the bar.
    """
    with _bar(total, title) as advance, _warnings_as_lines():
        yield _advancing(items, advance)


def _advancing(items: Iterable[Item], advance: Callable[[], None]) -> Iterator[Item]:
    for item in items:
        yield item
        advance()


@contextmanager
def _bar(total: int, title: str) -> Iterator[Callable[[], None]]:
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
        yield lambda: progress.advance(task)


@contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show each warning as one line, without the place in the code that it came from."""

    def show(message: Warning | str, *_place: object, **_more: object) -> None:
        sys.stderr.write(f"warning: {message}\n")

    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show
        yield
