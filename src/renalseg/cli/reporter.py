"""Progress of a long job in the terminal: a bar while a stage runs, one line when it has ended."""

from time import monotonic
from types import TracebackType
from typing import Self

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from renalseg.faults import OURS, USER, is_fault
from renalseg.notices import printable

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
        self.problems = self.faults = 0
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

    @property
    def exit_code(self) -> int:
        """What a command leaves with: 0, 1 after a problem, 3 after a fault of renalseg."""
        return OURS if self.faults else USER if self.problems else 0

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

    def finish(self, note: str = "", *, failed: bool = False) -> None:
        """Replace the bar by a line with the time that the stage took."""
        seconds = monotonic() - self._began
        self.progress.update(self._task, visible=False)
        text = escape(f"{self._title} ({note})" if note and self._title else self._title or note)
        sign = "[red]✗[/red]" if failed else "[green]✓[/green]"
        self.console.print(f"{sign} {text}  [dim]{seconds:.0f} s[/dim]")

    def done(self, title: str) -> None:
        """Show that a part of the stage has ended."""
        self.console.print(f"  [green]✓[/green] {title}  [dim]{self.elapsed / 60:.1f} min[/dim]")

    def line(self, text: str) -> None:
        """Show a line above the bar."""
        self.console.print(printable(text), markup=False)

    def problem(self, line: str) -> None:
        """Show a line that something was left out."""
        self.problems += 1
        self.faults += is_fault(line)
        self.console.print(f"[yellow]![/yellow] {escape(printable(line))}")
