"""Unpack a zip that somebody else made."""

import copy
import lzma
import shutil
import stat
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

from renalseg.errors import RenalsegError

_CHUNK = 1 << 20
#: Neither images nor weights shrink to less than this part; and what a bomb may cost anyway.
_MOST_DEFLATED = 200
_SMALL_BYTES = 1 << 30
#: What Python's zipfile raises where it stumbles.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError),
    *(KeyError, OverflowError, struct.error),
)


class DamagedZipError(RenalsegError):
    """A zip is damaged, or not to be trusted."""


class NoRoomError(RenalsegError):
    """The disk is too small for what is in a zip, which is as good as it was."""


def unpack(archive: Path, folder: Path, on_bytes: Callable[[int, int], None] | None = None) -> None:
    """Unpack a zip after its members' names and sizes were checked.

    Args:
        archive: The zip.
        folder: A new folder, made here; nothing is written anywhere else.
        on_bytes: Called with unpacked bytes and all bytes.

    Raises:
        DamagedZipError: If the archive is damaged, holds a link, an encrypted file or a name that
            leads out of the folder, or holds more than it says or can. The folder is gone then.
        NoRoomError: If the disk is too small.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            _check(archive, members)
            total, done = sum(member.file_size for member in members), 0
            _make_room(archive, total, folder.parent)
            folder.mkdir()
            for member in members:
                _unpack_member(archive, opened, member, folder / member.filename)
                done += member.file_size
                if on_bytes:
                    on_bytes(done, total)
    except _DAMAGE as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise DamagedZipError(f"{archive}: damaged zip ({error}); copy it again") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _check(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    seen = set()
    for member in members:
        name = member.filename
        path = PurePosixPath(name)
        outside = path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive
        kind = stat.S_IFMT(member.external_attr >> 16)
        if outside or "\\" in member.orig_filename or kind not in (0, stat.S_IFREG):
            raise DamagedZipError(
                f"{archive}: member {name!r} would be written outside of its folder, or is a "
                "link; do not use this file"
            )
        if member.flag_bits & 1:
            raise DamagedZipError(f"{archive}: member {name!r} is encrypted; unpack it yourself")
        if path in seen:
            raise DamagedZipError(
                f"{archive}: member {name!r} is there twice; do not use this file"
            )
        seen.add(path)


def _make_room(archive: Path, total: int, folder: Path) -> None:
    if total > max(_SMALL_BYTES, _MOST_DEFLATED * archive.stat().st_size):
        raise DamagedZipError(
            f"{archive}: would unpack to {total / 1e9:.1f} GB; do not use this file"
        )
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if 2 * total > free:  # unpacked, and beside it what is made of it
        raise NoRoomError(
            f"{archive}: takes {2 * total / 1e9:.1f} GB when unpacked, and "
            f"{free / 1e9:.1f} GB are free in {folder}; make room and run again"
        )


def _unpack_member(
    archive: Path, opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path
) -> None:
    # zipfile would stop at the stated size without a word; one byte more shows if that was true
    reaching = copy.copy(member)
    reaching.file_size = sys.maxsize
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with opened.open(reaching) as source, path.open("wb") as target:
        while chunk := source.read(min(_CHUNK, member.file_size + 1 - written)):
            written += len(chunk)
            target.write(chunk)
    if written != member.file_size:
        raise DamagedZipError(
            f"{archive}: member {member.filename!r} should have {member.file_size} bytes, got "
            f"{'more' if written > member.file_size else written}; do not use this file"
        )
