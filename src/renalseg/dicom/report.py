"""Measurements as a DICOM structured report (PS3.16, TID 1500): a group per kidney and lesion."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renalseg import __version__
from renalseg.dicom import report_codes as terms
from renalseg.dicom.instance import (
    MANUFACTURER,
    NAME,
    SERIAL_NUMBER,
    Algorithm,
    SeriesNumber,
    code,
    kept_as_found,
    new_instance,
    save,
)
from renalseg.dicom.report_items import kidney_items, lesion_items, text
from renalseg.dicom.segments import kidney_title, lesion_title
from renalseg.dicom.source import SourceImages, source_images
from renalseg.labels import CATEGORIES, CONCEPTS, LATERALITIES, Label

if TYPE_CHECKING:
    from pydicom import Dataset

    from renalseg.clinical.records import KidneyRecord, LesionRecord, Measurements


def write_report(
    measurements: "Measurements",
    headers: "Sequence[Dataset]",
    segmentation: "Dataset | None",
    path: Path | str,
    *,
    algorithm_version: str = __version__,
    model: str = "",
) -> "Dataset":
    """Write measurements as a structured report.

    Each kidney and lesion refers to its segment, and to the source images of that. Where it has
    none it refers to the image that its middle is nearest to.

    Args:
        measurements: Of the segmentation.
        headers: Of the source images.
        segmentation: What ``write_segmentation`` wrote with the same measurements; None without.
        path: Where to.
        algorithm_version: Of renalseg.
        model: Name of the ensemble that was run.

    Returns:
        What was written.

    Raises:
        VolumeError: The headers do not say where the images are, or the file cannot be written.
    """
    algorithm = Algorithm(algorithm_version, model)
    with kept_as_found():
        instance = _report(measurements, source_images(headers), segmentation, algorithm)
        save(instance, path)
    return instance


def _report(
    measurements: "Measurements",
    source: SourceImages,
    segmentation: "Dataset | None",
    algorithm: Algorithm,
) -> "Dataset":
    from highdicom.sr import ComprehensiveSR, MeasurementReport
    from pydicom.sr.codedict import codes

    groups = _Groups(source, segmentation, algorithm)
    report = MeasurementReport(
        observation_context=_observer(algorithm),
        procedure_reported=codes.cid100.CTUnspecifiedBodyRegion,
        imaging_measurements=groups.of(measurements),
        title=codes.cid7021.ImagingMeasurementReport,
    )
    for words in (measurements.notice, *measurements.notes):
        report[0].ContentSequence.append(text(terms.COMMENT, words))
    return ComprehensiveSR(
        evidence=[*source.images, *([] if segmentation is None else [segmentation])],
        content=report,
        coding_schemes=[terms.coding_scheme()],
        **new_instance("measurements", SeriesNumber.REPORT, algorithm),
    )


def _observer(algorithm: Algorithm) -> Any:
    """The software, as the device that observed."""
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    device = DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[NAME, algorithm.version]),
        name=NAME,
        manufacturer_name=MANUFACTURER,
        model_name=f"{NAME} {algorithm.version}",
        serial_number=SERIAL_NUMBER,
    )
    return ObservationContext(ObserverContext(codes.DCM.Device, device))


class _Groups:
    """Measurement groups, all of one report."""

    def __init__(
        self, source: SourceImages, segmentation: "Dataset | None", algorithm: Algorithm
    ) -> None:
        self._source = source
        self._segmentation = segmentation
        self._algorithm = algorithm
        found = [] if segmentation is None else segmentation.SegmentSequence
        self._segments = {segment.TrackingID: segment for segment in found}

    def of(self, measurements: "Measurements") -> list[Any]:
        """Kidneys, then lesions; one that says so where there is neither."""
        groups = [self._kidney(kidney) for kidney in measurements.kidneys]
        groups += [self._lesion(lesion) for lesion in measurements.lesions]
        return groups or [self._nothing()]

    def _kidney(self, record: "KidneyRecord") -> Any:
        numbers, words = kidney_items(record)
        place = record.centroid.mm
        return self._group(kidney_title(record), Label.KIDNEY, record.side, place, numbers, words)

    def _lesion(self, record: "LesionRecord") -> Any:
        numbers, words = lesion_items(record)
        title = lesion_title(record.number, record.label, record.side)
        label, place = Label[record.label.upper()], record.centroid.mm
        return self._group(title, label, record.side, place, numbers, words)

    def _group(
        self,
        title: str,
        label: Label,
        side: str,
        place_mm: Sequence[float],
        numbers: list[Any],
        words: list[Any],
    ) -> Any:
        from highdicom import sr
        from pydicom.uid import generate_uid

        segment = self._segments.get(title)
        uid = generate_uid() if segment is None else segment.TrackingUID
        common: dict[str, Any] = {
            "tracking_identifier": sr.TrackingIdentifier(uid, title),
            "finding_type": code(CONCEPTS[label]),
            "finding_category": code(CATEGORIES[label]),
            "finding_sites": [
                sr.FindingSite(code(CONCEPTS[Label.KIDNEY]), laterality=code(LATERALITIES[side]))
            ],
            "algorithm_id": self._algorithm_id(),
            "measurements": numbers,
        }
        group: Any
        if segment is None or self._segmentation is None:
            group = sr.MeasurementsAndQualitativeEvaluations(
                source_images=[self._nearest_image(place_mm)], **common
            )
        else:
            group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
                referenced_segment=sr.ReferencedSegment.from_segmentation(
                    self._segmentation, segment.SegmentNumber
                ),
                **common,
            )
        group[0].ContentSequence.extend(words)
        return group

    def _algorithm_id(self) -> Any:
        from highdicom.sr import AlgorithmIdentification

        parameters = self._algorithm.parameters or {}
        return AlgorithmIdentification(
            NAME,
            self._algorithm.version,
            parameters=[f"{name}={value}" for name, value in parameters.items()] or None,
        )

    def _nearest_image(self, place_mm: Sequence[float]) -> Any:
        from highdicom.sr import SourceImageForMeasurementGroup

        plane = self._source.nearest(place_mm)
        return SourceImageForMeasurementGroup(
            plane.image.SOPClassUID,
            plane.image.SOPInstanceUID,
            None if plane.frame is None else [plane.frame],
        )

    def _nothing(self) -> Any:
        from highdicom import sr
        from pydicom.uid import generate_uid

        group = sr.MeasurementsAndQualitativeEvaluations(
            sr.TrackingIdentifier(generate_uid(), "No finding"), algorithm_id=self._algorithm_id()
        )
        group[0].ContentSequence.append(text(terms.COMMENT, "No kidney and no lesion was found."))
        return group
