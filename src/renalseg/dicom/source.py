"""The CT images that a result is about, and where each of their slices lies.

DICOM's coordinates are LPS, mm; affines here are RAS+ like everywhere in the package.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from renalseg.dicom.headers import complete
from renalseg.errors import VolumeError
from renalseg.types import Affine, AnyArray

if TYPE_CHECKING:
    from pydicom import Dataset

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Directions that differ by less than this in each component are equal.
_EQUAL_TURNS = 1e-3
#: Steps between slices that differ by less than this, as headers round them, are equal.
_EQUAL_STEPS_MM = 0.01


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice of the source.

    Attributes:
        image: The header that it belongs to.
        frame: Its number within a multi-frame image, from 1; None for a single-frame image.
        position_mm: Centre of its first pixel, LPS.
    """

    image: "Dataset"
    frame: int | None
    position_mm: AnyArray


@dataclass(frozen=True, eq=False)
class SourceImages:
    """The images that a result is about.

    Attributes:
        images: Complete headers: one per slice, or one per multi-frame image.
        planes: One per slice, in the order of the headers and of their frames.
        row_mm: Step from one pixel to the next along a row (to the next column), LPS.
        column_mm: The same along a column (to the next row).
        thickness_mm: Nominal thickness of a slice.
    """

    images: tuple["Dataset", ...]
    planes: tuple[Plane, ...]
    row_mm: AnyArray
    column_mm: AnyArray
    thickness_mm: float

    @property
    def first(self) -> "Dataset":
        """The header that patient and study are taken from."""
        return self.images[0]

    @property
    def is_split(self) -> bool:
        """Whether there are several multi-frame images."""
        return len(self.images) > 1 and self.planes[0].frame is not None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return len(self.planes), int(self.first.Rows), int(self.first.Columns)

    @property
    def pixel_spacing_mm(self) -> list[float]:
        """Pixel Spacing: between rows, between columns."""
        return [float(np.linalg.norm(self.column_mm)), float(np.linalg.norm(self.row_mm))]

    @property
    def step_mm(self) -> float | None:
        """Distance between neighbouring slices along their normal; None where it differs."""
        normal = np.cross(self.row_mm, self.column_mm)
        normal /= np.linalg.norm(normal)
        steps = np.diff([float(self.planes[i].position_mm @ normal) for i in self.order])
        is_one = steps.size and float(np.ptp(steps)) < _EQUAL_STEPS_MM
        return float(steps.mean()) if is_one else None

    @cached_property
    def order(self) -> AnyArray:
        """The slices' numbers, sorted along their normal."""
        normal = np.cross(self.row_mm, self.column_mm)
        return np.argsort([float(plane.position_mm @ normal) for plane in self.planes])

    @property
    def sorted_affine(self) -> Affine:
        """Index (slice in ``order``, row, column) to RAS+, mm; the mean step where steps differ."""
        positions = np.array([self.planes[i].position_mm for i in self.order])
        normal = np.cross(self.row_mm, self.column_mm)
        step = normal / np.linalg.norm(normal) * self.thickness_mm
        if len(positions) > 1:
            step = (positions[-1] - positions[0]) / (len(positions) - 1)
        affine = np.eye(4)
        affine[:3, :3] = np.column_stack([step, self.column_mm, self.row_mm])
        affine[:3, 3] = positions[0]
        return np.asarray(_LPS_TO_RAS @ affine)

    def nearest(self, place_mm: Sequence[float]) -> Plane:
        """The slice that a place in the patient (RAS+, mm) is nearest to."""
        normal = np.cross(self.row_mm, self.column_mm)
        height = float(_LPS_TO_RAS[:3, :3] @ place_mm @ normal)
        return min(self.planes, key=lambda plane: abs(float(plane.position_mm @ normal) - height))

    def check(self, labels: AnyArray) -> None:
        """Refuse a label map that does not lie on the images' own pixels.

        Raises:
            VolumeError: It has another shape.
        """
        if labels.shape != self.shape:
            raise VolumeError(
                f"expected labels on the source images, {self.shape} (slice, row, column), got "
                f"{labels.shape}; bring them there with Series.on_source"
            )


def source_images(headers: Sequence["Dataset"]) -> SourceImages:
    """Complete the headers of a series, and place its slices.

    Args:
        headers: One per image, all single-frame or all multi-frame; pixel data is not looked at,
            and nothing is changed in them.

    Raises:
        VolumeError: There is none, or they do not place their slices.
    """
    if not headers:
        raise VolumeError("expected the headers of a CT series, got none")
    images = complete(headers)
    try:
        many = "PerFrameFunctionalGroupsSequence" in images[0]
        return _multi_frame(images) if many else _single_frames(images)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise VolumeError(
            f"series {images[0].SeriesInstanceUID}: expected headers that place every slice "
            f"(position, orientation, pixel spacing), got {error}; export the series again"
        ) from error


def _single_frames(images: tuple["Dataset", ...]) -> SourceImages:
    planes = tuple(Plane(i, None, np.array(i.ImagePositionPatient, float)) for i in images)
    first = images[0]
    _same_orientation(images, images)
    return _placed(images, planes, first.ImageOrientationPatient, first)


def _multi_frame(images: tuple["Dataset", ...]) -> SourceImages:
    planes, orientations = [], []
    for image in images:
        shared = image.SharedFunctionalGroupsSequence[0]
        for number, frame in enumerate(image.PerFrameFunctionalGroupsSequence, start=1):
            place = _group("PlanePositionSequence", frame, shared).ImagePositionPatient
            planes.append(Plane(image, number, np.array(place, float)))
            orientations.append(_group("PlaneOrientationSequence", frame, shared))
    _same_orientation(orientations, [])
    # highdicom looks for them where all frames share them
    shared = images[0].SharedFunctionalGroupsSequence[0]
    first = images[0].PerFrameFunctionalGroupsSequence[0]
    for name in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        shared[name] = (first if name in first else shared)[name]
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    return _placed(images, tuple(planes), orientation, shared.PixelMeasuresSequence[0])


def _group(name: str, frame: "Dataset", shared: "Dataset") -> "Dataset":
    """The functional group of a frame, its own or the one that all share."""
    return (frame if name in frame else shared)[name][0]  # type: ignore[no-any-return]


def _same_orientation(placed: Sequence["Dataset"], images: Sequence["Dataset"]) -> None:
    """Refuse slices that are turned against each other; round differently they may be."""
    first = placed[0].ImageOrientationPatient
    for one in placed:
        if not np.allclose(np.array(one.ImageOrientationPatient, float), first, atol=_EQUAL_TURNS):
            raise ValueError("slices of several orientations")
    for image in images:
        image.ImageOrientationPatient = first


def _placed(
    images: tuple["Dataset", ...], planes: tuple[Plane, ...], orientation: Any, measures: "Dataset"
) -> SourceImages:
    row, column = np.array(orientation, float).reshape(2, 3)
    between_rows, between_columns = (float(s) for s in measures.PixelSpacing)
    thickness = float(measures.get("SliceThickness") or 0)
    if not thickness:
        normal = np.cross(row, column)
        heights = np.sort([float(plane.position_mm @ normal) for plane in planes])
        thickness = float(np.median(np.diff(heights))) if len(heights) > 1 else 1.0
        measures.SliceThickness = f"{thickness:.6g}"
    return SourceImages(images, planes, row * between_columns, column * between_rows, thickness)
