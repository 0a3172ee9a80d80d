import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from renalseg.postprocess import postprocess, relabel_small_tumors, remove_small

EMPTY = (14, 14, 14)


def components(mask):
    """26-connected components by flood fill: slow and plain."""
    left, found = {tuple(i) for i in np.argwhere(mask)}, []
    while left:
        stack, component = [left.pop()], set()
        while stack:
            voxel = stack.pop()
            component.add(voxel)
            for near in neighbours(voxel) & left:
                left.remove(near)
                stack.append(near)
        found.append(component)
    return found


def neighbours(voxel):
    steps = itertools.product((-1, 0, 1), repeat=3)
    return {tuple(np.add(voxel, step).tolist()) for step in steps} - {voxel}


def naive(labels):
    """Section 3.5 word by word."""
    result = labels.copy()
    for component in components(labels >= 2):
        dilated = component.union(*(neighbours(v) for v in component))
        inside = [
            v for v in dilated if all(0 <= i < n for i, n in zip(v, labels.shape, strict=True))
        ]
        if not any(labels[v] == 1 for v in inside):
            for voxel in component:
                result[voxel] = 0
    stands = result.copy()
    kidneys = components(stands == 1)
    if len(kidneys) > 3:
        third = sorted((len(c) for c in kidneys), reverse=True)[2]
        for component in kidneys:
            if len(component) >= third:
                continue
            ring = set().union(*(neighbours(v) for v in component)) - component
            values = [
                stands[v]
                for v in ring
                if all(0 <= i < n for i, n in zip(v, labels.shape, strict=True))
            ]
            counts = np.bincount(values, minlength=4)
            for voxel in component:
                result[voxel] = counts.argmax()
    return result


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint8, (5, 6, 5), elements={"min_value": 0, "max_value": 3}, fill=None))
def test_postprocess_does_what_the_paper_says_on_dense_maps(labels):
    assert np.array_equal(postprocess(labels), naive(labels))


@pytest.mark.parametrize("seed", range(15))
def test_postprocess_does_what_the_paper_says_on_sparse_maps(seed):
    random = np.random.RandomState(seed)
    labels = random.choice(4, size=(9, 10, 11), p=[0.93, 0.04, 0.015, 0.015]).astype(np.uint8)
    assert np.array_equal(postprocess(labels), naive(labels))


def test_mass_away_from_the_kidney_is_removed_and_one_that_touches_by_a_corner_stays():
    labels = np.zeros(EMPTY, np.uint8)
    labels[2:5, 2:5, 2:5] = 1
    labels[5, 5, 5] = 2  # meets the kidney by a corner
    labels[10:12, 10:12, 10:12] = 3
    cleaned = postprocess(labels)
    assert cleaned[5, 5, 5] == 2
    assert not (cleaned == 3).any()


def test_small_fragment_in_a_tumor_becomes_tumor():
    labels = np.zeros(EMPTY, np.uint8)
    labels[0:2, 0:6, 0:6] = 1
    labels[6:12, 6:12, 6:12] = 2
    labels[6, 6, 5] = 1  # keeps the tumor from being removed
    labels[8, 8, 8] = 1  # the fragment, as small as the one before
    labels[13, 0:2, 0] = 1
    labels[13, 0:3, 8] = 1
    cleaned = postprocess(labels)
    assert cleaned[8, 8, 8] == 2


def test_three_kidney_components_are_left_alone():
    labels = np.zeros(EMPTY, np.uint8)
    labels[0, 0, 0] = labels[5, 5, 5] = labels[10, 10, 10] = 1
    assert np.array_equal(postprocess(labels), labels)


def test_empty_map_stays_empty_and_the_input_is_not_changed():
    labels = np.zeros(EMPTY, np.uint8)
    labels[3, 3, 3] = 2
    before = labels.copy()
    assert not postprocess(labels).any()
    assert np.array_equal(labels, before)


def test_small_findings_by_themselves_are_removed():
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[5:15, 5:15, 5:15] = 1  # 1000 voxels
    labels[15, 5:8, 5:8] = 2  # on it
    labels[25:28, 25:28, 25:28] = 1  # 27 voxels
    labels[25:28, 5:8, 25:28] = 3
    cleaned = remove_small(labels, voxel_mm3=10.0, least_ml=1.0)
    expected = labels.copy()
    expected[25:28] = 0
    assert np.array_equal(cleaned, expected)
    assert labels[26, 26, 26] == 1  # the input stays
    assert np.array_equal(remove_small(labels, 100.0, 1.0), labels)  # 2.7 ml


def test_specks_of_tumor_are_what_they_lie_in():
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[5:25, 5:25, 5:25] = 1
    labels[10:20, 10:20, 10:20] = 3
    labels[9, 12:15, 12:15] = 2  # a rim of the cyst: 9 voxels
    labels[6, 6, 6:10] = 2  # by itself: 4 voxels
    labels[22:25, 22:25, 22:25] = 2  # 27 voxels
    before = labels.copy()
    expected = labels.copy()
    expected[9, 12:15, 12:15] = 3
    expected[6, 6, 6:10] = 1
    assert np.array_equal(relabel_small_tumors(labels, 100.0, 2.0), expected)
    assert np.array_equal(labels, before)
    assert np.array_equal(relabel_small_tumors(labels, 1000.0, 2.0), labels)  # 4 ml and more


@pytest.mark.parametrize("side", [0, -1])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_what_the_edge_cuts_is_not_small(axis, side):
    labels = np.zeros((12, 12, 12), np.uint8)
    np.moveaxis(labels, axis, 0)[side, 5, 5] = 1
    assert np.array_equal(remove_small(labels, 1.0, 5.0), labels)
