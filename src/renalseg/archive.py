"""Unpack a zip that somebody else made: it is looked at before anything is written.

Names lead nowhere but into the folder, sizes are true, and nothing fills the disk. Windows tools
write backslashes between folders, some name a file twice, and names may differ by case alone; all
that is read.
"""

import copy
import lzma
import shutil
import stat
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, cast

from renalseg.errors import RenalsegError

_CHUNK = 1 << 20
#: Neither images nor weights shrink to less than this part.
_MOST_DEFLATED = 200
#: What Python's zipfile raises where it stumbles.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError),
    *(KeyError, OverflowError, struct.error),
)
#: Methods that Python reads, and the names of some that it does not (APPNOTE 4.4.5).
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_OTHER_METHODS = {
    **{1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard", 95: "XZ", 96: "JPEG"},
    **{97: "WavPack", 98: "PPMd", 99: "AES encryption"},
}


class DamagedZipError(RenalsegError):
    """A zip is damaged, or not to be trusted.

    Attributes:
        what: What of it, for a sentence that begins with the archive: "is damaged".
        is_too_large: Whether it would be too much, but is well made.
    """

    def __init__(self, archive: Path, what: str, *, is_too_large: bool = False) -> None:
        super().__init__(f"{archive}: the zip {what}")
        self.what, self.is_too_large = what, is_too_large


class NoRoomError(RenalsegError):
    """The disk is too small for what is in a zip, which is as good as it was."""


@dataclass(frozen=True)
class ZipLimits:
    """What is too much.

    Attributes:
        files: Files in a zip.
        unpacked_bytes: Bytes of them all; None where the disk alone counts.
        small_bytes: So much a zip may unpack to, however small it is itself.
        contents_bytes: Of the list of contents, which is read in one piece.
    """

    files: int | None = None
    unpacked_bytes: float | None = None
    small_bytes: float = 1 << 30
    contents_bytes: int = 64 << 20


_USUAL = ZipLimits()


@dataclass(frozen=True)
class Member:
    """A file in a zip.

    Attributes:
        path: Its place: relative, without ``..``, and like that of no other, upper case or lower.
        info: What the list of contents says of it.
    """

    path: PurePosixPath
    info: zipfile.ZipInfo


class CheckedZip:
    """A zip whose list of contents was found to be harmless.

    Attributes:
        members: Its files.
    """

    def __init__(self, archive: Path, opened: zipfile.ZipFile, limits: ZipLimits) -> None:
        self._archive, self._opened = archive, opened
        self.members = _members(archive, opened, limits)

    @property
    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(member.info.file_size for member in self.members)

    def beginning(self, member: Member, count: int) -> bytes:
        """The first bytes of a file."""
        with self._opened.open(member.info) as source:
            return source.read(count)

    def copy(self, member: Member, path: Path) -> None:
        """Write a file's content.

        Raises:
            DamagedZipError: It has more or fewer bytes than the list of contents says.
        """
        # zipfile would stop at the stated size without a word; one byte more shows if it was true
        size = member.info.file_size
        reaching = copy.copy(member.info)
        reaching.file_size = sys.maxsize
        written = 0
        with self._opened.open(reaching) as source, path.open("wb") as target:
            while chunk := source.read(min(_CHUNK, size + 1 - written)):
                written += len(chunk)
                target.write(chunk)
        if written != size:
            got = "more" if written > size else written
            raise DamagedZipError(
                self._archive,
                f"is damaged ({member.info.filename!r} should have {size} bytes, got {got}); do "
                "not use it",
            )


@contextmanager
def open_zip(archive: Path, limits: ZipLimits | None = None) -> Iterator[CheckedZip]:
    """Open a zip after its members' names and sizes were checked.

    Args:
        archive: The zip.
        limits: What is too much.

    Raises:
        DamagedZipError: It is damaged, now or while it is read; it holds a link, an encrypted
            file, one that is compressed in an unknown way or a name that leads out of the folder;
            or it holds more than it says or can.
    """
    try:
        with archive.open("rb") as file:
            limits = limits or _USUAL
            sparing = cast("IO[bytes]", _Sparing(file, limits.contents_bytes))
            with zipfile.ZipFile(sparing) as opened:
                yield CheckedZip(archive, opened, limits)
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the zip's
        raise DamagedZipError(archive, f"is damaged ({error}); copy it again") from error


def unpack(archive: Path, folder: Path, on_bytes: Callable[[int, int], None] | None = None) -> None:
    """Unpack a zip.

    Args:
        archive: The zip.
        folder: A new folder, made here; nothing is written anywhere else.
        on_bytes: Called with unpacked bytes and all bytes.

    Raises:
        DamagedZipError: See :func:`open_zip`. The folder is gone then.
        NoRoomError: If the disk is too small.
    """
    try:
        with open_zip(archive) as opened:
            done = 0
            _make_room(archive, opened.total_bytes, folder.parent)
            folder.mkdir()
            for member in opened.members:
                path = folder / member.path
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    opened.copy(member, path)
                except (FileExistsError, NotADirectoryError, IsADirectoryError):
                    raise DamagedZipError(
                        archive, f"has {member.info.filename!r} in a folder that is a file"
                    ) from None
                done += member.info.file_size
                if on_bytes:
                    on_bytes(done, opened.total_bytes)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


class _Sparing:
    """A file that gives no more than a bound at once."""

    def __init__(self, file: IO[bytes], most_bytes: int) -> None:
        self._file, self._most = file, most_bytes

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        found = self._file.read(min(size, self._most) if size >= 0 else self._most)
        if len(found) == self._most:
            raise zipfile.BadZipFile("its list of contents is too long")
        return found


def _members(archive: Path, opened: zipfile.ZipFile, limits: ZipLimits) -> list[Member]:
    """The files of a zip, each once.

    Raises:
        DamagedZipError: One of them, or all together, must not be unpacked.
    """
    taken: dict[str, Member] = {}
    for info in opened.infolist():
        path = _place(archive, info)
        if path is None:
            continue
        while (known := taken.get(str(path).casefold())) is not None:
            if known.path == path:
                break
            path = path.with_name(f"{path.stem}~{path.suffix}")  # they differ by case alone
        if known is None:
            taken[str(path).casefold()] = Member(path, info)
        elif (known.info.CRC, known.info.file_size) != (info.CRC, info.file_size):
            raise DamagedZipError(
                archive, f"holds {info.filename!r} twice, and not alike; do not use it"
            )
    members = list(taken.values())
    if limits.files is not None and len(members) > limits.files:
        raise DamagedZipError(
            archive,
            f"holds {len(members)} files, at most {limits.files} are taken; give one series",
            is_too_large=True,
        )
    total = sum(member.info.file_size for member in members)
    most = max(limits.small_bytes, _MOST_DEFLATED * archive.stat().st_size)
    if total > min(most, limits.unpacked_bytes or total):
        raise DamagedZipError(
            archive,
            f"would unpack to {total / 1e6:.0f} MB, which is too much; give one series",
            is_too_large=True,
        )
    return members


def _place(archive: Path, info: zipfile.ZipInfo) -> PurePosixPath | None:
    """Where a file goes, None of a folder.

    Raises:
        DamagedZipError: It must not be unpacked.
    """
    shown = repr(info.orig_filename[:100])
    name = info.orig_filename.split("\0")[0].replace("\\", "/")
    path, kind = PurePosixPath(name), stat.S_IFMT(info.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive:
        raise DamagedZipError(
            archive,
            f"names files outside of its folder ({shown}); pack the folder itself again, or do "
            "not use it",
        )
    if name.endswith("/") or (kind == stat.S_IFDIR and not info.file_size):
        return None
    if kind not in (0, stat.S_IFREG) or not path.name:
        raise DamagedZipError(
            archive, f"holds links or other things that are no files ({shown}); pack files alone"
        )
    if info.flag_bits & 1:
        raise DamagedZipError(archive, f"has a password (for {shown}); pack it without one")
    if info.compress_type not in _METHODS:
        method = _OTHER_METHODS.get(info.compress_type, "an unknown method")
        raise DamagedZipError(
            archive,
            f"is compressed in a way that is not read ({method}, number {info.compress_type}, for "
            f"{shown}); pack it again as a plain zip (Deflate)",
        )
    return path


def _make_room(archive: Path, total: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if 2 * total > free:  # unpacked, and beside it what is made of it
        raise NoRoomError(
            f"{archive}: takes {2 * total / 1e9:.1f} GB when unpacked, and "
            f"{free / 1e9:.1f} GB are free in {folder}; make room and run again"
        )
