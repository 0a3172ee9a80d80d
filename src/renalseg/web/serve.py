"""The server in its own process, until somebody stops it."""

import logging
import sys
import webbrowser
from collections.abc import Callable
from threading import Thread
from typing import Any

import uvicorn

from renalseg.web.app import create_app
from renalseg.web.settings import Settings
from renalseg.web.worker import Load

#: Answers that are not sent within this time of a stop are cut off.
_GRACE_S = 3


class _Server(uvicorn.Server):
    """Says when it listens, and ends event streams when it is stopped."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: Any = None) -> None:
        self.config.app.state.services.hub.close()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def serve(
    settings: Settings,
    on_ready: Callable[[str], None],
    *,
    browser: str | None = None,
    load: Load | None = None,
) -> None:
    """Serve until interrupted.

    Args:
        settings: How.
        on_ready: Told the page's address when it answers.
        browser: What to open in a browser after the address, such as ``?token=...``; None opens
            nothing.
        load: See :func:`renalseg.web.app.create_app`.

    Raises:
        RenalsegError: It cannot be set up so.
        OSError: The port is taken.
    """
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("renalseg").setLevel(logging.INFO)
    app = create_app(settings, load)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,  # addresses hold identifiers
        log_config=None,
        proxy_headers=False,  # who may speak for others is the guard's to know
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server: _Server

    def ready() -> None:
        port = server.servers[0].sockets[0].getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"http://{host}:{port}/"
        on_ready(url)
        if browser is not None:
            Thread(target=webbrowser.open, args=(url + browser,), daemon=True).start()

    server = _Server(config, ready)
    server.run()
