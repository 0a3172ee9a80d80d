"""The interface of programs and of the page: studies, their files, and what is made of them."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from renalseg import __version__
from renalseg.provenance import NOTICE
from renalseg.web.hub import Stream
from renalseg.web.kinds import suffix_of
from renalseg.web.refusal import RefusedError
from renalseg.web.results import Download
from renalseg.web.services import Services
from renalseg.web.study import State, Study, Version
from renalseg.web.views import (
    FileView,
    LimitsView,
    NewStudy,
    Problem,
    SessionView,
    StudyView,
    VersionView,
    study_view,
    version_view,
)

_MISSING = "there is no such study"
_NOT_YET = "there is no such image yet; wait until the study is done"
_NEWEST = Query(description="A version's number; the newest when absent.", ge=1, le=10**6)
_LONGEST_PATH = 1024


def problems(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """The refusals that a route may answer with, for its description."""
    return {int(one): {"model": Problem, "description": one.phrase} for one in statuses}


_COMMON = problems(
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
)
_SENT = problems(
    HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.INSUFFICIENT_STORAGE
)
_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def _gives(*media_types: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {one: {} for one in media_types}, "description": "The file"}}


def services_of(request: Request) -> Services:
    """The running server's parts."""
    services: Services = request.app.state.services
    return services


def user_of(request: Request) -> str:
    """Who asks."""
    return str(request.state.identity.user)


Parts = Annotated[Services, Depends(services_of)]
User = Annotated[str, Depends(user_of)]


def study_of(services: Parts, user: User, identifier: Annotated[str, Path(max_length=64)]) -> Study:
    """The user's own study; another's is as none.

    Raises:
        RefusedError: There is none.
    """
    study = services.store.study(identifier)
    if study is None or study.user != user:
        raise RefusedError(HTTPStatus.NOT_FOUND, _MISSING)
    return study


Own = Annotated[Study, Depends(study_of)]
router = APIRouter(prefix="/api", responses=_COMMON)


def _view(services: Services, study: Study) -> StudyView:
    return _views(services, [study])[0]


def _views(services: Services, studies: list[Study]) -> list[StudyView]:
    waits = any(study.state is State.QUEUED for study in studies)
    order = services.queue.order() if waits else []
    positions = {waiting.id: place for place, waiting in enumerate(order)}
    return [study_view(study, services.hub.progress(study.id), positions) for study in studies]


def _again(services: Services, study: Study) -> StudyView:
    """The study as it is now."""
    now = services.store.study(study.id)
    if now is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, _MISSING)
    return _view(services, now)


def _version(study: Study, number: int | None) -> Version:
    """A version by its number, or the newest.

    Raises:
        RefusedError: There is none.
    """
    found = study.version(number) if number is not None else next(reversed(study.versions), None)
    if found is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such version of the mask")
    return found


@router.get("/session")
def session(request: Request, services: Parts, user: User) -> SessionView:
    """Who I am, what I may send, and what my requests must carry."""
    settings = services.settings
    return SessionView(
        user=user,
        limits=LimitsView(upload_mb=settings.limits.upload_mb, days_kept=settings.days_kept),
        version=__version__,
        model=services.model_name,
        notice=NOTICE,
        formats=tuple(Download),
        csrf=request.state.identity.csrf or "",
    )


@router.get("/studies")
def studies(services: Parts, user: User) -> list[StudyView]:
    """My studies, the oldest first."""
    return _views(services, services.store.studies_of(user))


@router.post("/studies", status_code=HTTPStatus.CREATED)
def create(services: Parts, user: User, new: NewStudy) -> StudyView:
    """Begin a study; its files are sent next."""
    study = services.create(user, new.name, new.options)
    return _view(services, study)


@router.get("/studies/{identifier}")
def study(services: Parts, own: Own) -> StudyView:
    """One of my studies."""
    return _view(services, own)


@router.delete("/studies/{identifier}", status_code=HTTPStatus.NO_CONTENT)
def remove(services: Parts, own: Own) -> Response:
    """Remove a study with all its files."""
    services.remove(own)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.put("/studies/{identifier}/files", responses=_SENT, openapi_extra=_FILE)
async def send(
    request: Request,
    services: Parts,
    own: Own,
    path: Annotated[str, Query(min_length=1, max_length=_LONGEST_PATH)],
) -> FileView:
    """Send a file of a study: an image, a zip, or one of a DICOM folder."""
    if own.state is not State.UPLOADING:
        raise RefusedError(HTTPStatus.CONFLICT, "this study has its files; begin a new one")
    kept = await services.uploads.receive(own.id, path, request.stream(), _length(request))
    name = path.split("/")[-1]
    if kept and suffix_of(name):  # a thousand DICOM files have no name that matters
        await asyncio.to_thread(services.store.set_file_name, own.id, name)
    return FileView(kept=kept)


def _length(request: Request) -> int | None:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else None


@router.post("/studies/{identifier}/start", status_code=HTTPStatus.ACCEPTED)
def start(services: Parts, own: Own) -> StudyView:
    """All files are there: let the study wait for its turn."""
    if own.state is not State.UPLOADING:
        raise RefusedError(HTTPStatus.CONFLICT, "this study was begun already")
    services.uploads.check_complete(own.id)
    services.start(own)
    return _again(services, own)


@router.post("/studies/{identifier}/cancel", status_code=HTTPStatus.ACCEPTED)
def cancel(services: Parts, own: Own) -> StudyView:
    """Stop a study that waits or runs."""
    if not services.cancel(own):
        raise RefusedError(HTTPStatus.CONFLICT, "this study neither waits nor runs")
    return _again(services, own)


@router.post("/studies/{identifier}/retry", status_code=HTTPStatus.ACCEPTED)
def retry(services: Parts, own: Own) -> StudyView:
    """Try a study again that failed or was cancelled."""
    if own.state not in (State.FAILED, State.CANCELLED):
        raise RefusedError(HTTPStatus.CONFLICT, "only what failed or was cancelled is tried again")
    services.uploads.check_complete(own.id)
    services.start(own)
    return _again(services, own)


def _free_stream(services: Parts, user: User) -> None:
    if services.hub.streams_of(user) >= services.settings.limits.streams:
        raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, "too many pages are open; close one")


@router.get("/events", response_class=EventSourceResponse, dependencies=[Depends(_free_stream)])
async def events(services: Parts, user: User) -> AsyncIterator[ServerSentEvent]:
    """My studies as they are, and then each that changes; event ``study``, data as there."""
    with services.hub.stream(user) as stream:
        for view in await asyncio.to_thread(_all_views, services, user):
            yield ServerSentEvent(event="study", data=view)
        while not stream.closed:
            for event in await _changes(services, stream):
                yield event


def _all_views(services: Services, user: str) -> list[StudyView]:
    return _views(services, services.store.studies_of(user))


async def _changes(services: Services, stream: Stream) -> list[ServerSentEvent]:
    identifiers = await stream.changed()

    def look() -> list[ServerSentEvent]:
        found = [services.store.study(one) for one in identifiers]
        gone = [one for one, study in zip(identifiers, found, strict=True) if study is None]
        views = _views(services, [study for study in found if study])
        data = [*views, *({"id": one, "state": State.DELETED} for one in gone)]
        return [ServerSentEvent(event="study", data=one) for one in data]

    return await asyncio.to_thread(look)


@router.get("/studies/{identifier}/thumbnail.webp", responses=_gives("image/webp"))
def thumbnail(services: Parts, own: Own) -> FileResponse:
    """A small picture."""
    return _file(services.data.of(own.id).thumbnail, "image/webp")


@router.get("/studies/{identifier}/image.nii.gz", responses=_gives("application/gzip"))
def image(services: Parts, own: Own) -> FileResponse:
    """The CT on its own grid, whatever it came as."""
    return _file(services.data.of(own.id).image, "application/gzip")


@router.get("/studies/{identifier}/entropy.nii.gz", responses=_gives("application/gzip"))
def entropy(services: Parts, own: Own) -> FileResponse:
    """How undecided the ensemble is, 0 to 1, where it was asked for."""
    if not own.facts.has_uncertainty:
        raise RefusedError(HTTPStatus.NOT_FOUND, "uncertainty was not asked for")
    return _file(services.data.of(own.id).entropy, "application/gzip")


@router.get("/studies/{identifier}/masks/{version}.nii.gz", responses=_gives("application/gzip"))
def mask(
    services: Parts, own: Own, version: Annotated[str, Path(pattern=r"^(raw|[1-9][0-9]{0,5})$")]
) -> FileResponse:
    """A version of the mask; ``raw`` is the first before post-processing."""
    folder = services.data.of(own.id)
    if version != "raw":
        return _file(folder.mask(_version(own, int(version)).number), "application/gzip")
    if not own.facts.has_raw:
        raise RefusedError(HTTPStatus.NOT_FOUND, "this mask was not post-processed")
    return _file(folder.raw, "application/gzip")


@router.post(
    "/studies/{identifier}/masks",
    status_code=HTTPStatus.CREATED,
    responses=_SENT,
    openapi_extra=_FILE,
)
async def correct(
    request: Request,
    services: Parts,
    own: Own,
    user: User,
    made_from: Annotated[int, Query(alias="from", ge=1, le=10**6)],
) -> VersionView:
    """Save a corrected label map, NIfTI on the image's grid, as a new version; it is measured."""
    _version(own, made_from)
    folder = services.data.of(own.id)
    sent = folder.path / f"incoming-{secrets.token_hex(8)}.nii.gz"
    try:
        await services.uploads.receive_mask(request.stream(), _length(request), sent)
        version = await services.desk.correct(own, user, made_from, sent)
    finally:
        sent.unlink(missing_ok=True)
    services.hub.changed(own.user, own.id)
    return version_view(version)


@router.get(
    "/studies/{identifier}/measurements",
    responses=_gives("application/json"),
    response_class=Response,
)
async def measurements(
    services: Parts, own: Own, version: Annotated[int | None, _NEWEST] = None
) -> Response:
    """What is measured of a version: kidneys, lesions, diameters, scores."""
    text = await services.desk.measurements(own, _version(own, version).number)
    return Response(text, media_type="application/json")


@router.get(
    "/studies/{identifier}/download/{wanted}",
    responses=_gives(*sorted({one.media_type for one in Download})),
    response_class=FileResponse,
)
async def download(
    services: Parts, own: Own, wanted: Download, version: Annotated[int | None, _NEWEST] = None
) -> FileResponse:
    """A version as a file to take away."""
    chosen = _version(own, version)
    if wanted.is_dicom and not own.facts.is_dicom:
        raise RefusedError(
            HTTPStatus.CONFLICT,
            f"{wanted} refers to DICOM images, and this scan came without; send the DICOM series",
        )
    path = await services.desk.result(own, chosen, wanted)
    name = wanted.file_name(own.name, chosen.number)
    headers = {"Content-Disposition": _attachment(name)}
    return FileResponse(path, media_type=wanted.media_type, headers=headers)


def _file(path: Any, media_type: str) -> FileResponse:
    if not path.is_file():
        raise RefusedError(HTTPStatus.NOT_FOUND, _NOT_YET)
    return FileResponse(path, media_type=media_type)


def _attachment(name: str) -> str:
    """A file to save, under a name without folders and what shells and Windows take amiss."""
    safe = "".join(letter if letter.isalnum() or letter in " ._-" else "_" for letter in name)
    plain = safe.encode("ascii", "replace").decode().replace("?", "_")
    more = "" if plain == safe else f"; filename*=UTF-8''{quote(safe)}"
    return f'attachment; filename="{plain}"{more}'
