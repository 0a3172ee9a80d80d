"""The command ``renalseg``. One file per command: parse, one call, show."""

import sys
from contextlib import suppress

import typer

from renalseg import __version__
from renalseg.cli import (
    data,
    demo,
    evaluate,
    experiment,
    export,
    measure,
    models,
    pacs,
    postprocess,
    predict,
    report,
    serve,
    view,
)
from renalseg.faults import problem_of
from renalseg.notices import printable, warnings_as_lines

app = typer.Typer(
    name="renalseg",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Kidneys, tumors and cysts segmented in CT. Research software, not a medical device.",
    epilog="Exit codes: 0 all is done, 1 something that you can mend, 2 a wrong command line, "
    "3 a fault of renalseg, 130 interrupted.",
)
app.command("demo")(demo.command)
app.command("predict")(predict.command)
app.command("evaluate")(evaluate.command)
app.command("postprocess")(postprocess.command)
app.command("measure")(measure.command)
app.command("report")(report.command)
app.command("serve")(serve.command)
app.command("view")(view.command)
app.command("export")(export.command)
app.add_typer(data.app, name="data")
app.add_typer(experiment.app, name="experiment")
app.add_typer(models.app, name="models")
app.add_typer(pacs.app, name="pacs")


def _version(show: bool) -> None:
    if show:
        typer.echo(f"renalseg {__version__}")
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    version: bool = typer.Option(  # noqa: ARG001  # its callback shows it
        False, "--version", callback=_version, is_eager=True, help="Show the version and leave."
    ),
) -> None:
    """Options that stand before every command."""
    context.with_resource(warnings_as_lines())


def run() -> None:
    """Entry point: whatever goes wrong is one line, and an exit code says whose fault it is."""
    try:
        app()
    except Exception as error:  # this is the one place that catches what nobody foresaw
        problem = problem_of(error)
        with suppress(OSError):  # nobody reads it
            typer.echo(f"error: {printable(problem)}", err=True)
        sys.exit(problem.exit_code)
