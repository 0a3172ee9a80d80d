"""Tiles that are laid over a region rather than over the scan."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from renalseg.inference.tiles import axis_starts, fitted_starts


@st.composite
def axes(draw):
    edge = draw(st.integers(8, 64))
    size = draw(st.integers(1, 300))
    low = draw(st.integers(0, size - 1))
    return size, edge, low, draw(st.integers(low + 1, size))


@given(axes(), st.sampled_from([0.5, 0.75, 1.0]))
def test_they_cover_the_region_within_the_scan(axis, step):
    size, edge, low, high = axis
    starts = fitted_starts(size, edge, step, low, high)
    covered = {n for start in starts for n in range(start, start + edge)}
    assert covered >= set(range(low, high))
    assert starts == sorted(set(starts))
    if size <= edge:
        assert starts == axis_starts(size, edge, step, low, high)
    else:
        assert starts[0] >= 0
        assert starts[-1] + edge <= size
    if high - low > edge:
        steps = [b - a for a, b in pairwise(starts)]
        assert max(steps) <= edge * step + 1


def test_one_tile_has_a_small_region_in_its_middle():
    assert fitted_starts(200, 96, 0.5, 90, 150) == [72]
    assert fitted_starts(200, 96, 0.5, 0, 20) == [0]
    assert fitted_starts(200, 96, 0.5, 180, 200) == [104]
