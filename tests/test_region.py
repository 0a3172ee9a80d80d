import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from renalseg.inference.region import agreed, joined, kidney_region, largest_ml, merged, widened

SPACING_MM = (5.0, 2.0, 2.0)
BODY = ((0, 60), (10, 150), (10, 190))


def labels(*boxes):
    array = np.zeros((60, 160, 200), np.uint8)
    for box in boxes:
        array[tuple(slice(*side) for side in box)] = 1
    return array


def both(*boxes):
    """What is suspected is what is labelled."""
    return labels(*boxes), labels(*boxes)


RIGHT = ((20, 40), (80, 110), (40, 70))
LEFT = ((22, 42), (80, 110), (130, 160))


def test_two_kidneys_have_a_box_each_with_a_margin():
    region = kidney_region(*both(RIGHT, LEFT), SPACING_MM, BODY, 20.0)
    assert region.boxes == (
        ((16, 44), (70, 120), (30, 80)),
        ((18, 46), (70, 120), (120, 170)),
    )
    assert region.notes == ()


def test_nothing_found_is_the_whole_body_and_said():
    region = kidney_region(*both(), SPACING_MM, BODY, 20.0)
    assert region.boxes == (BODY,)
    assert "no kidney found" in region.notes[0]


def test_noise_is_nothing():
    region = kidney_region(*both(((5, 7), (20, 24), (20, 24))), SPACING_MM, BODY, 20.0)
    assert region.boxes == (BODY,)


def test_suspicion_alone_counts_only_where_nothing_is_sure():
    elsewhere = ((45, 55), (40, 60), (40, 60))
    sure = kidney_region(labels(RIGHT, LEFT, elsewhere), labels(RIGHT, LEFT), SPACING_MM, BODY, 20)
    assert sure.boxes == kidney_region(*both(RIGHT, LEFT), SPACING_MM, BODY, 20).boxes
    unsure = kidney_region(labels(RIGHT, LEFT), labels(), SPACING_MM, BODY, 20)
    assert unsure.boxes == sure.boxes


def test_what_is_never_called_kidney_opens_no_box():
    only_mass = labels(RIGHT, LEFT)
    only_mass[tuple(slice(*side) for side in LEFT)] = 2
    region = kidney_region(labels(RIGHT, LEFT), only_mass, SPACING_MM, BODY, 20)
    assert region.boxes == kidney_region(*both(RIGHT), SPACING_MM, BODY, 20).boxes


def test_two_networks_must_agree_on_some_kidney():
    first = labels(RIGHT, LEFT)
    first[20:24, 80:110, 70:75] = 2  # a mass on the right one goes with it
    other = labels(RIGHT)
    expected = first.copy()
    expected[tuple(slice(*side) for side in LEFT)] = 0
    assert np.array_equal(agreed(first, other, voxel_ml=0.02), expected)
    assert not agreed(first, 2 * other, 0.02).any()  # the other one sees a mass and no kidney
    assert not agreed(first, other, 1e-5).any()  # they agree on less than 2 ml


def test_with_one_kidney_both_sides_are_looked_at():
    region = kidney_region(*both(RIGHT), SPACING_MM, BODY, 20.0)
    assert region.boxes == (((8, 52), BODY[1], BODY[2]),)
    assert "one kidney found" in region.notes[0]


def test_what_the_scan_cuts_is_widened():
    cut = ((0, 20), *RIGHT[1:])
    region = kidney_region(*both(cut, LEFT), SPACING_MM, BODY, 20.0)
    assert region.boxes[0] == ((0, 28), (60, 130), (20, 90))
    assert "cut by the scan's edge" in region.notes[0]


sides = st.tuples(st.integers(0, 20), st.integers(1, 8)).map(lambda s: (s[0], s[0] + s[1]))


@given(st.lists(st.tuples(sides, sides, sides), min_size=1, max_size=8))
def test_merged_boxes_cover_all_and_do_not_overlap(boxes):
    result = merged(boxes)
    count = np.zeros((30, 30, 30), int)
    for box in result:
        count[tuple(slice(*side) for side in box)] += 1
    assert count.max() == 1
    for box in boxes:
        assert count[tuple(slice(*side) for side in box)].all()


def test_the_largest_finding_is_one_piece_of_any_label():
    array = labels(RIGHT, LEFT)
    array[20:40, 80:110, 70:75] = 2
    assert largest_ml(array, 0.02) == pytest.approx((20 * 30 * 35) * 0.02)
    assert largest_ml(labels(), 0.02) == 0


def test_a_box_grows_on_the_sides_that_foreground_reaches():
    inside = np.zeros((20, 30, 30), np.uint8)
    inside[5, 10, 10] = 2
    assert widened(inside, RIGHT, 40.0, SPACING_MM, BODY) == RIGHT
    inside[0, 10, 10] = inside[5, 10, 29] = 2
    assert widened(inside, RIGHT, 40.0, SPACING_MM, BODY) == ((12, 40), (80, 110), (40, 90))


def test_a_side_of_the_body_stays_where_it_is():
    inside = np.ones((60, 140, 180), np.uint8)
    assert widened(inside, BODY, 40.0, SPACING_MM, BODY) == BODY


def test_boxes_are_joined_where_that_is_no_dearer():
    assert joined([RIGHT, LEFT], lambda box: 1) == [((20, 42), (80, 110), (40, 160))]
    volume = {RIGHT: 2, LEFT: 2}
    assert joined([RIGHT, LEFT], lambda box: volume.get(box, 5)) == [RIGHT, LEFT]
