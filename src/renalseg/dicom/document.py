"""A PDF as a DICOM document (PS3.3 A.45.1), so that an archive keeps it with its study."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from renalseg import __version__
from renalseg.dicom.instance import (
    NOT_FOR_DIAGNOSIS,
    Algorithm,
    SeriesNumber,
    bare_instance,
    kept_as_found,
    new_instance,
    reference,
    save,
)
from renalseg.dicom.source import SourceImages, source_images
from renalseg.errors import VolumeError

if TYPE_CHECKING:
    from pydicom import Dataset

_ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
_EXPLICIT_VR = "1.2.840.10008.1.2.1"


def write_document(
    pdf: bytes,
    headers: "Sequence[Dataset]",
    path: Path | str,
    *,
    names_patient: bool = False,
    title: str = f"Kidney report ({NOT_FOR_DIAGNOSIS})",
    algorithm_version: str = __version__,
    model: str = "",
) -> "Dataset":
    """Write a PDF as a DICOM document.

    Args:
        pdf: The file's bytes.
        headers: Of the source images.
        path: Where to.
        names_patient: Whether its pages do.
        title: Of the document.
        algorithm_version: Of renalseg.
        model: Name of the ensemble that was run.

    Returns:
        What was written.

    Raises:
        VolumeError: It is no PDF, the headers do not say where the images are, or the file cannot
            be written.
    """
    if not pdf.startswith(b"%PDF-"):
        raise VolumeError(f"{path}: expected the bytes of a PDF, got {len(pdf)} others")
    with kept_as_found():
        source = source_images(headers)
        instance = _document(pdf, source, title, Algorithm(algorithm_version, model))
        instance.BurnedInAnnotation = "YES" if names_patient else "NO"
        save(instance, path)
    return instance


def _document(pdf: bytes, source: SourceImages, title: str, algorithm: Algorithm) -> "Dataset":
    new = new_instance("report (PDF)", SeriesNumber.DOCUMENT, algorithm)
    instance = bare_instance(source, _ENCAPSULATED_PDF, "DOC", _EXPLICIT_VR, **new)
    now = datetime.now()
    instance.ConversionType = "WSD"
    instance.ContentDate, instance.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    instance.AcquisitionDateTime = None
    instance.DocumentTitle = title
    instance.ConceptNameCodeSequence = []
    instance.SourceInstanceSequence = [reference(image) for image in source.images]
    instance.MIMETypeOfEncapsulatedDocument = "application/pdf"
    instance.EncapsulatedDocumentLength = len(pdf)
    instance.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return instance
