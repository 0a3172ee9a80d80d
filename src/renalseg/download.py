"""Fetch one file: it goes on where it was, and has its name only when it is whole."""

import hashlib
import os
import shutil
import socket
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from renalseg.errors import DownloadError

#: Called with bytes that are here and all bytes, or 0 where the server does not say.
OnBytes = Callable[[int, int], None]

#: Seconds to wait before the second, third, ... try; the count begins anew when bytes arrive.
PAUSES_S = (1.0, 2.0, 5.0, 15.0, 30.0)
_TIMEOUT_S = 60.0
_CHUNK = 1 << 20
_BUSY = {408, 429, 500, 502, 503, 504}


def fetch(
    url: str,
    path: Path,
    *,
    checksum: str | None = None,
    on_bytes: OnBytes | None = None,
    pause: Callable[[float], object] = time.sleep,
) -> Path:
    """Download a file.

    What has arrived stands beside ``path`` under a hidden name until it is complete, and a later
    call goes on from there unless the server has another file by then.

    Args:
        url: An http or https address.
        path: Where the file goes. One that stands there already is kept, and nothing is fetched.
        checksum: ``md5:...`` or ``sha256:...`` in hexadecimal digits, where it is known.
        on_bytes: Told of the progress.
        pause: Waits for so many seconds between tries.

    Returns:
        ``path``.

    Raises:
        DownloadError: If the address is none, the server refuses, the connection fails time after
            time, the disk is too small, or the checksum is another.
    """
    if path.is_file():
        return path
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"{url}: expected an address that begins with https://")
    path.parent.mkdir(parents=True, exist_ok=True)
    part, tag = (path.with_name(f".{path.name}.{end}") for end in ("part", "etag"))
    tries = 0
    while True:
        before = _size(part)
        try:
            _receive(url, part, tag, on_bytes)
            break
        except (URLError, HTTPException, ConnectionError, TimeoutError) as error:
            tries = 0 if _size(part) > before else tries
            if tries == len(PAUSES_S) or _is_final(error):
                refused = DownloadError(_reason(url, error))
                refused.is_missing = isinstance(error, HTTPError) and error.code == 404
                raise refused from error
        pause(PAUSES_S[tries])
        tries += 1
    if checksum is not None and (got := _digest(part, checksum)) != checksum.lower():
        part.unlink()
        tag.unlink(missing_ok=True)
        raise DownloadError(
            f"{url}: expected {checksum}, got {got}; the file was removed, download it again"
        )
    tag.unlink(missing_ok=True)
    os.replace(part, path)
    return path


def _receive(url: str, part: Path, tag: Path, on_bytes: OnBytes | None) -> None:
    """Append what is missing to ``part``; an answer cut short is a ConnectionError."""
    have = _size(part)
    headers = {"Accept-Encoding": "identity", "User-Agent": "renalseg"}
    if have and tag.is_file() and (validator := tag.read_text()):
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    try:
        answer: Any = urlopen(Request(url, headers=headers), timeout=_TIMEOUT_S)  # noqa: S310
    except HTTPError as error:
        error.close()
        if error.code != 416:  # asked for what lies beyond the end: it is another file
            raise
        part.unlink()
        raise ConnectionError("the file has changed") from error
    with answer:
        if urlsplit(url).scheme == "https" and urlsplit(answer.url).scheme != "https":
            raise DownloadError(f"{url}: leads to {answer.url}, which is not encrypted")
        goes_on = answer.status == 206
        have = have if goes_on else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else 0
        if total - have > shutil.disk_usage(part.parent).free:
            raise DownloadError(
                f"{part.parent}: {url} needs {(total - have) / 1e9:.1f} GB more, and "
                f"{shutil.disk_usage(part.parent).free / 1e9:.1f} GB are free; make room"
            )
        etag = answer.headers.get("ETag", "")
        tag.write_text(etag if etag.startswith('"') else answer.headers.get("Last-Modified", ""))
        with part.open("ab" if goes_on else "wb") as file:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                have += len(chunk)
                if on_bytes:
                    on_bytes(have, total)
    if total and have < total:
        raise ConnectionError(f"{have} of {total} bytes arrived")


def _is_final(error: Exception) -> bool:
    """Whether another try would end likewise: the server's answer is no, or it has no such name."""
    if isinstance(error, HTTPError):
        return error.code not in _BUSY
    return isinstance(getattr(error, "reason", None), socket.gaierror)


def _reason(url: str, error: Exception) -> str:
    if isinstance(error, HTTPError):
        what = "no such file there" if error.code == 404 else "the server refused"
        return f"{url}: {what} (HTTP {error.code}); see whether the address is right"
    reason = getattr(error, "reason", None) or error
    return f"{url}: cannot be reached ({reason}); see to the network and run again to go on"


def _digest(path: Path, checksum: str) -> str:
    kind, _, _ = checksum.partition(":")
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
