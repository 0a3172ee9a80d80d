"""Files that are sent: streamed to the disk, counted while they come, and looked at."""

import asyncio
import errno
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path, PurePosixPath

from renalseg.web.archive import check_archive
from renalseg.web.folder import DataFolder, StudyFolder
from renalseg.web.kinds import (
    BEGINNING,
    is_one_of_two,
    is_what_it_says,
    looks_like_dicom,
    suffix_of,
)
from renalseg.web.refusal import RefusedError
from renalseg.web.settings import Limits

#: So much is held of each body before it is written.
_BLOCK_BYTES = 256 << 10
_DICOM = ".dcm"
_LONGEST = 1024
#: Told how many bytes of a body have come; it may raise.
OnBytes = Callable[[int], None]


@dataclass
class _Sent:
    """What has come of one study: bytes by file name on the disk, and how many files still come."""

    sizes: dict[str, int] = field(default_factory=dict)
    coming: int = 0

    @property
    def total(self) -> int:
        return sum(self.sizes.values())


class Uploads:
    """Everybody's uploads; its coroutines run in the event loop."""

    def __init__(self, data: DataFolder, limits: Limits, on_received: OnBytes) -> None:
        """No uploads yet.

        Args:
            data: Where files go.
            limits: What is too much.
            on_received: Told how many bytes came, each time some did.
        """
        self._data = data
        self._limits = limits
        self._on_received = on_received
        self._sent: dict[str, _Sent] = {}

    async def receive(
        self, identifier: str, path: str, body: AsyncIterator[bytes], length: int | None
    ) -> bool:
        """Take one file of a study.

        Args:
            identifier: The study.
            path: The file's name, or its place within the folder that is sent.
            body: Its bytes as they come.
            length: How many it will be, where the sender says.

        Returns:
            Whether it was kept: what is neither an image nor DICOM is not.

        Raises:
            RefusedError: It has a bad name, is too large or not what its name says.
        """
        name = _stored_name(path)
        folder = self._data.of(identifier)
        sent = self._sent.setdefault(identifier, _Sent(_sizes(folder)))
        before = sent.sizes.get(name, 0)
        if name not in sent.sizes and len(sent.sizes) >= self._limits.files:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"more than {self._limits.files} files; send one series",
            )
        room = round(self._limits.upload_mb * 1e6)
        self._check_room(length or 0, room - sent.total + before)
        part = folder.upload / f".{name}.{secrets.token_hex(4)}.part"
        sent.sizes[name] = before
        sent.coming += 1
        kept = False
        try:
            written = await self._write(body, part, lambda count: self._grow(sent, name, count))
            kept = await asyncio.to_thread(self._keep, part, folder.upload / name, path)
            sent.sizes[name] = written if kept else 0
        except FileNotFoundError:
            raise _deleted() from None
        finally:
            part.unlink(missing_ok=True)
            sent.coming -= 1
            if not kept:
                sent.sizes.pop(name, None)
                if before:
                    sent.sizes[name] = before
        return kept

    def _grow(self, sent: _Sent, name: str, count: int) -> None:
        sent.sizes[name] = max(sent.sizes.get(name, 0), count)
        self._check_room(0, round(self._limits.upload_mb * 1e6) - sent.total)

    def _check_room(self, coming: int, room: int) -> None:
        if coming > room or room < 0:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"more than {self._limits.upload_mb} MB; send one series alone, or as a compressed "
                "file",
            )
        if self._data.free_bytes() - coming < self._limits.reserve_mb * 1e6:
            raise _full()

    async def receive_mask(
        self, body: AsyncIterator[bytes], length: int | None, target: Path
    ) -> None:
        """Write a label map that is sent; it is looked at when it is read.

        Raises:
            RefusedError: It is too large, comes to a halt, or the disk or the study is gone.
        """
        room = round(self._limits.upload_mb * 1e6)
        self._check_room(length or 0, room)
        try:
            await self._write(body, target, lambda count: self._check_room(0, room - count))
        except FileNotFoundError:
            raise _deleted() from None

    async def _write(self, body: AsyncIterator[bytes], target: Path, on_bytes: OnBytes) -> int:
        """Write a body to the disk as it comes; gives its length.

        Raises:
            RefusedError: It comes to a halt, or the disk is full.
        """
        written, block = 0, bytearray()
        try:
            with target.open("wb") as file:
                while (chunk := await self._next(body)) is not None:
                    block += chunk
                    written += len(chunk)
                    self._on_received(len(chunk))
                    if len(block) >= _BLOCK_BYTES:
                        on_bytes(written)
                        await asyncio.to_thread(file.write, bytes(block))
                        block.clear()
                on_bytes(written)
                await asyncio.to_thread(file.write, bytes(block))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _full() from None
            raise
        return written

    async def _next(self, body: AsyncIterator[bytes]) -> bytes | None:
        try:
            async with asyncio.timeout(self._limits.stall_s):
                return await anext(body, None)
        except TimeoutError:
            raise RefusedError(
                HTTPStatus.REQUEST_TIMEOUT, "nothing came for a while; send the file again"
            ) from None

    def _keep(self, part: Path, target: Path, path: str) -> bool:
        """Look at a file that has come, and put it to its place if it can be of use."""
        with part.open("rb") as file:
            start = file.read(BEGINNING)
        name = PurePosixPath(path).name
        if not start or not is_what_it_says(name, start):
            what = "is empty" if not start else "is not what its name says"
            raise RefusedError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the file {what}; export the scan again"
            )
        suffix = suffix_of(name)
        if not suffix and not looks_like_dicom(start):
            return False
        if suffix == ".zip":
            check_archive(part, self._limits)
        os.replace(part, target)
        return True

    def check_complete(self, identifier: str) -> None:
        """Refuse to begin a study of nothing, or of several scans.

        Raises:
            RefusedError: It is one.
        """
        sent = self._sent.get(identifier)
        if sent and sent.coming:
            raise RefusedError(
                HTTPStatus.CONFLICT, "a file is still coming; begin when all are there"
            )
        names = list(_sizes(self._data.of(identifier)))
        if not names:
            raise RefusedError(
                HTTPStatus.CONFLICT,
                "nothing that can be read was sent; send a NIfTI, NRRD or MHA file, DICOM files, "
                "or a zip of one of them",
            )
        if len(names) > 1 and any(not name.endswith(_DICOM) for name in names):
            raise RefusedError(
                HTTPStatus.CONFLICT, "several scans were sent; make a study of each of them"
            )

    def forget(self, identifier: str) -> None:
        """All has come, or nobody waits for it."""
        self._sent.pop(identifier, None)


def _stored_name(path: str) -> str:
    """A name for the disk that says the format and nothing else.

    Raises:
        RefusedError: The user's name reaches out of its folder, or is none.
    """
    parts = path.split("/")
    if (
        not path
        or len(path) > _LONGEST
        or not path.isprintable()
        or "\\" in path
        or any(part in ("", ".", "..") for part in parts)
    ):
        raise RefusedError(
            HTTPStatus.BAD_REQUEST,
            "path: expected a file's name, or its place in the folder that is sent, such as "
            "ct/IM0001",
        )
    if is_one_of_two(parts[-1]):
        raise RefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "half of an image: its voxels lie in another file; save it as .mha, .nrrd or .nii.gz",
        )
    digest = hashlib.sha256(path.encode(errors="surrogatepass")).hexdigest()[:24]
    return f"{digest}{suffix_of(parts[-1]) or _DICOM}"


def _sizes(folder: StudyFolder) -> dict[str, int]:
    """What has come already, by name; leaves parts of a killed server's uploads out."""
    if not folder.upload.is_dir():
        return {}
    return {
        path.name: path.stat().st_size
        for path in folder.upload.iterdir()
        if not path.name.startswith(".")
    }


def _deleted() -> RefusedError:
    return RefusedError(HTTPStatus.NOT_FOUND, "this study was deleted")


def _full() -> RefusedError:
    return RefusedError(
        HTTPStatus.INSUFFICIENT_STORAGE,
        "the server's disk is full; delete studies that are done, or tell who runs the server",
    )
