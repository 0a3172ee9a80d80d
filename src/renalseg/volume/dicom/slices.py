"""Where each slice of a series lies, as its header says.

DICOM's coordinates are LPS+ (x to the patient's left, y to the back, z to the head), mm, and stay
so until ``stack`` makes an affine of them. Image Orientation (Patient) holds the direction of a row
(towards the next column) and then that of a column (towards the next row); Pixel Spacing the
distance between rows, then that between columns.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import AnyArray
from renalseg.volume.dicom.header import numbers_of, required, text_of, whole_of

if TYPE_CHECKING:
    from pydicom import Dataset

    from renalseg.volume.dicom.info import Found

#: Directions this close to unit length and right angles are what rounding left of such.
_NOT_UNIT = 1e-2
#: Slices are parallel, and their pixels of one size, up to rounding.
_SAME = 1e-4
#: No scanner is 10 m large, none has pixels of 100 mm, and no rescale to HU has such numbers.
_FAR_MM, _COARSE_MM, _FINE_MM, _STEEP = 1e4, 100.0, 1e-3, 1e5


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
        slope: HU = slope x stored value + intercept.
        intercept: The same.
        rescaled: Whether its header gives slope and intercept.
        thickness_mm: Nominal; None where the header has none.
    """

    path: Path
    frame: int
    position_mm: AnyArray
    directions: AnyArray
    spacing_mm: tuple[float, float]
    shape: tuple[int, int]
    slope: float
    intercept: float
    rescaled: bool
    thickness_mm: float | None


def slices_of(found: "Found", path: Path) -> tuple[Slice, ...]:
    """The slices of a series, in the order of files and frames.

    Args:
        found: The series.
        path: Named in errors that are about the whole.

    Raises:
        VolumeError: A header does not say where its slice lies, or slices do not belong together.
    """
    many = [file for file, header in found.headers if _is_multi_frame(header)]
    if many and len(found.headers) > 1:
        raise VolumeError(
            f"{path}: series {found.info} holds {len(found.headers)} files of which {many[0].name} "
            "has many frames; give that file alone"
        )
    slices = tuple(
        one
        for file, header in found.headers
        for one in (_frames(file, header) if many else [_single(file, header)])
    )
    _check_alike(found, slices, path)
    return slices


def _is_multi_frame(header: "Dataset") -> bool:
    frames = whole_of(header, "NumberOfFrames") or 1
    return frames > 1 or "PerFrameFunctionalGroupsSequence" in header


def _single(path: Path, header: "Dataset") -> Slice:
    return _slice(path, 0, dict.fromkeys(_GROUPS, header), header)


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
        slices.append(_slice(path, number, holders, header))
    return slices


_SHARED = "SharedFunctionalGroupsSequence"


def _slice(path: Path, frame: int, holders: "dict[str, Dataset]", header: "Dataset") -> Slice:
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
    rescale = holders["PixelValueTransformationSequence"]
    rescaled = "RescaleSlope" in rescale and "RescaleIntercept" in rescale
    slope, intercept = 1.0, 0.0
    if rescaled:
        (slope,) = numbers_of(path, rescale, "RescaleSlope", 1)
        (intercept,) = numbers_of(path, rescale, "RescaleIntercept", 1)
    if not (0 < abs(slope) < _STEEP and abs(intercept) < _STEEP):
        raise VolumeError(
            f"{path}: expected a rescale to HU such as 1, -1024, got {slope:g}, {intercept:g}; "
            "export it again"
        )
    return Slice(
        path=path,
        frame=frame,
        position_mm=np.array(position),
        directions=_directions(path, holders["PlaneOrientationSequence"]),
        spacing_mm=(between_rows, between_columns),
        shape=(_size(path, header, "Rows"), _size(path, header, "Columns")),
        slope=slope,
        intercept=intercept,
        rescaled=rescaled,
        thickness_mm=_thickness(measures),
    )


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


def _check_alike(found: "Found", slices: Sequence[Slice], path: Path) -> None:
    """Refuse slices of several scans under one series's name.

    Raises:
        VolumeError: They are; it names the first file that differs from most.
    """
    kinds = {
        "rows x columns:": [f"{one.shape[0]} x {one.shape[1]}" for one in slices],
        "rescaled to HU:": ["yes" if one.rescaled else "no" for one in slices],
    }
    for what, told in kinds.items():
        usual, count = Counter(told).most_common(1)[0]
        if count < len(told):
            odd = next(i for i, one in enumerate(told) if one != usual)
            raise _mixed(found, path, slices[odd], f"{what} {told[odd]}, of others {usual}")
    measured = {
        "orientation": np.array([one.directions.ravel() for one in slices]),
        "pixel spacing": np.array([one.spacing_mm for one in slices]),
    }
    for what, array in measured.items():
        middle = np.median(array, axis=0)
        apart = np.abs(array - middle).max(axis=1)
        odd = int(np.argmax(apart))
        if apart[odd] > _SAME:
            got, usual = (", ".join(f"{x:.4g}" for x in row) for row in (array[odd], middle))
            raise _mixed(found, path, slices[odd], f"{what} {got}, of others {usual}")
    frames = [text_of(header, "FrameOfReferenceUID") for _, header in found.headers]
    usual = Counter(frames).most_common(1)[0][0]
    for one, frame in zip(slices, frames, strict=False):  # of a multi-frame image, one
        if frame != usual:
            raise _mixed(found, path, one, "a frame of reference of its own")


def _mixed(found: "Found", path: Path, odd: Slice, told: str) -> VolumeError:
    name = f"{odd.path.name} frame {odd.frame + 1}" if odd.frame else odd.path.name
    return VolumeError(
        f"{path}: series {found.info} is mixed: {name} has {told}; give one scan alone"
    )
