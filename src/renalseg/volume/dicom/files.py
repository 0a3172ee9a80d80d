"""Which files are DICOM, in a folder, a zip or alone."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from renalseg.archive import DamagedZipError, NoRoomError, unpack
from renalseg.errors import VolumeError
from renalseg.formats import SUFFIXES
from renalseg.volume.presence import why_absent, why_pointer

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
#: Files that lie beside DICOM and are none, by their names.
_OTHERS = (
    *(".txt", ".md", ".json", ".csv", ".tsv", ".xml", ".html", ".pdf", ".log", ".db", ".ini"),
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".exe", ".inf", ".zip", ".gz", ".tar", ".7z"),
)
#: Archives of kinds that are not read.
_PACKED = (".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
#: So many files are named in a message.
_MOST_SHOWN = 3


@dataclass(frozen=True)
class DicomFiles:
    """The DICOM files of a source.

    Attributes:
        paths: Sorted by name.
        notes: What a person should know of what else is there.
    """

    paths: list[Path]
    notes: tuple[str, ...] = ()


def is_dicom_source(path: Path) -> bool:
    """Whether a path is to be read as DICOM: a folder that holds some, a zip of it, or a file.

    What does not exist, is damaged or cannot be read is judged by its name. A folder with more
    image files (NIfTI and the like) of its own than DICOM files is no DICOM folder.
    """
    name = path.name.lower()
    try:
        if path.is_dir():
            wanted = max(1, len(_images(path)))
            dicom = (file for file in _files(path) if _looks_like_dicom(file))
            return len(list(islice(dicom, wanted))) == wanted
        if name.endswith(SUFFIXES):
            return False
        return name.endswith((_SUFFIX, ".zip")) or _looks_like_dicom(path) or _is_zip(path)
    except OSError:
        return path.is_dir() or not _is_other(path)


def is_one_study(folder: Path) -> bool:
    """Whether a folder is one study's: it holds DICOM files, or folders whose files share a study.

    Of each folder in it one file is looked at. These files or folders must be as many as the image
    files beside them; else each is a scan of its own.
    """
    files, studies = 0, []
    try:
        wanted = max(1, len(_images(folder)))
        for entry in sorted(folder.iterdir()):
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                studies += _studies_in(entry)
            elif _looks_like_dicom(entry) and not _is_zip(entry):
                files += 1
                if files == wanted:
                    return True
    except OSError:  # told when it is read
        return True
    return len(set(studies)) == 1 and len(studies) >= wanted


@contextmanager
def dicom_files(path: Path) -> Iterator[DicomFiles]:
    """The DICOM files of a source; those of a zip are there while this is open.

    DICOMDIRs, hidden files and files that are no DICOM are left out.

    Raises:
        VolumeError: There is no such source, it or a part of it cannot be read, the zip is damaged
            or hostile, or a file is DICOM by its name alone or encrypted.
    """
    try:
        if not path.exists():
            reason = why_absent(path) or "no such file or folder"
            raise VolumeError(f"{path}: {reason}; check the path")
        if path.is_dir():
            links: list[Path] = []
            found = _dicom_among(_files(path, links), path, path)
            yield DicomFiles(found.paths, (*found.notes, *_not_followed(path, links, found.paths)))
        elif _is_zip(path):
            with tempfile.TemporaryDirectory(prefix="renalseg-") as folder:
                unpacked = Path(folder) / "zip"
                unpack(path, unpacked)
                found = _dicom_among(_files(unpacked), path, unpacked)
                if not found.paths and any(unpacked.rglob("*.zip")):
                    raise VolumeError(f"{path}: holds zips, which are not looked into; unpack it")
                yield found
        else:
            found = _dicom_among([path], path, path.parent)
            if not found.paths:
                packed = path.name.lower().endswith(_PACKED)
                hint = "unpack it first" if packed else "give a CT series"
                raise VolumeError(f"{path}: not a DICOM file; {hint}")
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


def _files(folder: Path, links: list[Path] | None = None) -> Iterator[Path]:
    """Files below a folder that are not hidden, and links to nothing; no pipes or devices.

    Args:
        folder: The folder.
        links: Links to folders are added here; they are not followed.
    """

    def fail(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if name[0] != "." and name != "__MACOSX")
        if links is not None:
            links += [Path(place, name) for name in folders if Path(place, name).is_symlink()]
        for name in sorted(names):
            file = Path(place) / name
            if name[0] != "." and name.upper() != "DICOMDIR" and _is_regular(file):
                yield file


def _is_regular(file: Path) -> bool:
    """Whether it is a file, or should be one; a pipe would keep its reader waiting."""
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):  # a link to nothing, or to itself
            return file.is_symlink()
        raise


def _images(folder: Path) -> list[Path]:
    """The image files of a folder's own."""
    inside = (path for path in folder.iterdir() if path.name.lower().endswith(SUFFIXES))
    return [path for path in inside if path.name[0] != "." and not path.is_dir()]


def _is_other(file: Path) -> bool:
    """Whether a file is no DICOM, by its name alone."""
    return file.name.lower().endswith((*SUFFIXES, *_OTHERS))


def _dicom_among(files: "Iterator[Path] | list[Path]", source: Path, root: Path) -> DicomFiles:
    """The DICOM files of some.

    Args:
        files: The files.
        source: Named in errors.
        root: The folder that all lie in.

    Raises:
        VolumeError: What might be one of them cannot be read; it names the first, and how many.
    """
    found, images, absent = [], [], []
    for file in files:
        if file.name.lower().endswith(SUFFIXES):
            images.append(file)
            continue
        try:
            head, why = _head(file), ""
        except OSError as error:
            head, why = b"", why_absent(file) or error.strerror or str(error)
        why = why or why_pointer(head)
        if why:
            if not _is_other(file):
                absent.append((file, why))
        elif has_preamble(head) or head.startswith(_BARE):
            found.append(file)
        elif head[:1] == b"0" and _ENVELOPE in head[:64]:
            raise VolumeError(f"{file}: is encrypted (a secure DICOM file); decrypt it first")
        elif file.suffix.lower() == _SUFFIX:
            raise VolumeError(
                f"{file}: expected DICOM by its name, got {'other content' if head else 'nothing'}"
                "; copy it again, or remove it"
            )
    if absent:
        file, why = absent[0]
        count = len(absent) + len(found)
        if count == 1 and file == source:
            raise VolumeError(f"{source}: cannot be read ({why}); fetch or mend it")
        raise VolumeError(
            f"{source}: {len(absent)} of {count} files cannot be read, the first is "
            f"{file.relative_to(root)} ({why}); fetch or mend them, or remove them"
        )
    return DicomFiles(found, _left_out(images, root))


def _left_out(images: list[Path], root: Path) -> tuple[str, ...]:
    if not images:
        return ()
    shown = ", ".join(str(file.relative_to(root)) for file in images[:_MOST_SHOWN])
    more = f" and {len(images) - _MOST_SHOWN} more" if len(images) > _MOST_SHOWN else ""
    return (f"read as DICOM; image files beside it were left out: {shown}{more}",)


def _not_followed(source: Path, links: list[Path], found: list[Path]) -> tuple[str, ...]:
    """A note on links to folders.

    Raises:
        VolumeError: There is nothing else.
    """
    if not links:
        return ()
    told = f"links to folders are not followed: {', '.join(map(str, links[:_MOST_SHOWN]))}"
    if not found:
        raise VolumeError(
            f"{source}: no DICOM files in it, and {told}; give the folders themselves"
        )
    return (told,)


def _looks_like_dicom(file: Path) -> bool:
    """Whether a file is DICOM, or could be if its content were there."""
    if file.suffix.lower() == _SUFFIX:
        return True
    if _is_other(file) or not _is_regular(file):
        return False
    if file.is_symlink() and not file.exists():
        return True
    head = _head(file)
    return has_preamble(head) or head.startswith(_BARE) or bool(why_pointer(head))


def _is_zip(path: Path) -> bool:
    """A zip by its suffix or its first bytes."""
    if path.suffix.lower() == ".zip":
        return True
    return path.is_file() and _head(path).startswith(_ZIP_MAGIC)


def _studies_in(folder: Path) -> list[str]:
    """The study of the first DICOM file in a folder; by the folder's name where it says none."""
    try:
        first = next((file for file in _files(folder) if _looks_like_dicom(file)), None)
        return [] if first is None else [_study_of(first) or folder.name]
    except OSError:  # told when it is read
        return [folder.name]


def _study_of(file: Path) -> str:
    """Its Study Instance UID; empty where an anonymizer took it, or the file is damaged."""
    from renalseg.volume.dicom.header import read_header, text_of

    try:
        with file.open("rb") as stream:
            return text_of(read_header(file, stream, ("StudyInstanceUID",)), "StudyInstanceUID")
    except VolumeError:
        return ""


def _head(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(HEAD_BYTES)
