"""Headers of CT images made complete enough for a result to refer to them.

Archives and anonymisers leave tags empty, and a result must still say whose it is and refer to its
images. What is missing is left empty where the standard allows that. A missing UID is derived from
those that are there, so that all results about a series say the same.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from renalseg.errors import VolumeError

if TYPE_CHECKING:
    from pydicom import Dataset

#: Results are written in UTF-8, whatever the images are written in.
CHARACTER_SET = "ISO_IR 192"

_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
#: Type 1 or 2 in every result; empty where the images have none.
_WANTED = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "PositionReferenceIndicator",
)  # fmt: skip
#: What an image after the first needs to be placed and referred to.
_OF_EACH_IMAGE = (
    "SOPClassUID", "SOPInstanceUID", "Modality", "Rows", "Columns", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "InstanceNumber", "NumberOfFrames",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
#: Kinds of values whose form is checked; names, identifiers and UIDs are kept as they are.
_CHECKED = ("AS", "CS", "DA", "DS", "DT", "IS", "TM")
_SEXES = ("M", "F", "O")
#: Groups of elements from here on are pixels and what is laid over them.
_PIXELS = 0x5400


def complete(headers: Sequence["Dataset"]) -> tuple["Dataset", ...]:
    """Copies with all that results need; the first in full, the others to be referred to.

    Args:
        headers: One per image; nothing is changed in them.

    Raises:
        VolumeError: One has no SOP Instance UID.
    """
    from pydicom import Dataset
    from pydicom.uid import generate_uid

    instances = [_instance_uid(header) for header in headers]
    first = _readable(headers[0])
    series = first.get("SeriesInstanceUID") or generate_uid(entropy_srcs=["series", *instances])
    uids = {
        "SeriesInstanceUID": series,
        "StudyInstanceUID": first.get("StudyInstanceUID") or _derived("study", series),
        "FrameOfReferenceUID": first.get("FrameOfReferenceUID") or _derived("frame", series),
    }
    images = [first]
    for header in headers[1:]:
        image = Dataset()
        for keyword in _OF_EACH_IMAGE:
            if keyword in header:
                image[keyword] = deepcopy(header[keyword])
        images.append(image)
    for image, instance in zip(images, instances, strict=True):
        image.SOPClassUID = image.get("SOPClassUID") or _CT_IMAGE
        image.SOPInstanceUID = instance
        for keyword, uid in uids.items():
            setattr(image, keyword, uid)
        image.Modality = image.get("Modality") or "CT"
        for keyword in _WANTED:
            setattr(image, keyword, image.get(keyword) or None)
    return tuple(images)


def _readable(header: "Dataset") -> "Dataset":
    """A copy without private tags and pixels, its text decoded, malformed values left out."""
    from pydicom import Dataset

    image = Dataset()
    for tag in header.keys():  # noqa: SIM118  (a data set iterates over elements)
        if tag.is_private or tag.group >= _PIXELS or not _is_well_formed(header, tag):
            continue
        image[tag] = deepcopy(header[tag])
    image.decode()
    if image.get("PatientSex") not in _SEXES:
        image.PatientSex = None
    image.SpecificCharacterSet = CHARACTER_SET
    return image


def _is_well_formed(header: "Dataset", tag: Any) -> bool:
    """Whether an element can be read, and its values have the form that its kind must have."""
    from pydicom import config
    from pydicom.valuerep import validate_value

    try:
        found = header[tag]
        is_place = found.keyword in _OF_EACH_IMAGE
        if found.VR in _CHECKED and not is_place and not found.is_empty:
            for value in found.value if found.VM > 1 else (found.value,):
                validate_value(found.VR, str(value), config.RAISE)
    except (NotImplementedError, TypeError, ValueError):
        return False
    return str(found.VR) != "UN"


def _instance_uid(header: "Dataset") -> str:
    found = header.get("SOPInstanceUID") or _from_meta(header)
    if not found:
        raise VolumeError(
            "expected a SOP Instance UID in every source image, got none; export the series again"
        )
    return str(found)


def _from_meta(header: "Dataset") -> str | None:
    meta = getattr(header, "file_meta", None)
    return None if meta is None else meta.get("MediaStorageSOPInstanceUID")


def _derived(what: str, series: str) -> str:
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=[what, str(series)]))
