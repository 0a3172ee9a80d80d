"""The server as an ASGI application."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from renalseg import __version__
from renalseg.provenance import NOTICE
from renalseg.web.api import Parts, problems, router
from renalseg.web.guard import Guard
from renalseg.web.identity import Doorkeeper
from renalseg.web.login import Door
from renalseg.web.refusal import RefusedError
from renalseg.web.services import Services
from renalseg.web.settings import Settings
from renalseg.web.study import State
from renalseg.web.views import HealthView, Problem
from renalseg.web.worker import Load

STATIC = Path(__file__).parent / "static"
_NO_PAGE = "<!doctype html><title>renalseg</title><p>The page is not installed; the interface is."


def create_app(settings: Settings, load: Load | None = None) -> FastAPI:
    """Make the server; it begins to work when its lifespan does.

    Args:
        settings: How it is set up.
        load: Loads the model in a profile; by default the ensemble of the settings.

    Raises:
        RenalsegError: The data folder is another server's, or its database cannot be read.
    """
    from renalseg.web.engine import loader

    services = Services(settings, load or loader(settings))
    doorkeeper = Doorkeeper(settings, services.logins)
    door = Door(services.logins, doorkeeper)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with services.running():
            yield

    app = FastAPI(
        title="renalseg",
        version=__version__,
        description=f"Kidneys, tumors and cysts segmented in CT. {NOTICE}",
        lifespan=lifespan,
        docs_url=None,  # it would load from elsewhere
        redoc_url=None,
    )
    app.state.services = services
    app.include_router(router)
    app.include_router(door.routes())
    _add_own_routes(app, door)
    app.mount("/static", StaticFiles(directory=STATIC, check_dir=False), name="static")
    for error, answer in _ANSWERS.items():
        app.add_exception_handler(error, answer)
    app.add_middleware(Guard, settings=settings, doorkeeper=doorkeeper, metrics=services.metrics)
    return app


def _add_own_routes(app: FastAPI, door: Door) -> None:
    @app.get("/health", responses=problems(HTTPStatus.SERVICE_UNAVAILABLE))
    def health(services: Parts, response: Response) -> HealthView:
        """Whether the server works, and how many studies wait."""
        problem = services.worker.problem
        if problem:
            response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
        return HealthView(
            status="no model" if problem else "ok",
            queue=services.store.counts()[State.QUEUED],
            model=services.model_name,
            version=__version__,
            problem=problem,
        )

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def metrics(services: Parts) -> Response:
        """Counts and times for Prometheus."""
        return Response(services.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> Response:
        """For answers that are no page of ours and name no icon."""
        return FileResponse(STATIC / "icon.svg", media_type="image/svg+xml")

    @app.get("/", include_in_schema=False)
    def index(request: Request) -> Response:
        token = request.query_params.get("token")
        if token and app.state.services.settings.tokens:
            return door.let_in(request, token)
        page = STATIC / "index.html"
        return FileResponse(page) if page.is_file() else HTMLResponse(_NO_PAGE)


async def _refused(_: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, RefusedError) else HTTPStatus.INTERNAL_SERVER_ERROR
    return _problem(str(error), status)


async def _invalid(_: Request, error: Exception) -> Response:
    """The first thing that is wrong with a request, as one line."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    place = ".".join(str(part) for part in first.get("loc", ())[1:]) or "request"
    return _problem(f"{place}: {first.get('msg', 'not valid')}", HTTPStatus.UNPROCESSABLE_ENTITY)


async def _http(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    said = {404: "there is nothing here", 405: "that cannot be done here"}
    text = said.get(status) or str(getattr(error, "detail", ""))
    headers = error.headers if isinstance(error, HTTPException) else None
    return _problem(text, HTTPStatus(status), headers)


def _problem(text: str, status: HTTPStatus, headers: object = None) -> Response:
    more = dict(headers) if headers else None  # type: ignore[call-overload]
    return JSONResponse(Problem(detail=text).model_dump(), status, more)


_ANSWERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    RefusedError: _refused,
    RequestValidationError: _invalid,
    HTTPException: _http,
}
