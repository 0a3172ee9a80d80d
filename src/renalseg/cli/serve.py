"""``renalseg serve``: the page in the browser, for this computer or a team."""

import os
from pathlib import Path

import typer

from renalseg.cli.console import DIAMETER, MODEL, note
from renalseg.errors import RenalsegError
from renalseg.labels import DiameterLine


def command(
    model: Path = MODEL,
    data: Path | None = typer.Option(
        None,
        help="Where scans and results are kept; default: RENALSEG_SERVE_DATA or ~/.renalseg/serve.",
    ),
    host: str = typer.Option("127.0.0.1", help="Address to listen at; others need tokens."),
    port: int = typer.Option(8765, min=0, max=65535, help="Port; 0 takes a free one."),
    tokens: Path | None = typer.Option(
        None,
        help="File of lines 'name: token' or 'name: sha256:DIGITS': who may come in. For one "
        "person the environment's RENALSEG_TOKEN will do.",
    ),
    user_header: str | None = typer.Option(
        None, metavar="NAME", help="Header by which a reverse proxy says who it is, not tokens."
    ),
    trusted_proxy: list[str] | None = typer.Option(
        None, metavar="ADDRESS", help="The proxy's address or network; may be given several times."
    ),
    days: int = typer.Option(30, "--days", min=1, max=3650, help="Remove studies after so long."),
    memory: float | None = typer.Option(
        None,
        "--memory",
        min=0.5,
        metavar="GB",
        help="Cut scans that need more memory; default: three quarters of this machine's.",
    ),
    upload_mb: int = typer.Option(2048, min=1, help="The most that a study may be sent as, in MB."),
    diameter: DiameterLine = DIAMETER,
    device: str = typer.Option("auto", help="auto, cuda, cuda:1, mps or cpu."),
    browser: bool = typer.Option(False, "--open", help="Open the page in a browser."),
) -> None:
    """Drop scans on a page, see them segmented, look, correct, take results away.

    Listens at this computer alone unless people show tokens. Nothing is sent anywhere. Ctrl-C
    stops; the next start goes on where it was.
    """
    try:
        from renalseg.web.serve import serve
    except ModuleNotFoundError as error:
        raise RenalsegError(
            f"renalseg serve needs {error.name}; install it with: pip install 'renalseg[serve]'"
        ) from None
    from renalseg.models.ensemble import Ensemble
    from renalseg.web.machine import memory_gb
    from renalseg.web.settings import Limits, Settings, data_or_temporary
    from renalseg.web.tokens import Tokens

    folder = Ensemble.open(model).folder
    one = os.environ.get("RENALSEG_TOKEN")
    settings = Settings(
        model=folder,
        data=data or data_or_temporary(),
        host=host,
        port=port,
        tokens=Tokens.read(tokens) if tokens else Tokens.of({"user": one} if one else {}),
        user_header=user_header,
        trusted_proxies=tuple(trusted_proxy or ()),
        days_kept=days,
        device=device,
        diameter=diameter,
        memory_gb=memory or memory_gb(),
        limits=Limits(upload_mb=upload_mb),
    )

    def ready(url: str) -> None:
        typer.echo(url)
        note("Research software, not for diagnostic use. Ctrl-C stops.")

    to_open = f"?token={one}" if one and not tokens else ""
    serve(settings, ready, browser=to_open if browser else None)
