"""Zip archives that are sent: the checks of :mod:`renalseg.archive`, with a server's limits."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from renalseg.archive import CheckedZip, DamagedZipError, Member, ZipLimits, open_zip
from renalseg.web.kinds import looks_like_dicom, suffix_of
from renalseg.web.refusal import RefusedError
from renalseg.web.settings import Limits

#: A list of contents takes a hundred bytes for each file.
_MOST_CONTENTS_BYTES = 4 << 20
#: CT shrinks to a half or a third; archives that unpack to more than this are looked at.
_SMALL_BYTES = 100_000_000
_BEGINNING = 132


def check_archive(path: Path, limits: Limits) -> None:
    """Refuse an archive that would fill the disk, or reach out of its folder.

    Raises:
        RefusedError: 413 for too much, 422 for what is no plain archive of files.
    """
    with _opened(path, limits):
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
    with _opened(path, limits) as archive:
        for number, member in enumerate(archive.members):
            _take(archive, member, beside / f"{number:06d}")
    beside.rename(target)


def _take(archive: CheckedZip, member: Member, target: Path) -> None:
    """Unpack a file if it is DICOM or an image."""
    suffix = suffix_of(member.path.name)
    if suffix == ".zip":
        return
    if suffix or looks_like_dicom(archive.beginning(member, _BEGINNING)):
        archive.copy(member, target.with_name(f"{target.name}{suffix or '.dcm'}"))


@contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[CheckedZip]:
    most = ZipLimits(
        files=limits.files,
        unpacked_bytes=limits.unpacked_mb * 1e6,
        small_bytes=_SMALL_BYTES,
        contents_bytes=_MOST_CONTENTS_BYTES,
    )
    try:
        with open_zip(path, most) as archive:
            yield archive
    except DamagedZipError as error:
        too_large, odd = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY
        status = too_large if error.is_too_large else odd
        raise RefusedError(status, f"the archive {error.what}") from None
