"""Headers of DICOM files, and their values, of whatever quality they are."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from renalseg.errors import VolumeError
from renalseg.volume.dicom.encoding import Encoding, encoding_of
from renalseg.volume.dicom.files import HEAD_BYTES, has_preamble
from renalseg.volume.dicom.syntaxes import DEFLATED

if TYPE_CHECKING:
    from pydicom import Dataset

_T = TypeVar("_T")

#: Pixel data, as integers or floats.
_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
#: What the choice of a series and the place of its slices need.
SCANNED = (
    *("SOPClassUID", "SOPInstanceUID", "ImageType", "Modality", "StudyInstanceUID"),
    *("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "FrameOfReferenceUID"),
    *("NumberOfFrames", "Rows", "Columns", "PixelSpacing", "SliceThickness"),
    *("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"),
    *("RescaleType", "ModalityLUTSequence", "PixelRepresentation"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("PatientID", "PatientName", "PatientBirthDate", "InstanceNumber"),
    *("ConcatenationUID", "InConcatenationNumber", "InConcatenationTotalNumber"),
    *("ConcatenationFrameOffsetNumber", "TemporalPositionIdentifier", "AcquisitionNumber"),
    *("AcquisitionDateTime", "AcquisitionTime", "ContentTime", "ConvolutionKernel", "KVP"),
)


def read_header(path: Path, stream: BinaryIO, keywords: tuple[str, ...] | None = None) -> "Dataset":
    """Read a file up to its pixels; the stream stands there then.

    Args:
        path: Named in errors.
        stream: The file, at its beginning.
        keywords: Read these alone; None reads all.

    Raises:
        VolumeError: It cannot be read.
    """
    from pydicom import dcmread

    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    encoding = encoding_of(head) if has_preamble(head) else None
    if encoding is not None and encoding.syntax in DEFLATED:
        raise VolumeError(
            f"{path}: deflated DICOM is not read; convert it to a plain transfer syntax"
        )
    try:
        if encoding is not None and not encoding.announced:
            return _read_as_written(stream, head, encoding, keywords)
        return dcmread(
            stream,
            stop_before_pixels=True,
            specific_tags=None if keywords is None else list(keywords),
            force=not has_preamble(head),
        )
    except Exception as error:  # pydicom raises what it stumbles over
        raise damaged(path, error) from error


def _read_as_written(
    stream: BinaryIO, head: bytes, encoding: Encoding, keywords: tuple[str, ...] | None
) -> "Dataset":
    """Read a header that is encoded otherwise than its file meta says."""
    from io import BytesIO

    from pydicom import dcmread
    from pydicom.filereader import read_dataset
    from pydicom.tag import Tag

    meta = dcmread(BytesIO(head[: encoding.start])).file_meta
    stream.seek(encoding.start)
    elements = read_dataset(
        stream,
        encoding.implicit,
        encoding.little,
        stop_when=lambda tag, _vr, _length: tag in _PIXELS,
        specific_tags=None if keywords is None else [Tag(keyword) for keyword in keywords],
    )
    elements.file_meta = meta
    return elements


def damaged(path: Path, error: Exception) -> VolumeError:
    """The error for a file that another library could not make sense of."""
    said = " ".join(str(error).split())[:120] or type(error).__name__
    shown = printable(said)
    return VolumeError(f"{path}: damaged DICOM ({shown}); copy it again, or remove it")


def printable(text: str) -> str:
    """Text on one line, fit for a terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def text_of(header: "Dataset", keyword: str) -> str:
    """A value as text; empty where there is none that can be read."""
    try:
        value = header.get(keyword)
        return "" if value is None else printable(" ".join(str(value).split()))
    except Exception:  # pydicom raises what it stumbles over
        return ""


def whole_of(header: "Dataset", keyword: str) -> int | None:
    """A whole number; None where there is none that can be read."""
    try:
        return int(header[keyword].value)
    except Exception:  # pydicom raises what it stumbles over
        return None


def texts_of(header: "Dataset", keyword: str) -> tuple[str, ...]:
    """The values of a tag as texts; none where they cannot be read."""
    try:
        value = header.get(keyword)
        if value is None:
            return ()
        values = [value] if isinstance(value, str) else list(value)
        return tuple(printable(str(one)) for one in values)
    except Exception:  # pydicom raises what it stumbles over
        return ()


def numbers_of(path: Path, header: "Dataset", keyword: str, count: int) -> tuple[float, ...]:
    """The numbers of a tag that must be there.

    Raises:
        VolumeError: They are missing, too few or many, or not finite.
    """

    def convert() -> tuple[float, ...]:
        value = header[keyword].value
        if value is None or value == "":
            raise VolumeError(f"{path}: its {keyword} is empty; copy or export it again")
        values = [value] if isinstance(value, (int, float, str)) else list(value)
        return tuple(float(one) for one in values)

    found = required(path, keyword, convert)
    if len(found) != count or not all(math.isfinite(one) for one in found):
        shown = ", ".join(f"{one:g}" for one in found[:8])
        raise VolumeError(
            f"{path}: expected {count} numbers as {keyword}, got {shown or 'none'}; copy or "
            "export it again"
        )
    return found


def required(path: Path, keyword: str, convert: Callable[[], _T]) -> _T:
    """A value that must be there.

    Raises:
        VolumeError: It is missing, or cannot be read.
    """
    try:
        return convert()
    except (KeyError, IndexError):
        raise VolumeError(f"{path}: has no {keyword}; copy or export it again") from None
    except VolumeError:
        raise
    except Exception as error:  # pydicom raises what it stumbles over
        said = printable(" ".join(str(error).split())[:80])
        raise VolumeError(
            f"{path}: {keyword} cannot be read ({said}); copy or export it again"
        ) from error
