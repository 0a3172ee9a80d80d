"""``renalseg view``: a scan and its mask in the browser, without a server."""

import webbrowser
from pathlib import Path

import typer

from renalseg.cli.console import DIAMETER, note
from renalseg.labels import DiameterLine


def command(
    scan: Path = typer.Argument(help="A scan: NIfTI, NRRD, MHA, or a folder of DICOM files."),
    mask: Path | None = typer.Argument(None, help="Its mask."),
    diameter: DiameterLine = DIAMETER,
    port: int = typer.Option(
        0, min=0, max=65535, help="Port on this computer; 0 takes a free one."
    ),
    browser: bool = typer.Option(True, "--browser/--no-browser", help="Open the browser."),
) -> None:
    """Look at a scan and its mask; correct the mask.

    Nothing leaves this computer. A corrected mask is saved beside the one that was given, under a
    new name. Ctrl-C stops.
    """
    from renalseg.errors import RenalsegError
    from renalseg.viewer.local import LocalStudy
    from renalseg.viewer.server import STATIC, ViewServer

    study = LocalStudy.open(scan, mask, diameter)
    if not (STATIC / "vendor" / "niivue.js").is_file():
        raise RenalsegError(
            "NiiVue, which draws the scan, is not installed: install npm (Node.js), then install "
            "renalseg again"
        )
    with ViewServer(study, port) as server:
        typer.echo(server.url)
        note("Ctrl-C stops.")
        if browser:
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
