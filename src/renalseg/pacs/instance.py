"""DICOM instances as bytes: whose they are, and files of them that are whole or not there."""

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from renalseg.errors import PacsError

#: Our own, made from a UUID (PS3.5, B.2): it says who wrote a file, not who made the images.
IMPLEMENTATION_UID = "2.25.76484254194669603269389238585570785871"
_PREFIX = b"\0" * 128 + b"DICM"
#: How file meta information begins: (0002,0000), UL, 4 bytes.
_GROUP_LENGTH = b"\2\0\0\0UL\4\0"


@dataclass(frozen=True)
class Identity:
    """Whose an instance is.

    Attributes:
        study_uid: Study Instance UID.
        series_uid: Series Instance UID.
        sop_uid: SOP Instance UID.
        sop_class: SOP Class UID.
        transfer_syntax: Transfer Syntax UID.
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    transfer_syntax: str


def identify(source: Path | bytes) -> Identity:
    """Whose a DICOM file is, from its header alone.

    Raises:
        PacsError: If it is no DICOM file, or lacks what it is known by.
    """
    from pydicom import config, dcmread
    from pydicom.errors import InvalidDicomError

    name = "the data" if isinstance(source, bytes) else source
    keywords = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
    try:
        with config.disable_value_validation():
            header = dcmread(
                BytesIO(source) if isinstance(source, bytes) else source,
                stop_before_pixels=True,
                specific_tags=list(keywords),
            )
            uids = [str(header.get(keyword) or "") for keyword in keywords]
            syntax = str(header.file_meta.TransferSyntaxUID)
    except (InvalidDicomError, AttributeError, ValueError, EOFError, struct.error) as error:
        raise PacsError(f"{name}: not a DICOM instance ({type(error).__name__})") from None
    missing = [keyword for keyword, uid in zip(keywords, uids, strict=True) if not uid]
    if missing:
        raise PacsError(f"{name}: an instance without {', '.join(missing)} cannot be sent or kept")
    study_uid, series_uid, sop_uid, sop_class = uids
    return Identity(study_uid, series_uid, sop_uid, sop_class, syntax)


def part10(sop_class: str, sop_uid: str, transfer_syntax: str, encoded: bytes) -> bytes:
    """A data set as a DICOM file (PS3.10): equal data sets give equal files, however they came."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import UID

    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(sop_uid)
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_file_meta_info(buffer, meta)
    return _PREFIX + buffer.getvalue() + encoded


def encoded_dataset(file: bytes) -> bytes:
    """The data set of a DICOM file, without what stands before it.

    Raises:
        PacsError: If the file does not say where it begins.
    """
    head, start = file[: len(_PREFIX) + 12], len(_PREFIX) + 12
    if head[len(_PREFIX) : len(_PREFIX) + 8] != _GROUP_LENGTH:
        raise PacsError("the data: file meta information without its length; it cannot be kept")
    return file[start + struct.unpack("<L", head[-4:])[0] :]


def pseudonym(uid: str) -> str:
    """A name for a UID that says nothing of the patient and is safe as a file's name."""
    return sha256(uid.encode()).hexdigest()[:24]


def image_name(sop_uid: str) -> str:
    """The name of an instance's file in the queue."""
    return f"{pseudonym(sop_uid)}.dcm"


def uid_file(folder: Path, series_uid: str, sop_uid: str) -> Path:
    """Where an instance that was fetched is kept.

    Raises:
        PacsError: If its UIDs are none: they come from another machine and name files here.
    """
    for uid in (series_uid, sop_uid):
        if not uid or len(uid) > 64 or set(uid) - set("0123456789.") or uid.startswith("."):
            raise PacsError("an instance with a malformed UID came; nothing can be named for it")
    return folder / series_uid / f"{sop_uid}.dcm"


def write_durably(path: Path, content: bytes, beside: Path | None = None) -> None:
    """Write a file that is whole when it has its name, also after the power went.

    Args:
        path: The file.
        content: What is in it.
        beside: Where it is written first, on the same file system; a hidden name in the same
            folder when None.
    """
    first = beside or path.with_name(f".{path.name}.part")
    try:
        with first.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(first, path)
    except OSError:
        first.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk; Windows has no way to, and keeps them itself."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def dicom_files(places: Iterable[Path]) -> Iterator[Path]:
    """Files, and all DICOM files of folders, in order.

    Raises:
        PacsError: If a place does not exist, or a folder holds none.
    """
    for place in places:
        if place.is_dir():
            inside = (path for path in sorted(place.rglob("*")) if path.is_file())
            found = [path for path in inside if _is_dicom(path)]
            if not found:
                raise PacsError(f"{place}: no DICOM files in this folder")
            yield from found
        elif place.is_file():
            yield place
        else:
            raise PacsError(f"{place}: no such file or folder; check the path")


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_PREFIX))[128:] == b"DICM"
