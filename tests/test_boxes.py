import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from renalseg.volume.boxes import BoxedLabels, bounding_box, digest, merge_boxes

sizes = st.tuples(st.integers(1, 9), st.integers(1, 40), st.integers(1, 40))
labels = hnp.arrays(np.uint8, sizes, elements=st.integers(0, 3), fill=st.just(0))


def box(*bounds):
    return tuple(slice(start, stop) for start, stop in bounds)


@settings(deadline=None)
@given(labels, st.permutations(range(3)), st.tuples(*[st.sampled_from([-1, 1])] * 3))
def test_boxes_hold_the_whole_map_in_any_order_of_memory(array, axes, steps):
    turned = array.transpose(axes)[tuple(slice(None, None, step) for step in steps)]
    boxed = BoxedLabels.of(turned)
    assert boxed.shape == turned.shape
    np.testing.assert_array_equal(boxed.array, turned)


@settings(deadline=None)
@given(labels, st.data())
def test_any_part_of_a_map_can_be_taken(array, data):
    wanted = tuple(
        slice(*sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2)))) for n in array.shape
    )
    np.testing.assert_array_equal(BoxedLabels.of(array).within(wanted), array[wanted])


def test_two_kidneys_are_two_boxes():
    array = np.zeros((40, 96, 128), np.uint8)
    array[8:20, 30:50, 20:40], array[10:24, 30:50, 80:100] = 1, 2
    assert len(BoxedLabels.of(array).boxes) == 2


def test_a_copy_lets_go_of_the_map():
    array = np.zeros((4, 32, 32), np.uint8)
    array[1, 3, 3] = 1
    kept, view = BoxedLabels.of(array, copy=True), BoxedLabels.of(array)
    array[1, 3, 3] = 2
    assert (kept.array.max(), view.array.max()) == (1, 2)


def test_boxes_closer_than_the_reach_are_joined():
    one, near, far = (box((0, 2), (0, 2), (at, at + 2)) for at in (0, 4, 20))
    assert merge_boxes([one, near, far], (0, 0, 1)) == [one, near, far]
    assert merge_boxes([one, near, far], (0, 0, 2)) == [box((0, 2), (0, 2), (0, 6)), far]


def test_boxes_that_touch_are_joined_and_empty_ones_dropped():
    one, beside, empty = (box((0, 2), (0, 2), at) for at in ((0, 2), (2, 3), (9, 9)))
    assert merge_boxes([one, beside, empty]) == [box((0, 2), (0, 2), (0, 3))]


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.tuples(st.integers(0, 30), st.integers(1, 5))] * 3), max_size=90))
def test_merged_boxes_cover_all_and_lie_apart(bounds):
    boxes = [box(*((start, start + size) for start, size in one)) for one in bounds]
    covered, merged = np.zeros((36, 36, 36), int), np.zeros((36, 36, 36), int)
    for one in boxes:
        covered[one] = 1
    for one in merge_boxes(boxes):
        merged[one] += 1
    assert (merged >= covered).all()
    assert merged.max(initial=0) <= 1


def test_bounding_box_is_the_smallest():
    mask = np.zeros((5, 6, 7), bool)
    assert bounding_box(mask) == box((0, 0), (0, 0), (0, 0))
    mask[1, 2, 3] = mask[3, 2, 6] = True
    assert bounding_box(mask) == box((1, 4), (2, 3), (3, 7))


def test_digest_tells_voxels_and_shapes_apart():
    array = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    assert digest(array) == digest(array.copy())
    assert digest(array) != digest(array + 1)
    assert digest(array) != digest(array.reshape(1, 2, 4))


@pytest.mark.parametrize("shape", [(0, 4, 4), (3, 4, 5)])
def test_an_empty_map_has_no_box(shape):
    assert BoxedLabels.of(np.zeros(shape, np.uint8)).boxes == []
