"""Training labels drawn from a case's plausible maps: one per axial slice, or one per case."""

import numpy as np

from renalseg.cohort.aggregation import own_segmentation
from renalseg.cohort.case import Case
from renalseg.cohort.masks import CaseMasks
from renalseg.cohort.plausible import plausible_maps
from renalseg.volume import Volume


def per_slice_map(case: Case, seed: int, masks: CaseMasks | None = None) -> Volume:
    """Draw a case's training labels (Golts et al. 2021, section 3.3).

    Every axial slice takes its labels from one of the case's plausible maps. All of KiTS21's
    files have the same chance, so a map that stands in two groups has twice that of another. The
    draw is ``RandomState([seed, case number]).randint(number of maps, size=number of slices)``,
    slices counted from head to foot; the axial axis is that of the affine, not of the file.

    Args:
        case: The case.
        seed: The model's seed; the paper tells its models 1, 2 and 3 apart by it. 0 or more.
        masks: The case's decoded annotations, where somebody has them already.

    Returns:
        uint8 labels. A case without annotations of single instances gives its own label map.

    Raises:
        CohortError: The case has no labels, or its annotations lie on several grids.
        VolumeError: A file cannot be read.
    """
    if not case.instances:
        return own_segmentation(case)
    maps = plausible_maps(case, masks)
    first = maps[0].read()
    labels = first.array
    random = np.random.RandomState([seed, case.number])
    drawn = random.randint(len(maps), size=labels.shape[0])
    distinct = {plausible.choice: plausible for plausible in maps}
    for choice, plausible in distinct.items():
        mine = np.array([maps[index].choice == choice for index in drawn])
        if choice != maps[0].choice and mine.any():
            labels[mine] = plausible.array[mine]
    return first.like(labels)


def case_map(case: Case, seed: int, masks: CaseMasks | None = None) -> Volume:
    """Draw one plausible map for a whole case.

    The draw is ``RandomState([seed, case number]).randint(number of maps)``.

    Args:
        case: The case.
        seed: 0 or more.
        masks: The case's decoded annotations, where somebody has them already.

    Returns:
        uint8 labels. A case without annotations of single instances gives its own label map.

    Raises:
        CohortError: The case has no labels, or its annotations lie on several grids.
        VolumeError: A file cannot be read.
    """
    if not case.instances:
        return own_segmentation(case)
    maps = plausible_maps(case, masks)
    random = np.random.RandomState([seed, case.number])
    return maps[random.randint(len(maps))].read()


def plausible_map(case: Case, number: int, masks: CaseMasks | None = None) -> Volume:
    """One of a case's plausible maps, counted in KiTS21's order; after the last the first follows.

    Args:
        case: The case.
        number: Which map, from 0.
        masks: The case's decoded annotations, where somebody has them already.

    Returns:
        uint8 labels. A case without annotations of single instances gives its own label map.

    Raises:
        CohortError: The case has no labels, or its annotations lie on several grids.
        VolumeError: A file cannot be read.
    """
    if not case.instances:
        return own_segmentation(case)
    maps = plausible_maps(case, masks)
    return maps[number % len(maps)].read()
