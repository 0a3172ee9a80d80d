"""A page server for one local study: loopback alone, behind an address that cannot be guessed.

It answers the part of ``renalseg serve``'s interface that the viewer needs, with nothing but the
standard library.
"""

import json
import mimetypes
import secrets
import sys
import tempfile
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from renalseg import __version__
from renalseg.errors import RenalsegError
from renalseg.faults import describe, record, remedy
from renalseg.notices import printable
from renalseg.provenance import NOTICE
from renalseg.viewer.local import ID, LocalStudy, canonical
from renalseg.volume import read_labels
from renalseg.web.headers import HEADERS

STATIC = Path(__file__).parents[1] / "web" / "static"
#: A label map of one byte a voxel packs well; more than this is none.
MOST_BYTES = 1 << 30


class ViewServer(ThreadingHTTPServer):
    """Serves one study until it is shut down.

    Attributes:
        study: The study.
        token: The first part of every path.
        csrf: What a request that changes something must carry.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, study: LocalStudy, port: int = 0) -> None:
        """Bind to the loopback.

        Args:
            study: What to show.
            port: 0 takes a free one.

        Raises:
            OSError: The port is taken.
        """
        self.study = study
        self.token = secrets.token_urlsafe(16)
        self.csrf = secrets.token_urlsafe(16)
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"


class RefusedError(RenalsegError):
    """An answer that says no."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: ViewServer

    def do_GET(self) -> None:
        """Answer a request that changes nothing."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Answer a request that saves a correction."""
        self._answer(self._post)

    def log_message(self, *_: Any) -> None:
        """Keep quiet: a path may name a patient."""

    def _answer(self, work: Any) -> None:
        try:
            work(self._path())
        except RefusedError as refusal:
            self._json({"detail": str(refusal)}, refusal.status)
        except RenalsegError as error:
            self._json({"detail": str(error)}, HTTPStatus.UNPROCESSABLE_ENTITY)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception as error:  # whatever it is, the next request is answered
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Answer with what the user can do, or with a fault's number; the terminal says more."""
        text = remedy(error)
        if text is None:
            fault = record(error)
            text = f"something went wrong (fault {fault.number}); the terminal says where"
            place = fault.details or describe(error)
            sys.stderr.write(f"error: fault {fault.number} of renalseg, not yours: see {place}\n")
        self.close_connection = True
        self._json({"detail": printable(text)}, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _path(self) -> str:
        """The path behind the token; refuses other hosts (DNS rebinding) and other tokens."""
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        token, _, path = urlsplit(self.path).path.removeprefix("/").partition("/")
        wanted = self.server.token.encode()
        if host not in {"127.0.0.1", "localhost"} or not secrets.compare_digest(
            token.encode(), wanted
        ):
            self.close_connection = True
            raise RefusedError(
                HTTPStatus.NOT_FOUND, "open the address that `renalseg view` printed"
            )
        return path

    def _query(self, name: str) -> int:
        value = parse_qs(urlsplit(self.path).query).get(name, [""])[0]
        if not value.isdecimal() or len(value) > 6:
            raise RefusedError(HTTPStatus.BAD_REQUEST, f"{name} must be a number")
        return int(value)

    def _get(self, path: str) -> None:
        study = self.server.study
        match path.split("/"):
            case [""]:
                self._file(STATIC / "index.html")
            case ["static", *parts]:
                self._static(parts)
            case ["api", "session"]:
                self._json(self._session())
            case ["api", "studies"]:
                self._json([study.record()])
            case ["api", "studies", identifier] if identifier == ID:
                self._json(study.record())
            case ["api", "studies", identifier, "image.nii.gz"] if identifier == ID:
                self._volume(canonical(study.scan))
            case ["api", "studies", identifier, "masks", name] if identifier == ID:
                number = name.removesuffix(".nii.gz")
                if not number.isdecimal() or len(number) > 6:
                    raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such version")
                self._volume(canonical(study.version(int(number)).labels))
            case ["api", "studies", identifier, "measurements"] if identifier == ID:
                self._send(study.measurements(self._query("version")).encode(), "application/json")
            case _:
                raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _post(self, path: str) -> None:
        body = self._body()
        token = self.headers.get("X-Renalseg-CSRF", "")
        if not secrets.compare_digest(token.encode(), self.server.csrf.encode()):
            raise RefusedError(HTTPStatus.FORBIDDEN, "reload the page")
        if path != f"api/studies/{ID}/masks":
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "mask.nii.gz"
            file.write_bytes(body)
            labels = read_labels(file)
        version = self.server.study.correct(labels, self._query("from"))
        self._json(version.record(), HTTPStatus.CREATED)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            self.close_connection = True
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "this is no mask")
        return self.rfile.read(int(length))

    def _session(self) -> dict[str, Any]:
        return {
            "mode": "view",
            "user": "local",
            "limits": {},
            "version": __version__,
            "model": "",
            "notice": NOTICE,
            "formats": [],
            "can_save": True,
            "csrf": self.server.csrf,
        }

    def _static(self, parts: list[str]) -> None:
        path = STATIC.joinpath(*parts).resolve()
        if not path.is_relative_to(STATIC) or not path.is_file():
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")
        self._file(path)

    def _file(self, path: Path) -> None:
        kind = {".js": "text/javascript"}.get(path.suffix) or mimetypes.guess_type(path.name)[0]
        self._send(path.read_bytes(), kind or "application/octet-stream")

    def _volume(self, volume: Any) -> None:
        """Send a volume as NIfTI; unpacked, as it does not leave the computer."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "volume.nii"
            volume.save(file)
            self._send(file.read_bytes(), "application/octet-stream")

    def _json(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(json.dumps(value).encode(), "application/json", status)

    def _send(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Cache-Control": "no-store"}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
