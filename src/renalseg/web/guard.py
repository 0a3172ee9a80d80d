"""What every request passes: the right host, a known user, no other site's doing, no flood."""

import asyncio
import hmac
import logging
import time
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from renalseg.faults import is_full_disk, is_memory
from renalseg.web.headers import HEADERS
from renalseg.web.identity import CSRF_HEADER, Doorkeeper, Identity
from renalseg.web.logs import log_place
from renalseg.web.metrics import Metrics
from renalseg.web.refusal import RefusedError
from renalseg.web.settings import Settings, is_loopback

log = logging.getLogger(__name__)

_SAFE = {"GET", "HEAD", "OPTIONS"}
#: Open to all: they say nothing of anybody.
_PUBLIC = {"/favicon.ico", "/health", "/login", "/openapi.json"}
#: No request that is not a file is longer than that.
_MOST_BYTES = 64 << 10
_ENDLESS = "/api/events"


class Guard:
    """ASGI middleware around everything else."""

    def __init__(
        self, app: ASGIApp, settings: Settings, doorkeeper: Doorkeeper, metrics: Metrics
    ) -> None:
        self._app = app
        self._settings = settings
        self._doorkeeper = doorkeeper
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it; whatever happens, nothing of it reaches the log."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        request = Request(scope)
        began, status = time.perf_counter(), 0

        async def send_safely(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message["headers"])
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._admit(request)
            if not _takes_files(request):
                receive = await _read_short(receive, self._settings.limits.stall_s)
            app = RedirectResponse("login", HTTPStatus.SEE_OTHER) if _wants_login(request) else None
            await (app or self._app)(scope, receive, send_safely)
        except RefusedError as refusal:
            await _refused(refusal)(scope, receive, send_safely)
        except Exception as error:  # uvicorn would log its text
            number = log_place(log, request.method, error)
            if not status:
                await _failed(error, number)(scope, receive, send_safely)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            if route != _ENDLESS:
                seconds = time.perf_counter() - began
                self._metrics.request(_method(request), route, status, seconds)

    async def _admit(self, request: Request) -> None:
        """Leave in the request's state who asks.

        Raises:
            RefusedError: They may not come in, or another site sent them.
        """
        path = request.url.path
        self._check_host(request)
        self._check_site(request, path)
        request.state.identity = None
        if path in _PUBLIC or path.startswith("/static/"):
            return
        identity = await asyncio.to_thread(self._doorkeeper.identify, request)
        request.state.identity = identity
        if identity is None:
            if path == "/" and request.method in _SAFE:
                return  # shown the login page
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED,
                "log in first: open the page, or send 'Authorization: Bearer TOKEN'",
            )
        self._check_csrf(request, identity)

    def _check_host(self, request: Request) -> None:
        """On an open server: no name of another site that was pointed to this computer."""
        host = request.headers.get("host", "")
        if self._settings.is_open and not is_loopback(urlsplit(f"//{host}").hostname or ""):
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                f"open http://localhost:{self._settings.port}; for other names start the server "
                "with tokens",
            )

    def _check_site(self, request: Request, path: str) -> None:
        """Refuse what a page of another site sent, and let nobody link into the interface."""
        headers = request.headers
        site = headers.get("sec-fetch-site")
        changes = request.method not in _SAFE
        if (changes or path.startswith("/api/")) and site not in (None, "same-origin", "none"):
            raise _cross_site()
        origin = headers.get("origin")
        if changes and origin is not None:
            here = {headers.get("host")}
            if self._doorkeeper.is_from_proxy(request):
                here.add(headers.get("x-forwarded-host"))
            if urlsplit(origin).netloc not in here:
                raise _cross_site()

    def _check_csrf(self, request: Request, identity: Identity) -> None:
        if request.method in _SAFE or identity.csrf is None:
            return
        given = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(given.encode(), identity.csrf.encode()):
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                f"reload the page; programs send the csrf of /api/session as {CSRF_HEADER}",
            )


def _wants_login(request: Request) -> bool:
    return (
        request.url.path == "/"
        and request.state.identity is None
        and "token" not in (request.query_params)
    )


def _takes_files(request: Request) -> bool:
    path = request.url.path
    return path.startswith("/api/studies/") and path.endswith(("/files", "/masks"))


async def _read_short(receive: Receive, stall_s: float) -> Receive:
    """Read the body of a request that sends no file, and give it again.

    Raises:
        RefusedError: It is too long, or does not come.
    """
    body = b""
    more = True
    while more:
        try:
            message = await asyncio.wait_for(receive(), stall_s)
        except TimeoutError:
            text = "nothing came for a while; try again"
            raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, text) from None
        if message["type"] != "http.request":
            return _giving(message, receive)
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > _MOST_BYTES:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "this request is too long")
    return _giving({"type": "http.request", "body": body, "more_body": False}, receive)


def _giving(first: Message, receive: Receive) -> Receive:
    messages = [first]

    async def give() -> Message:
        return messages.pop() if messages else await receive()

    return give


def _refused(refusal: RefusedError) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if refusal.status == HTTPStatus.UNAUTHORIZED else None
    return JSONResponse({"detail": str(refusal)}, refusal.status, headers)


def _failed(error: Exception, number: str) -> Response:
    """The answer to a request that failed for lack of room, or in a way that nobody foresaw."""
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    text = f"something went wrong on the server (fault {number}); its log says where"
    if is_memory(error):
        status = HTTPStatus.SERVICE_UNAVAILABLE
        text = "not enough memory on the server for this; try again later"
    elif is_full_disk(error):
        status = HTTPStatus.INSUFFICIENT_STORAGE
        text = "the server's disk is full; tell who runs it"
    return JSONResponse({"detail": text}, status)


def _cross_site() -> RefusedError:
    return RefusedError(HTTPStatus.FORBIDDEN, "another site sent this; use the server's own page")


def _method(request: Request) -> str:
    """The method, of which anybody may invent more."""
    known = {*_SAFE, "POST", "PUT", "DELETE"}
    return request.method if request.method in known else "other"
