"""Where each slice of a series lies, as its header says.

DICOM's coordinates are LPS+ (x to the patient's left, y to the back, z to the head), mm, and stay
so until ``stack`` makes an affine of them. Image Orientation (Patient) holds the direction of a row
(towards the next column) and then that of a column (towards the next row); Pixel Spacing the
distance between rows, then that between columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import AnyArray
from renalseg.volume.dicom.header import numbers_of, required, text_of, whole_of
from renalseg.volume.dicom.rescale import Rescale, rescale_of

if TYPE_CHECKING:
    from pydicom import Dataset

    from renalseg.volume.dicom.info import Found

#: Directions this close to unit length and right angles are what rounding left of such.
_NOT_UNIT = 1e-2
#: No scanner is 10 m large, and none has pixels of 100 mm.
_FAR_MM, _COARSE_MM, _FINE_MM = 1e4, 100.0, 1e-3


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice of a series: an image, or a frame of one.

    Attributes:
        path: The file.
        frame: Its place in the file, from 0.
        position_mm: Centre of its first pixel.
        directions: Unit vectors along a row, then along a column; at right angles.
        spacing_mm: Between rows, between columns.
        shape: Rows, columns.
        rescale: How its stored values become HU.
        thickness_mm: Nominal; None where the header has none.
        marks: What tells passes over one place apart, by keyword; without what is empty.
    """

    path: Path
    frame: int
    position_mm: AnyArray
    directions: AnyArray
    spacing_mm: tuple[float, float]
    shape: tuple[int, int]
    rescale: Rescale
    thickness_mm: float | None
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The file's name, and the frame's number."""
        return f"{self.path.name} frame {self.frame + 1}" if self.frame else self.path.name


def slices_of(found: "Found", path: Path) -> tuple[Slice, ...]:
    """The slices of a series, in the order of files and frames.

    Args:
        found: The series.
        path: Named in errors that are about the whole.

    Raises:
        VolumeError: A header does not say where its slice lies.
    """
    many = [file for file, header in found.headers if is_multi_frame(header)]
    single = [file for file, header in found.headers if not is_multi_frame(header)]
    if many and single:
        raise VolumeError(
            f"{path}: series {found.info} holds files of one frame ({single[0].name}) and of many "
            f"({many[0].name}); give one kind alone"
        )
    return tuple(
        one
        for file, header in found.headers
        for one in (_frames(file, header) if many else [_single(file, header)])
    )


def is_multi_frame(header: "Dataset") -> bool:
    """Whether a file's frames each have a place of their own, as those of an Enhanced CT."""
    frames = whole_of(header, "NumberOfFrames") or 1
    return frames > 1 or "PerFrameFunctionalGroupsSequence" in header


def _single(path: Path, header: "Dataset") -> Slice:
    return _slice(path, 0, dict.fromkeys(_GROUPS, header), header)


#: Headers' values that differ between passes over the same places, the surest first.
MARKS = (
    *("TemporalPositionIdentifier", "AcquisitionNumber", "AcquisitionDateTime"),
    *("AcquisitionTime", "ContentTime", "ConvolutionKernel", "KVP", "InstanceNumber"),
)
_OF_FRAME = {
    "TemporalPositionIdentifier": "TemporalPositionIndex",
    "AcquisitionNumber": "FrameAcquisitionNumber",
    "AcquisitionDateTime": "FrameAcquisitionDateTime",
}
#: Where an Enhanced CT image keeps what single images have at the top.
_GROUPS = {
    "PlanePositionSequence": "ImagePositionPatient",
    "PlaneOrientationSequence": "ImageOrientationPatient",
    "PixelMeasuresSequence": "PixelSpacing",
    "PixelValueTransformationSequence": "RescaleSlope",
}


def _frames(path: Path, header: "Dataset") -> list[Slice]:
    count = required(path, "NumberOfFrames", lambda: int(header["NumberOfFrames"].value))
    keyword = "PerFrameFunctionalGroupsSequence"
    frames = required(path, keyword, lambda: list(header[keyword].value))
    if count != len(frames):
        raise VolumeError(
            f"{path}: says that it has {count} frames and places {len(frames)}; export it again"
        )
    shared = required(path, "functional groups", lambda: list(header.get(_SHARED) or ())[:1])
    slices = []
    for number, frame in enumerate(frames):

        def find(sequence: str, groups: "Sequence[Dataset]" = (frame, *shared)) -> "Dataset":
            holder = next(group for group in groups if sequence in group)
            return holder[sequence].value[0]  # type: ignore[no-any-return]

        holders = {}
        for sequence, keyword in _GROUPS.items():
            try:
                holders[sequence] = find(sequence)
            except (StopIteration, IndexError):
                if keyword != "RescaleSlope":
                    raise VolumeError(
                        f"{path}: frame {number + 1} has no {keyword}; export it again"
                    ) from None
                holders[sequence] = header
            except Exception as error:  # pydicom raises what it stumbles over
                raise VolumeError(
                    f"{path}: {sequence} of frame {number + 1} cannot be read; export it again"
                ) from error
        slices.append(_slice(path, number, holders, header, frame))
    return slices


_SHARED = "SharedFunctionalGroupsSequence"


def _slice(
    path: Path,
    frame: int,
    holders: "dict[str, Dataset]",
    header: "Dataset",
    group: "Dataset | None" = None,
) -> Slice:
    position = numbers_of(path, holders["PlanePositionSequence"], "ImagePositionPatient", 3)
    measures = holders["PixelMeasuresSequence"]
    between_rows, between_columns = numbers_of(path, measures, "PixelSpacing", 2)
    if not all(_FINE_MM <= mm <= _COARSE_MM for mm in (between_rows, between_columns)):
        raise VolumeError(
            f"{path}: expected pixels of about 1 mm, got a PixelSpacing of {between_rows:g}, "
            f"{between_columns:g}; export it again"
        )
    if max(map(abs, position)) > _FAR_MM:
        raise VolumeError(
            f"{path}: its ImagePositionPatient lies {max(map(abs, position)) / 1000:.3g} m away; "
            "export it again"
        )
    return Slice(
        path=path,
        frame=frame,
        position_mm=np.array(position),
        directions=_directions(path, holders["PlaneOrientationSequence"]),
        spacing_mm=(between_rows, between_columns),
        shape=(_size(path, header, "Rows"), _size(path, header, "Columns")),
        rescale=rescale_of(path, holders["PixelValueTransformationSequence"], header),
        thickness_mm=_thickness(measures),
        marks=_marks(header, group),
    )


def _marks(header: "Dataset", group: "Dataset | None") -> dict[str, str]:
    """What may tell passes apart, of the image and of the frame."""
    marks = {keyword: text_of(header, keyword) for keyword in MARKS}
    content = (group.get("FrameContentSequence") if group is not None else None) or ()
    for item in content:
        for keyword, of_frame in _OF_FRAME.items():
            marks[keyword] = text_of(item, of_frame) or marks[keyword]
    return {keyword: text for keyword, text in marks.items() if text}


def _size(path: Path, header: "Dataset", keyword: str) -> int:
    size = required(path, keyword, lambda: int(header[keyword].value))
    if size <= 0:
        raise VolumeError(f"{path}: has no {keyword.lower()}; export it again")
    return size


def _directions(path: Path, holder: "Dataset") -> AnyArray:
    numbers = numbers_of(path, holder, "ImageOrientationPatient", 6)
    row, column = np.clip(np.reshape(numbers, (2, 3)), -2, 2)  # so that squares stay finite
    length, height = float(np.linalg.norm(row)), float(np.linalg.norm(column))
    if max(abs(length - 1), abs(height - 1), abs(float(row @ column))) > _NOT_UNIT:
        raise VolumeError(
            f"{path}: ImageOrientationPatient is no pair of unit vectors at right angles; export "
            "it again"
        )
    row = row / length
    column = column - (row @ column) * row
    return np.stack([row, column / np.linalg.norm(column)])


def _thickness(measures: "Dataset") -> float | None:
    try:
        found = float(measures["SliceThickness"].value)
    except Exception:  # not there, or not a number
        return None
    return found if 0 < found < 1000 else None
