"""The label map as a DICOM Segmentation (PS3.3 A.51): binary, one segment per kidney and lesion."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renalseg import __version__
from renalseg.dicom.instance import (
    MANUFACTURER,
    NAME,
    NOT_FOR_DIAGNOSIS,
    Algorithm,
    SeriesNumber,
    code,
    kept_as_found,
    new_instance,
    reference,
    save,
)
from renalseg.dicom.segments import NOTHING, Segment, Segments, find_segments
from renalseg.dicom.source import SourceImages, source_images
from renalseg.labels import CATEGORIES, COLORS, CONCEPTS, LATERALITIES, Label
from renalseg.types import LabelArray

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription
    from pydicom import Dataset

    from renalseg.clinical.records import Measurements


def write_segmentation(
    labels_on_source: LabelArray,
    headers: "Sequence[Dataset]",
    path: Path | str,
    *,
    measurements: "Measurements | None" = None,
    algorithm_version: str = __version__,
    model: str = "",
    corrected_by: str = "",
) -> "Dataset":
    """Write a label map as a DICOM Segmentation.

    A map without foreground is written too: as a segment that says so, and is empty.

    Args:
        labels_on_source: Label map: slice, row, column, as the headers and their pixels lie.
        headers: Of the source images.
        path: Where to.
        measurements: Of the same labels; lesions keep their numbers.
        algorithm_version: Of renalseg.
        model: Name of the ensemble that was run.
        corrected_by: The person who corrected the labels, if one did.

    Returns:
        What was written; a report can refer to it.

    Raises:
        VolumeError: The labels do not lie on the images, the headers do not say where these are,
            or the file cannot be written.
    """
    algorithm = Algorithm(algorithm_version, model, corrected_by)
    lesions = () if measurements is None else measurements.lesions
    with kept_as_found():
        source = source_images(headers)
        segments = find_segments(labels_on_source, source, lesions)
        instance = _segmentation(segments, source, algorithm)
        save(instance, path)
    return instance


def _segmentation(segments: Segments, source: SourceImages, algorithm: Algorithm) -> "Dataset":
    from highdicom import PixelMeasuresSequence, PlanePositionSequence
    from highdicom.seg import Segmentation

    numbers = segments.numbers
    more: dict[str, Any] = {}
    is_empty = not numbers.any()
    if is_empty:  # one frame, for none is not allowed, and one of every slice would be large
        numbers = numbers[:1]
        more["plane_positions"] = [
            PlanePositionSequence("PATIENT", source.planes[0].position_mm.tolist())
        ]
    instance = Segmentation(
        source_images=_as_one(source),
        pixel_array=numbers,
        segmentation_type="BINARY",
        segment_descriptions=[
            _description(segment, number, algorithm)
            for number, segment in enumerate(segments.found, start=1)
        ],
        pixel_measures=PixelMeasuresSequence(
            source.pixel_spacing_mm, source.thickness_mm, source.step_mm
        ),
        omit_empty_frames=not is_empty,
        content_label="KIDNEY",
        content_creator_name=_person(algorithm.corrected_by),
        content_description=f"Kidneys, tumors and cysts: {NOT_FOR_DIAGNOSIS}",
        **more,
        **new_instance("segmentation", SeriesNumber.SEGMENTATION, algorithm),
    )
    if source.is_split:
        _refer_to_each(instance, source)
    _identify_each_frame(instance)
    return instance


def _as_one(source: SourceImages) -> "Sequence[Dataset]":
    """The images as highdicom takes them: of several multi-frame ones, one with all frames."""
    from pydicom import Dataset

    if not source.is_split:
        return source.images
    whole = Dataset()
    whole.update(source.first)
    whole.PerFrameFunctionalGroupsSequence = [
        frame for image in source.images for frame in image.PerFrameFunctionalGroupsSequence
    ]
    whole.NumberOfFrames = len(source.planes)
    return [whole]


def _refer_to_each(instance: "Dataset", source: SourceImages) -> None:
    """Name the image that each frame lies in, and its number there."""
    images = {
        id(image): image  # segments of one slice share an item
        for frame in instance.PerFrameFunctionalGroupsSequence
        for derivation in frame.get("DerivationImageSequence", ())
        for image in derivation.SourceImageSequence
    }
    for image in images.values():
        plane = source.planes[int(image.ReferencedFrameNumber) - 1]
        image.ReferencedSOPInstanceUID = plane.image.SOPInstanceUID
        image.ReferencedFrameNumber = plane.frame
    (series,) = instance.ReferencedSeriesSequence
    series.ReferencedInstanceSequence = [reference(image) for image in source.images]


def _identify_each_frame(instance: "Dataset") -> None:
    """Have every frame name its segment, also where there is one segment alone.

    highdicom then names it once for all frames. The standard allows both; readers, highdicom's own
    structured reports among them, look for it in each frame.
    """
    (shared,) = instance.SharedFunctionalGroupsSequence
    if "SegmentIdentificationSequence" in shared:
        for frame in instance.PerFrameFunctionalGroupsSequence:
            frame.SegmentIdentificationSequence = deepcopy(shared.SegmentIdentificationSequence)
        del shared.SegmentIdentificationSequence


def _person(name: str) -> str | None:
    """As DICOM writes names: the caret says that there is one part on purpose."""
    return (name if "^" in name else f"{name[:60]}^") if name else None


def _description(segment: Segment, number: int, algorithm: Algorithm) -> "SegmentDescription":
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    is_kidney = segment.label is Label.KIDNEY
    description = SegmentDescription(
        segment_number=number,
        segment_label=segment.title,
        segmented_property_category=code(CATEGORIES[segment.label]),
        segmented_property_type=code(CONCEPTS[segment.label]),
        algorithm_type=algorithm.kind,
        algorithm_identification=AlgorithmIdentificationSequence(
            NAME,
            codes.cid7162.ArtificialIntelligence,
            algorithm.version,
            source=MANUFACTURER,
            parameters=algorithm.parameters,
        ),
        tracking_uid=generate_uid(),
        tracking_id=segment.title,
        anatomic_regions=None if is_kidney else [code(CONCEPTS[Label.KIDNEY])],
        display_color=CIELabColor.from_rgb(*COLORS[segment.label]),
    )
    description.SegmentDescription = NOTHING if segment.side is None else NOT_FOR_DIAGNOSIS
    if segment.side is not None:
        side = CodedConcept.from_code(code(LATERALITIES[segment.side]))
        if is_kidney:
            kind = description.SegmentedPropertyTypeCodeSequence[0]
            kind.SegmentedPropertyTypeModifierCodeSequence = [side]
        else:
            description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [side]
    return description
