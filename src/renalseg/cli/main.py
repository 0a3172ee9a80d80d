"""The command ``renalseg``. One file per command: parse, one call, show."""

import sys

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
from renalseg.cli.console import printable
from renalseg.errors import RenalsegError

app = typer.Typer(
    name="renalseg",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Kidneys, tumors and cysts segmented in CT. Research software, not a medical device.",
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
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and leave."
    ),
) -> None:
    """Options that stand before every command."""


def run() -> None:
    """Entry point: an error that the user can mend is one line and exit code 1."""
    try:
        app()
    except RenalsegError as error:
        typer.echo(f"error: {printable(str(error))}", err=True)
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(printable(f"error: {where}{error.strerror or error}"), err=True)
        sys.exit(1)
