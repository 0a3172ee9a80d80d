"""What a label map is divided into: each kidney and each lesion, by side, as a segment of its own.

Every labelled voxel belongs to exactly one segment.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from renalseg.clinical.instances import Instance, Kidney, find_kidneys
from renalseg.clinical.records import KidneyRecord, LesionRecord, Side
from renalseg.clinical.surfaces import crop_affine, to_world, voxel_points
from renalseg.dicom.source import SourceImages
from renalseg.labels import FOREGROUND, Label
from renalseg.types import AnyArray, LabelArray
from renalseg.volume import Volume
from renalseg.volume.boxes import Box

#: A lesion farther than this from a measured one is another.
_ANOTHER_MM = 20.0
_NEVER_MM = 1e6
#: Segments of specks: one per kind and side.
_MOST_SPECKS = 6
#: Where nothing was found, a result still has one segment, for it must have one.
NOTHING = "Kidney (none found)"


@dataclass(frozen=True)
class Segment:
    """One kidney, one lesion, or the specks of one kind on one side.

    Attributes:
        label: What it is.
        side: The patient's side; None where nothing was found.
        title: Its name in all results: at most 64 characters, unique within a segmentation.
    """

    label: Label
    side: Side | None
    title: str


@dataclass(frozen=True, eq=False)
class Segments:
    """The segments of a label map.

    Attributes:
        numbers: Number of each voxel's segment, 0 for background: slice, row, column.
        found: The segments; the first has number 1.
    """

    numbers: AnyArray
    found: tuple[Segment, ...]


def kidney_title(kidney: KidneyRecord | Kidney) -> str:
    """The name of a kidney's segment: ``Right kidney``."""
    return f"{kidney.side.capitalize()} kidney"


def lesion_title(number: int, label: str, side: Side) -> str:
    """The name of a lesion's segment: ``Lesion 1: tumor, right``."""
    return f"Lesion {number}: {label}, {side}"


def find_segments(
    labels: LabelArray, source: SourceImages, lesions: Sequence[LesionRecord] = ()
) -> Segments:
    """Divide a label map.

    Args:
        labels: Label map on the source images: slice, row, column.
        source: Those images.
        lesions: Measured lesions, which lend their numbers to the segments that they are; without
            them the largest is number 1, as measurements count.

    Raises:
        VolumeError: The label map does not lie on the images.
    """
    source.check(labels)
    volume = Volume.from_stored(labels[source.order], source.sorted_affine, contiguous=False)
    kidneys = find_kidneys(volume)
    most = sum(1 + len(kidney.lesions) for kidney in kidneys) + _MOST_SPECKS
    numbers = np.zeros(volume.shape, np.uint8 if most < 256 else np.uint16)
    found: list[Segment] = []
    for kidney in kidneys:
        if kidney.mask.any():
            found.append(Segment(Label.KIDNEY, kidney.side, kidney_title(kidney)))
            numbers[kidney.box][kidney.mask] = len(found)
    # as measure() sorts them: equal ones stay in the order of the sides
    pairs = [(kidney, lesion) for kidney in kidneys for lesion in kidney.lesions]
    pairs.sort(key=lambda pair: -int(pair[1].mask.sum()))
    named = _numbers_and_sides(pairs, volume, lesions)
    for (_, lesion), (number, side) in zip(pairs, named, strict=True):
        found.append(Segment(lesion.label, side, lesion_title(number, lesion.label.title, side)))
        numbers[lesion.box][lesion.mask] = len(found)
    for segment, place in _specks(volume, numbers, kidneys):
        found.append(segment)
        numbers[place] = len(found)
    if not found:
        found.append(Segment(Label.KIDNEY, None, NOTHING))
    assert volume.source is not None
    stored = np.empty_like(numbers, shape=labels.shape)
    stored[source.order] = volume.source.way.backward(numbers)
    return Segments(stored, tuple(found))


def _numbers_and_sides(
    pairs: Sequence[tuple[Kidney, Instance]], volume: Volume, records: Sequence[LesionRecord]
) -> list[tuple[int, Side]]:
    """Of each lesion: those of the record that it is, else a number that is free."""
    from scipy.optimize import linear_sum_assignment

    known: dict[int, LesionRecord] = {}
    if pairs and records:
        apart = np.array(
            [[_apart_mm(one, volume, record) for record in records] for _, one in pairs]
        )
        rows, columns = linear_sum_assignment(apart)
        known = {
            int(row): records[column]
            for row, column in zip(rows, columns, strict=True)
            if apart[row, column] < _ANOTHER_MM
        }
    free = 1 + max((record.number for record in records), default=0)
    named: list[tuple[int, Side]] = []
    for place, (kidney, _) in enumerate(pairs):
        if place in known:
            named.append((known[place].number, known[place].side))
        else:
            named.append((free, kidney.side))
            free += 1
    return named


def _apart_mm(lesion: Instance, volume: Volume, record: LesionRecord) -> float:
    """How far a lesion lies from where a record says that its lesion does."""
    if lesion.label.title != record.label:
        return _NEVER_MM
    centre = voxel_points(lesion.mask, crop_affine(volume.affine, lesion.box)).mean(axis=0)
    return float(np.linalg.norm(centre - record.centroid.mm))


def _specks(
    volume: Volume, numbers: AnyArray, kidneys: Sequence[Kidney]
) -> Iterator[tuple[Segment, tuple[AnyArray, ...]]]:
    """What is too small to be a lesion, by kind and side, and where it is."""
    left_out = np.nonzero((volume.array > 0) & (numbers == 0))
    labels = volume.array[left_out]
    x_mm = to_world(np.transpose(left_out).astype(float), volume.affine)[:, 0]
    middles = [_middle(kidney.box, volume) for kidney in kidneys]
    whole = (slice(0, volume.shape[0]), slice(0, volume.shape[1]), slice(0, volume.shape[2]))
    between = float(np.mean(middles)) if len(kidneys) == 2 else _middle(whole, volume)
    is_right = x_mm > between
    if len(kidneys) == 1:
        is_right[:] = kidneys[0].side == "right"
    sides: tuple[tuple[Side, AnyArray], ...] = (("right", is_right), ("left", ~is_right))
    for label in FOREGROUND:
        for side, here in sides:
            chosen = here & (labels == label)
            if chosen.any():
                title = f"Specks of {label.title}, {side}"
                yield Segment(label, side, title), tuple(axis[chosen] for axis in left_out)


def _middle(box: Box, volume: Volume) -> float:
    """How far right the middle of a box lies, mm."""
    middle = np.array([[(side.start + side.stop - 1) / 2 for side in box]])
    return float(to_world(middle, volume.affine)[0, 0])
