"""Label maps as the few boxes that hold their foreground.

Kidneys fill a hundredth of a CT. What counts or compares voxels looks into these boxes alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numba import njit

from renalseg.types import AnyArray, LabelArray

#: A half-open range of slices, rows and columns.
Box = tuple[slice, slice, slice]

#: Foreground is looked for in blocks of this many slices, rows and columns.
_BLOCK = (4, 16, 16)
#: More boxes than this, as of a noisy prediction, become one.
_MAX_BOXES = 64


@dataclass(frozen=True, eq=False)
class BoxedLabels:
    """A label map, kept as disjoint boxes; outside them it is background.

    Attributes:
        shape: Of the whole map: slices, rows, columns.
        pieces: Boxes and the labels in each.
    """

    shape: tuple[int, ...]
    pieces: tuple[tuple[Box, LabelArray], ...]

    @classmethod
    def of(cls, array: LabelArray, *, copy: bool = False) -> "BoxedLabels":
        """Box a label map.

        Args:
            array: Label map, uint8.
            copy: False keeps views of ``array``, which then stays in memory.
        """
        found = merge_boxes(_occupied(np.ascontiguousarray(array)))
        return cls(array.shape, tuple((b, array[b].copy() if copy else array[b]) for b in found))

    @property
    def boxes(self) -> list[Box]:
        """Where the foreground lies."""
        return [box for box, _ in self.pieces]

    def within(self, box: Box) -> LabelArray:
        """The labels in a box of the whole map."""
        labels = np.zeros([side.stop - side.start for side in box], np.uint8)
        for place, piece in self.pieces:
            here = _intersection(box, place)
            if here is not None:
                labels[part_of(here, box)] = piece[part_of(here, place)]
        return labels

    @property
    def array(self) -> LabelArray:
        """The whole map."""
        return self.within(_box((0, length) for length in self.shape))


def bounding_box(mask: AnyArray) -> Box:
    """The smallest box around what is not zero; an empty one where all is."""
    box = [slice(0, 0)] * 3
    view = mask
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        hit = np.flatnonzero(view.any(axis=others))
        box[axis] = slice(int(hit[0]), int(hit[-1]) + 1) if hit.size else slice(0, 0)
        cut = [slice(None)] * 3
        cut[axis] = box[axis]
        view = view[tuple(cut)]
    return box[0], box[1], box[2]


def lies_within(box: Box, other: Box) -> bool:
    """Whether a box is a part of another."""
    return all(b.start >= o.start and b.stop <= o.stop for b, o in zip(box, other, strict=True))


def part_of(box: Box, origin: Box) -> Box:
    """A box as seen from the first voxel of another."""
    return _box(
        (side.start - first.start, side.stop - first.start)
        for side, first in zip(box, origin, strict=True)
    )


def digest(labels: LabelArray) -> bytes:
    """What two arrays share if, and only if, they have the same shape and voxels."""
    voxels = blake2b(np.ascontiguousarray(labels), digest_size=16)
    voxels.update(str(labels.shape).encode())
    return voxels.digest()


def merge_boxes(boxes: Iterable[Box], reach: tuple[int, int, int] = (0, 0, 0)) -> list[Box]:
    """Join boxes until any two lie apart.

    Args:
        boxes: Boxes; empty ones are dropped.
        reach: Two boxes lie apart if more than so many voxels are between them along one axis.
    """
    waiting = [box for box in boxes if all(side.stop > side.start for side in box)]
    if len(waiting) > _MAX_BOXES:
        return [_union(waiting)]
    apart: list[Box] = []
    while waiting:
        box = waiting.pop()
        near = [other for other in apart if not _lie_apart(box, other, reach)]
        if near:
            apart = [other for other in apart if all(other is not one for one in near)]
            waiting.append(_union([box, *near]))
        else:
            apart.append(box)
    return sorted(apart, key=lambda box: [side.start for side in box])


def _occupied(array: AnyArray) -> Iterator[Box]:
    """Boxes around the foreground, a few voxels too large."""
    from scipy import ndimage

    if not array.size:
        return
    depth, height, width = _BLOCK
    if array.shape[2] % 8 == 0:  # eight voxels at a time
        blocks = _blocks(array.view(np.uint64), depth, height, width // 8)
    else:
        blocks = _blocks(array, depth, height, width)
    labelled, _ = ndimage.label(blocks, structure=np.ones((3, 3, 3)))
    for found in ndimage.find_objects(labelled):
        yield _box(
            (side.start * size, min(side.stop * size, length))
            for side, size, length in zip(found, _BLOCK, array.shape, strict=True)
        )


@njit(cache=True)
def _blocks(array, depth, height, width):  # type: ignore[no-untyped-def]
    """Which blocks of an array hold anything but zeros."""
    slices, rows, columns = array.shape
    found = np.zeros(
        (
            (slices + depth - 1) // depth,
            (rows + height - 1) // height,
            (columns + width - 1) // width,
        ),
        np.bool_,
    )
    for z in range(slices):
        for y in range(rows):
            line = array[z, y]
            hits = found[z // depth, y // height]
            for block in range(hits.shape[0]):
                for x in range(block * width, min(columns, (block + 1) * width)):
                    if line[x] != 0:
                        hits[block] = True
    return found


def _lie_apart(a: Box, b: Box, reach: tuple[int, int, int]) -> bool:
    return any(
        max(one.start, other.start) - min(one.stop, other.stop) > far
        for one, other, far in zip(a, b, reach, strict=True)
    )


def _union(boxes: list[Box]) -> Box:
    return _box(
        (min(side.start for side in sides), max(side.stop for side in sides))
        for sides in zip(*boxes, strict=True)
    )


def _intersection(a: Box, b: Box) -> Box | None:
    both = _box(
        (max(one.start, other.start), min(one.stop, other.stop))
        for one, other in zip(a, b, strict=True)
    )
    return both if all(side.stop > side.start for side in both) else None


def _box(bounds: Iterable[tuple[int, int]]) -> Box:
    slices, rows, columns = (slice(int(start), int(stop)) for start, stop in bounds)
    return slices, rows, columns
