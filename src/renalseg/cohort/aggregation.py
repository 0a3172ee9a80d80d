"""One label map of several annotators: majority, and, or."""

from pathlib import Path
from typing import Literal

import numpy as np

from renalseg.cohort.annotations import Instance
from renalseg.cohort.case import Case
from renalseg.cohort.masks import CaseMasks, Crop
from renalseg.errors import CohortError
from renalseg.labels import Label
from renalseg.types import AnyArray
from renalseg.volume import Volume, read_labels

How = Literal["majority", "and", "or"]

#: The names of the aggregated maps in KiTS21.
AGGREGATED_NAMES: dict[How, str] = {
    "majority": "aggregated_MAJ_seg.nii.gz",
    "and": "aggregated_AND_seg.nii.gz",
    "or": "aggregated_OR_seg.nii.gz",
}


def aggregate(case: Case, how: How = "majority") -> Volume:
    """Merge a case's annotations into one label map, as KiTS21 and KiTS23 do.

    Each instance is aggregated over its annotations, then the instances are merged, kidney
    first, then cyst, then tumor. ``majority`` is more than half: a tie of two or four
    annotators is outside. A case without annotations of single instances gives the data
    set's own label map, whatever ``how`` says.

    Args:
        case: The case.
        how: ``majority``, ``and`` (all annotators) or ``or`` (any annotator).

    Returns:
        uint8 labels, on the grid of the annotations.

    Raises:
        CohortError: The case has neither annotations nor a label map, or they lie on several
            grids, or ``how`` is another word.
        VolumeError: A file cannot be read.
    """
    if how not in AGGREGATED_NAMES:
        raise CohortError(f"expected majority, and or or as aggregation, got {how!r}")
    if not case.instances:
        return own_segmentation(case)
    masks = CaseMasks(case)
    return masks.merge(aggregated(masks, how))


def aggregated(masks: CaseMasks, how: How = "majority") -> list[tuple[Label, Crop]]:
    """Each instance of a case, aggregated over its annotations."""
    return [(i.label, _aggregate_instance(masks, i, how)) for i in masks.case.instances]


def write_aggregate(case: Case, how: How = "majority", folder: Path | None = None) -> Path | None:
    """Write ``aggregate(case, how)`` under the name that it has in KiTS21.

    A file of that name is left alone: it is the data set's own, or was written before.

    Args:
        case: The case.
        how: See ``aggregate``.
        folder: Where to; by default the case's own folder.

    Returns:
        The file that was written, or None.

    Raises:
        CohortError: See ``aggregate``.
        VolumeError: A file cannot be read or written.
    """
    path = (case.folder if folder is None else folder) / AGGREGATED_NAMES[how]
    if path.is_file():
        return None
    aggregate(case, how).save(path)
    return path


def own_segmentation(case: Case, *, contiguous: bool = True) -> Volume:
    """The label map that comes with the data set.

    Args:
        case: The case.
        contiguous: See ``read_labels``.

    Raises:
        CohortError: There is none.
        VolumeError: It cannot be read.
    """
    if not case.segmentation_path.is_file():
        raise CohortError(
            f"{case.folder}: no annotations, no {case.segmentation_path.name}; get the case again"
        )
    return read_labels(case.segmentation_path, contiguous=contiguous)


def _aggregate_instance(masks: CaseMasks, instance: Instance, how: How) -> Crop:
    crops = [masks.crop((instance.label, instance.number, a.number)) for a in instance.annotations]
    drawn = [crop for crop in crops if crop.inside.size] or crops[:1]
    start = [min(crop.box[axis].start for crop in drawn) for axis in range(3)]
    stop = [max(crop.box[axis].stop for crop in drawn) for axis in range(3)]
    votes = np.zeros([b - a for a, b in zip(start, stop, strict=True)], np.uint16)
    for crop in drawn:
        inner = tuple(slice(s.start - a, s.stop - a) for s, a in zip(crop.box, start, strict=True))
        votes[inner] += crop.inside
    box = (slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2]))
    return Crop(box, _elected(votes, len(crops), how))


def _elected(votes: AnyArray, annotators: int, how: How) -> AnyArray:
    if how == "majority":
        return np.asarray(2 * votes > annotators)
    if how == "and":
        return np.asarray(votes == annotators)
    return np.asarray(votes > 0)
