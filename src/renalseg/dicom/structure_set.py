"""Contours of kidneys and lesions as an RT Structure Set (PS3.3 A.19), in LPS, mm."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from renalseg import __version__
from renalseg.dicom.contours import Outline, outlines
from renalseg.dicom.instance import (
    NAME,
    NOT_FOR_DIAGNOSIS,
    Algorithm,
    SeriesNumber,
    bare_instance,
    kept_as_found,
    new_instance,
    reference,
    save,
)
from renalseg.dicom.segments import Segment, Segments, find_segments
from renalseg.dicom.source import Plane, SourceImages, source_images
from renalseg.labels import COLORS, CONCEPTS, Label
from renalseg.types import LabelArray
from renalseg.volume.boxes import bounding_box

if TYPE_CHECKING:
    from pydicom import Dataset

    from renalseg.clinical.records import Measurements

_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
#: Part of the standard for ever, though retired: what a set of contours refers to as its study.
_STUDY = "1.2.840.10008.3.1.2.3.1"
#: A contour's text may be longer than an explicit VR's 64 kB.
_IMPLICIT_VR = "1.2.840.10008.1.2"
#: Coordinates are written to a tenth of a micrometre.
_DECIMALS = 4


def write_structure_set(
    labels_on_source: LabelArray,
    headers: "Sequence[Dataset]",
    path: Path | str,
    *,
    measurements: "Measurements | None" = None,
    algorithm_version: str = __version__,
    model: str = "",
    corrected_by: str = "",
) -> "Dataset":
    """Write a label map's outlines as an RT Structure Set: contours on the source's own slices.

    A map without foreground is written too: as a region that says so, and has no contours.

    Args:
        labels_on_source: Label map: slice, row, column, as the headers and their pixels lie.
        headers: Of the source images.
        path: Where to.
        measurements: Of the same labels; lesions keep their numbers.
        algorithm_version: Of renalseg.
        model: Name of the ensemble that was run.
        corrected_by: The person who corrected the labels, if one did.

    Returns:
        What was written.

    Raises:
        VolumeError: The labels do not lie on the images, the headers do not say where these are,
            or the file cannot be written.
    """
    algorithm = Algorithm(algorithm_version, model, corrected_by)
    lesions = () if measurements is None else measurements.lesions
    with kept_as_found():
        source = source_images(headers)
        segments = find_segments(labels_on_source, source, lesions)
        instance = _structure_set(segments, source, algorithm)
        save(instance, path)
    return instance


def _structure_set(segments: Segments, source: SourceImages, algorithm: Algorithm) -> "Dataset":
    new = new_instance("contours", SeriesNumber.STRUCTURE_SET, algorithm)
    instance = bare_instance(source, _STRUCTURE_SET, "RTSTRUCT", _IMPLICIT_VR, **new)
    now = datetime.now()
    instance.FrameOfReferenceUID = source.first.FrameOfReferenceUID
    instance.PositionReferenceIndicator = source.first.PositionReferenceIndicator
    instance.OperatorsName = None
    instance.StructureSetLabel = "KIDNEY"
    instance.StructureSetName = f"{NAME}: kidneys, tumors and cysts"
    instance.StructureSetDescription = f"Research, {NOT_FOR_DIAGNOSIS}. {_made_by(algorithm)}"
    instance.StructureSetDate = now.strftime("%Y%m%d")
    instance.StructureSetTime = now.strftime("%H%M%S")
    instance.ApprovalStatus = "UNAPPROVED"
    instance.ReferencedFrameOfReferenceSequence = [_frame_of_reference(source)]
    instance.StructureSetROISequence = [
        _region(segment, number, source, algorithm)
        for number, segment in enumerate(segments.found, start=1)
    ]
    instance.ROIContourSequence = [
        _contours(segments, number, source) for number in range(1, len(segments.found) + 1)
    ]
    instance.RTROIObservationsSequence = [
        _observation(segment, number) for number, segment in enumerate(segments.found, start=1)
    ]
    return instance


def _made_by(algorithm: Algorithm) -> str:
    model = f", model {algorithm.model}" if algorithm.model else ""
    return f"Made by {NAME} {algorithm.version}{model}."


def _frame_of_reference(source: SourceImages) -> "Dataset":
    """Which images the contours lie on."""
    from pydicom import Dataset

    series = Dataset()
    series.SeriesInstanceUID = source.first.SeriesInstanceUID
    series.ContourImageSequence = [reference(image) for image in source.images]
    study = Dataset()
    study.ReferencedSOPClassUID = _STUDY
    study.ReferencedSOPInstanceUID = source.first.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = source.first.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    return frame


def _region(segment: Segment, number: int, source: SourceImages, algorithm: Algorithm) -> "Dataset":
    from pydicom import Dataset

    region = Dataset()
    region.ROINumber = number
    region.ReferencedFrameOfReferenceUID = source.first.FrameOfReferenceUID
    region.ROIName = segment.title
    region.ROIDescription = f"Research, {NOT_FOR_DIAGNOSIS}"
    region.ROIGenerationAlgorithm = algorithm.kind
    region.ROIGenerationDescription = _made_by(algorithm)[:64]
    return region


def _contours(segments: Segments, number: int, source: SourceImages) -> "Dataset":
    """All contours of one segment."""
    from pydicom import Dataset

    contours: list[Dataset] = []
    for plane, line in _lines(segments, number, source):
        contour = Dataset()
        contour.ContourImageSequence = [reference(plane.image, plane.frame)]
        contour.ContourGeometricType = "CLOSED_PLANAR"
        contour.NumberOfContourPoints = len(line)
        contour.ContourNumber = len(contours) + 1
        contour.ContourData = _decimals(placed(line, plane, source))
        contours.append(contour)
    region = Dataset()
    region.ROIDisplayColor = list(COLORS[segments.found[number - 1].label])
    if contours:
        region.ContourSequence = contours
    region.ReferencedROINumber = number
    return region


def _lines(
    segments: Segments, number: int, source: SourceImages
) -> Iterator[tuple[Plane, Outline]]:
    """The outlines of a segment, slice by slice along the normal."""
    box = bounding_box(segments.numbers == number)
    corner = [side.start for side in box[1:]]
    for place in source.order:
        if box[0].start <= place < box[0].stop:
            for line in outlines(segments.numbers[place, box[1], box[2]] == number):
                yield source.planes[place], line + corner


def placed(line: Outline, plane: Plane, source: SourceImages) -> np.ndarray:
    """Corners of a slice in the patient, LPS, mm."""
    steps = np.array([source.column_mm, source.row_mm])
    return np.asarray(plane.position_mm + line @ steps)


def _decimals(points: np.ndarray) -> list[str]:
    # plus zero, for there is no minus zero
    numbers = np.round(points, _DECIMALS).ravel() + 0.0
    return [f"{number:.{_DECIMALS}f}".rstrip("0").rstrip(".") for number in numbers]


def _observation(segment: Segment, number: int) -> "Dataset":
    """What the region is; a tumor gets no type, for all types of it speak of treatment."""
    from highdicom.sr import CodedConcept
    from pydicom import Dataset

    concept = CONCEPTS[segment.label]
    observation = Dataset()
    observation.ObservationNumber = number
    observation.ReferencedROINumber = number
    observation.RTROIInterpretedType = "ORGAN" if segment.label is Label.KIDNEY else ""
    observation.ROIInterpreter = None
    observation.RTROIIdentificationCodeSequence = [
        CodedConcept(concept.value, concept.scheme, concept.meaning)
    ]
    return observation
