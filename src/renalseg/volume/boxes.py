"""Label maps as the few boxes that hold their foreground.

Kidneys fill a hundredth of a CT. What counts or compares voxels looks into these boxes alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from renalseg.compiled import compiled
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
            array: Label map, uint8; quick in any order of axes that lies in memory without gaps.
            copy: False keeps views of ``array``, which then stays in memory.
        """
        found = merge_boxes(_occupied(array))
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
    # a KiTS file runs through the slices first; to turn it would take longer than to read it
    axes = tuple(int(axis) for axis in np.argsort([-abs(step) for step in array.strides]))
    back = tuple(int(axis) for axis in np.argsort(axes))
    flips = [array.strides[axis] < 0 for axis in axes]
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
    stored = np.ascontiguousarray(array.transpose(axes)[steps])
    depth, height, width = _BLOCK
    by_eight = stored.shape[2] % 8 == 0
    words = stored.view(np.uint64) if by_eight else stored.view()
    words.flags.writeable = False  # one compiled kernel for what may be written and what may not
    blocks = _blocks(words, depth, height, width // 8 if by_eight else width)
    labelled, _ = ndimage.label(blocks[steps].transpose(back), structure=np.ones((3, 3, 3)))
    sizes = [_BLOCK[axis] for axis in back]
    offsets = [(-n % b) * f for n, b, f in zip(stored.shape, _BLOCK, flips, strict=True)]
    for found in ndimage.find_objects(labelled):
        yield _box(
            (max(0, side.start * size - offset), min(side.stop * size - offset, length))
            for side, size, offset, length in zip(
                found, sizes, (offsets[axis] for axis in back), array.shape, strict=True
            )
        )


@compiled()
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
    seen = np.empty(columns, array.dtype)
    for top in range(0, slices, depth):
        for left in range(0, rows, height):
            seen[:] = 0
            for z in range(top, min(slices, top + depth)):
                for y in range(left, min(rows, left + height)):
                    line = array[z, y]
                    for x in range(columns):
                        seen[x] |= line[x]
            hits = found[top // depth, left // height]
            for x in range(columns):
                if seen[x] != 0:
                    hits[x // width] = True
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
