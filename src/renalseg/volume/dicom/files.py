"""Which files are DICOM, in a folder, a zip or alone."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from renalseg.archive import DamagedZipError, NoRoomError, unpack
from renalseg.errors import VolumeError
from renalseg.formats import SUFFIXES

#: How much of a file shows what it is.
HEAD_BYTES = 2048
_MAGIC, _MAGIC_AT = b"DICM", 128
#: How a file without a preamble begins: the group length or first elements of group 2 or 8.
_BARE = tuple(
    bytes((group, 0, element, 0)) for group in (2, 8) for element in (0, 1, 2, 5, 8, 0x16)
)
_ZIP_MAGIC = b"PK\x03\x04"
#: PKCS #7's object identifiers begin so: a DICOM file in an envelope (PS3.10, secure DICOM file).
_ENVELOPE = bytes.fromhex("06092a864886f70d0107")
_SUFFIX = ".dcm"


def is_dicom_source(path: Path) -> bool:
    """Whether a path is to be read as DICOM: a folder that holds some, a zip of it, or a file.

    What does not exist, is damaged or cannot be read is judged by its name. A folder with image
    files (NIfTI and the like) of its own is no DICOM folder.
    """
    name = path.name.lower()
    try:
        if path.is_dir():
            images = any(file.name.lower().endswith(SUFFIXES) for file in path.iterdir())
            return not images and any(_looks_like_dicom(file) for file in _files(path))
        if name.endswith(SUFFIXES):
            return False
        return name.endswith((_SUFFIX, ".zip")) or _looks_like_dicom(path) or _is_zip(path)
    except OSError:
        return path.suffix.lower() in ("", _SUFFIX)


def is_one_study(folder: Path) -> bool:
    """Whether a folder is one study's: it holds DICOM files, or folders whose files share a study.

    Of each folder in it one file is looked at.
    """
    studies = set()
    try:
        for entry in sorted(folder.iterdir()):
            if entry.is_file() and _looks_like_dicom(entry) and not _is_zip(entry):
                return True
            if entry.is_dir() and not entry.name.startswith("."):
                first = next((file for file in _files(entry) if _looks_like_dicom(file)), None)
                if first is not None:
                    studies.add(_study_of(first) or entry.name)
    except OSError:  # told when it is read
        return True
    return len(studies) == 1


@contextmanager
def dicom_files(path: Path) -> Iterator[list[Path]]:
    """The DICOM files of a source, sorted by name; those of a zip are there while this is open.

    DICOMDIRs, hidden files and files that are no DICOM are left out.

    Raises:
        VolumeError: There is no such source, it cannot be read, the zip is damaged or hostile, or
            a file is DICOM by its name alone or encrypted.
    """
    try:
        if not path.exists():
            raise VolumeError(f"{path}: no such file or folder; check the path")
        if path.is_dir():
            yield _dicom_among(_files(path))
        elif _is_zip(path):
            with tempfile.TemporaryDirectory(prefix="renalseg-") as folder:
                unpacked = Path(folder) / "zip"
                unpack(path, unpacked)
                yield _dicom_among(_files(unpacked))
        else:
            found = _dicom_among([path])
            if not found:
                raise VolumeError(f"{path}: not a DICOM file; give a CT series")
            yield found
    except (DamagedZipError, NoRoomError) as error:
        raise VolumeError(str(error)) from error
    except OSError as error:
        place = error.filename or path
        raise VolumeError(
            f"{place}: cannot be read ({error.strerror or error}); check file and permissions"
        ) from error


def has_preamble(head: bytes) -> bool:
    """Whether a file begins as PS3.10 has it."""
    return head[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] == _MAGIC


def _files(folder: Path) -> Iterator[Path]:
    """Regular files below a folder that are not hidden; links to folders are not followed."""

    def fail(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if name[0] != "." and name != "__MACOSX")
        for name in sorted(names):
            file = Path(place) / name
            if name[0] != "." and name.upper() != "DICOMDIR" and _is_regular(file):
                yield file


def _is_regular(file: Path) -> bool:
    """Whether it is a file; a pipe would keep its reader waiting."""
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):  # a link to nowhere, or to itself
            return False
        raise


def _dicom_among(files: "Iterator[Path] | list[Path]") -> list[Path]:
    found = []
    for file in files:
        head = _head(file)
        if has_preamble(head) or head.startswith(_BARE):
            found.append(file)
        elif head[:1] == b"0" and _ENVELOPE in head[:64]:
            raise VolumeError(f"{file}: is encrypted (a secure DICOM file); decrypt it first")
        elif file.suffix.lower() == _SUFFIX:
            raise VolumeError(
                f"{file}: expected DICOM by its name, got {'other content' if head else 'nothing'}"
                "; copy it again, or remove it"
            )
    return found


def _looks_like_dicom(file: Path) -> bool:
    head = _head(file) if _is_regular(file) else b""
    return file.suffix.lower() == _SUFFIX or has_preamble(head) or head.startswith(_BARE)


def _is_zip(path: Path) -> bool:
    """A zip by its suffix or its first bytes."""
    if path.suffix.lower() == ".zip":
        return True
    return _is_regular(path) and _head(path).startswith(_ZIP_MAGIC)


def _study_of(file: Path) -> str:
    from renalseg.volume.dicom.header import read_header, text_of

    """Its Study Instance UID; empty where an anonymiser took it, or the file is damaged."""
    try:
        with file.open("rb") as stream:
            return text_of(read_header(file, stream, ("StudyInstanceUID",)), "StudyInstanceUID")
    except VolumeError:
        return ""


def _head(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(HEAD_BYTES)
