"""Zip archives from people whom nobody knows: looked at before anything is unpacked."""

import shutil
import stat
import zipfile
from http import HTTPStatus
from pathlib import Path
from typing import IO, cast

from renalseg.web.kinds import looks_like_dicom, suffix_of
from renalseg.web.refusal import RefusedError
from renalseg.web.settings import Limits

#: A list of contents takes a hundred bytes for each file; ``zipfile`` reads it in one piece.
_MOST_BYTES = 4 << 20
#: CT shrinks to a half or a third; archives that unpack to more than this are looked at.
_SMALL = 100_000_000
_MOST_SHRUNK = 200
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_BEGINNING = 132


class _Sparing:
    """A file that gives no more than a bound at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def read(self, size: int = -1) -> bytes:
        found = self._file.read(min(size, _MOST_BYTES) if size >= 0 else _MOST_BYTES)
        if len(found) == _MOST_BYTES:
            raise zipfile.BadZipFile("its list of contents is too long")
        return found


def check_archive(path: Path, limits: Limits) -> None:
    """Refuse an archive that would fill the disk, or reach out of its folder.

    ``zipfile`` never unpacks more of a file than the list of contents says, so its sums hold.

    Raises:
        RefusedError: 413 for too much, 422 for what is no plain archive of files.
    """
    with path.open("rb") as file:
        for _ in _entries(file, path.stat().st_size, limits):
            pass


def unpack(path: Path, target: Path, limits: Limits) -> None:
    """Unpack the DICOM and image files of an archive side by side, under names of our own.

    Args:
        path: The archive.
        target: A folder; it appears when all is unpacked.
        limits: What is too much.

    Raises:
        RefusedError: See ``check_archive``; or it is damaged, or holds nothing that can be read.
    """
    beside = target.with_name(f".{target.name}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(mode=0o700)
    with path.open("rb") as file:
        archive = _open(file)
        try:
            for number, entry in enumerate(_entries(file, path.stat().st_size, limits)):
                _take(archive, entry, beside / f"{number:06d}")
        except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's, not the archive's
            raise _damaged() from None
    beside.rename(target)


def _take(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    """Unpack an entry if it is DICOM or an image."""
    suffix = suffix_of(Path(entry.filename).name)
    if suffix == ".zip":
        return
    with archive.open(entry) as stream:
        start = stream.read(_BEGINNING)
        if not suffix and not looks_like_dicom(start):
            return
        with target.with_name(f"{target.name}{suffix or '.dcm'}").open("wb") as file:
            file.write(start)
            shutil.copyfileobj(stream, file, 1 << 20)


def _open(file: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(cast("IO[bytes]", _Sparing(file)))
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError) as error:
        reason = f" ({error})" if "too long" in str(error) else ""
        raise _damaged(reason) from None


def _entries(file: IO[bytes], archive_bytes: int, limits: Limits) -> list[zipfile.ZipInfo]:
    entries = [entry for entry in _open(file).infolist() if not entry.is_dir()]
    if len(entries) > limits.files:
        raise RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the archive holds {len(entries)} files, at most {limits.files} are taken; send one "
            "series",
        )
    total = sum(entry.file_size for entry in entries)
    if total > limits.unpacked_mb * 1e6 or total > max(_SMALL, _MOST_SHRUNK * archive_bytes):
        raise RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the archive would unpack to {total / 1e6:.0f} MB, which is too much; send one series",
        )
    for entry in entries:
        _check(entry)
    return entries


def _check(entry: zipfile.ZipInfo) -> None:
    name = entry.filename.replace("\\", "/")
    if name.startswith("/") or ":" in name.split("/")[0] or ".." in name.split("/"):
        raise _refused("names files outside of its folder; pack the folder itself again")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise _refused("holds links; pack the files themselves")
    if entry.flag_bits & 1:
        raise _refused("has a password; pack it without one")
    if entry.compress_type not in _METHODS:
        raise _refused("is packed in an unusual way; pack it as a plain zip")


def _refused(what: str) -> RefusedError:
    return RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, f"the archive {what}")


def _damaged(reason: str = "") -> RefusedError:
    return _refused(f"is damaged{reason}; pack or send it again")
