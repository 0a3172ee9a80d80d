"""What all results have in common: who made them, what they are not for, and their files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renalseg.dicom.headers import CHARACTER_SET
from renalseg.dicom.source import SourceImages
from renalseg.errors import VolumeError
from renalseg.labels import Concept
from renalseg.volume.files import written_beside

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.sr.coding import Code

NAME = "renalseg"
MANUFACTURER = "The renalseg developers"
#: The standard wants one; software has none.
SERIAL_NUMBER = "none"
#: Every viewer shows it in its list of series; that name has at most 64 characters.
NOT_FOR_DIAGNOSIS = "not for diagnostic use"


class SeriesNumber(IntEnum):
    """Each kind of result is a series of its own, behind those of the scanner."""

    SEGMENTATION = 9001
    REPORT = 9002
    STRUCTURE_SET = 9003
    DOCUMENT = 9004


@dataclass(frozen=True)
class Algorithm:
    """What made a result.

    Attributes:
        version: Of renalseg.
        model: Name of the ensemble that was run, where it is known.
        corrected_by: The person who corrected its result.
    """

    version: str
    model: str = ""
    corrected_by: str = ""

    @property
    def kind(self) -> str:
        """As DICOM calls it: whether a person had a part in it."""
        return "SEMIAUTOMATIC" if self.corrected_by else "AUTOMATIC"

    @property
    def parameters(self) -> dict[str, str] | None:
        """As highdicom takes them."""
        return {"model": self.model} if self.model else None


def new_instance(what: str, number: SeriesNumber, algorithm: Algorithm) -> dict[str, Any]:
    """What highdicom's constructors take for a new instance, the only one of a new series.

    Args:
        what: Names the kind of result in the series's description.
        number: Of the series.
        algorithm: What made it.
    """
    from pydicom.uid import generate_uid

    return {
        "series_instance_uid": generate_uid(),
        "sop_instance_uid": generate_uid(),
        "series_number": int(number),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": NAME,
        "device_serial_number": SERIAL_NUMBER,
        "software_versions": algorithm.version,
        "series_description": f"{NAME} {what}, {NOT_FOR_DIAGNOSIS}",
        "specific_character_set": CHARACTER_SET,
    }


def bare_instance(
    source: SourceImages, sop_class: str, modality: str, syntax: str, **new: Any
) -> "Dataset":
    """An instance with patient, study, series and equipment, for kinds that highdicom lacks.

    Args:
        source: Whose patient and study it belongs to.
        sop_class: SOP Class UID.
        modality: Modality of the series.
        syntax: Transfer Syntax UID.
        **new: From :func:`new_instance`.
    """
    from highdicom.base import SOPClass

    instance = SOPClass(
        study_instance_uid=source.first.StudyInstanceUID,
        sop_class_uid=sop_class,
        modality=modality,
        transfer_syntax_uid=syntax,
        **new,
    )
    instance.copy_patient_and_study_information(source.first)
    return instance


@contextmanager
def kept_as_found() -> Iterator[None]:
    """Let names, identifiers and UIDs pass as the images have them, without a warning for each.

    An archive finds patient and study by them, whatever their form.
    """
    from pydicom import config

    with config.disable_value_validation():
        yield


def reference(image: "Dataset", frame: int | None = None) -> "Dataset":
    """An item of a sequence that refers to an image, or to one frame of it."""
    from pydicom import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID = image.SOPClassUID
    item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    if frame is not None:
        item.ReferencedFrameNumber = frame
    return item


def code(concept: Concept) -> "Code":
    """A concept as pydicom and highdicom write codes."""
    from pydicom.sr.coding import Code

    return Code(concept.value, concept.scheme, concept.meaning)


def save(instance: "Dataset", path: Path | str) -> None:
    """Write a DICOM file whole or not at all.

    Raises:
        VolumeError: It cannot be written; nothing half-written stays.
    """
    try:
        with written_beside(Path(path)) as beside:
            instance.save_as(beside, enforce_file_format=True)
    except OSError as error:
        reason = error.strerror or error
        raise VolumeError(f"{path}: cannot be written ({reason}); check folder and space") from None
