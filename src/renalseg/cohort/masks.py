"""The annotations of a case, read once and kept as small crops.

A full map of one annotation takes 30 to 150 MB; its bounding box takes 1 to 5.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from renalseg.cohort.annotations import Annotation
from renalseg.cohort.case import Case
from renalseg.errors import CohortError
from renalseg.labels import MERGE_ORDER, Label
from renalseg.types import AnyArray, MaskArray
from renalseg.volume import Volume, read_grid, read_labels
from renalseg.volume.boxes import Box, BoxedLabels, bounding_box, lies_within, merge_boxes, part_of

#: Which annotation an instance takes: class, instance number, annotation number.
Pick = tuple[Label, int, int]


@dataclass(frozen=True, eq=False)
class Crop:
    """A mask's bounding box.

    Attributes:
        box: Where the crop lies in the full array.
        inside: The mask in the box.
    """

    box: Box
    inside: MaskArray

    @classmethod
    def of(cls, mask: AnyArray) -> "Crop":
        """Crop a mask to its bounding box; an empty mask has an empty crop."""
        box = bounding_box(mask)
        return cls(box, mask[box].astype(np.bool_))

    def paint(self, array: AnyArray, value: int, origin: Box | None = None) -> None:
        """Set the voxels inside the mask.

        Args:
            array: The whole array, or the box ``origin`` of it; this box must lie within.
            value: Label.
            origin: Box of the whole that ``array`` is.
        """
        box = self.box if origin is None else part_of(self.box, origin)
        array[box][self.inside] = value


@dataclass(frozen=True, eq=False)
class CaseMasks:
    """The decoded annotations of one case; they are read when first asked for.

    Attributes:
        case: The case.
    """

    case: Case
    _crops: dict[Pick, Crop] = field(default_factory=dict, repr=False)

    @cached_property
    def grid(self) -> Volume:
        """The grid that all annotations share; its array is a read-only view of one zero.

        Raises:
            CohortError: The case has no annotations, or they disagree with the imaging.
            VolumeError: A file cannot be read.
        """
        if not self.case.instances:
            raise CohortError(
                f"{self.case.folder}: no annotations of single instances; expected files such as "
                "kidney_instance-1_annotation-1.nii.gz in segmentations or instances"
            )
        grid = read_grid(self.case.instances[0].annotations[0].path)
        if self.case.image_path.is_file():
            image = read_grid(self.case.image_path)
            if not grid.same_grid(image):
                first = self.case.instances[0].annotations[0].path
                raise CohortError(grid_difference(str(first), grid, "imaging.nii.gz", image))
        return grid

    def crop(self, pick: Pick) -> Crop:
        """One annotation, cropped.

        Raises:
            CohortError: There is no such annotation, or it lies on another grid than the others.
            VolumeError: It cannot be read.
        """
        if pick not in self._crops:
            annotation = self._find(pick)
            grid = self.grid
            volume = read_labels(annotation.path, max_label=1, contiguous=False)
            if not volume.same_grid(grid):
                first = self.case.instances[0].annotations[0].path.name
                raise CohortError(grid_difference(str(annotation.path), volume, first, grid))
            self._crops[pick] = Crop.of(volume.array)
        return self._crops[pick]

    def merge(self, layers: Iterable[tuple[Label, Crop]]) -> Volume:
        """Paint masks over each other: kidney, then cyst, then tumor."""
        array = np.zeros(self.grid.shape, np.uint8)
        for label, crop in _in_merge_order(layers):
            crop.paint(array, label)
        return self.grid.like(array)

    def merge_boxed(self, layers: Iterable[tuple[Label, Crop]]) -> BoxedLabels:
        """The same in boxes around the masks, without making the whole map."""
        layers = _in_merge_order(layers)
        pieces = []
        for box in merge_boxes(crop.box for _, crop in layers):
            piece = np.zeros([side.stop - side.start for side in box], np.uint8)
            for label, crop in layers:
                if crop.inside.size and lies_within(crop.box, box):
                    crop.paint(piece, label, box)
            pieces.append((box, piece))
        return BoxedLabels(self.grid.shape, tuple(pieces))

    def _find(self, pick: Pick) -> Annotation:
        label, number, chosen = pick
        for instance in self.case.instances:
            if (instance.label, instance.number) == (label, number):
                for annotation in instance.annotations:
                    if annotation.number == chosen:
                        return annotation
        raise CohortError(
            f"{self.case.folder}: no {label.title}_instance-{number}_annotation-{chosen}.nii.gz"
        )


def _in_merge_order(layers: Iterable[tuple[Label, Crop]]) -> list[tuple[Label, Crop]]:
    return sorted(layers, key=lambda layer: MERGE_ORDER.index(layer[0]))


def grid_difference(name: str, volume: Volume, other_name: str, other: Volume) -> str:
    """One line that says how two grids that should be one differ."""
    if volume.shape != other.shape:
        return f"{name}: shape {volume.shape}, but {other_name} has {other.shape}; get both again"
    off = float(np.abs(volume.affine - other.affine).max())
    return f"{name}: its affine differs from that of {other_name} by {off:.4g} mm; get both again"
