"""Progress of a long job in the terminal: a bar while a stage runs, one line when it has ended."""

from time import monotonic
from types import TracebackType
from typing import Self

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from renalseg.cli.console import printable

JOBS = typer.Option(
    None,
    "-j",
    "--jobs",
    min=1,
    help="How many trainings run side by side; default: 2 on a CPU, 1 per GPU.",
)


class TerminalReporter:
    """A :class:`renalseg.experiment.progress.Reporter` that a person reads."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.progress = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=not self.console.is_terminal,
        )
        self.problems = 0
        self._title = ""
        self._began = self._opened = monotonic()
        self._task = self.progress.add_task("", visible=False, total=1)

    @property
    def elapsed(self) -> float:
        """Seconds since the job began."""
        return monotonic() - self._opened

    def __enter__(self) -> Self:
        """Show the bar."""
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        self.progress.stop()

    def start(self, title: str) -> None:
        """Show a new bar."""
        title = printable(title)
        self._title, self._began = title, monotonic()
        if not self.console.is_terminal:
            self.console.print(f"… {title}", markup=False)
        self.progress.update(
            self._task, description=escape(title), completed=0, total=None, visible=True
        )

    def update(self, done: int, total: int) -> None:
        """Move the bar."""
        self.progress.update(self._task, completed=done, total=total)

    def finish(self, note: str = "") -> None:
        """Replace the bar by a line with the time that the stage took."""
        seconds = monotonic() - self._began
        self.progress.update(self._task, visible=False)
        text = escape(f"{self._title} ({note})" if note else self._title)
        self.console.print(f"[green]✓[/green] {text}  [dim]{seconds:.0f} s[/dim]")

    def done(self, title: str) -> None:
        """Show that a part of the stage has ended."""
        self.console.print(f"  [green]✓[/green] {title}  [dim]{self.elapsed / 60:.1f} min[/dim]")

    def line(self, text: str) -> None:
        """Show a line above the bar."""
        self.console.print(printable(text), markup=False)

    def problem(self, line: str) -> None:
        """Show a line that something was left out."""
        self.problems += 1
        self.console.print(f"[yellow]![/yellow] {escape(printable(line))}")
