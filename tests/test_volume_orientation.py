"""Axis permutations and flips, for every orientation and tilt."""

import itertools

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renalseg.volume import Volume
from renalseg.volume.orientation import axis_codes, is_canonical, to_canonical

ORIENTATIONS = [
    tuple(letters)
    for pairs in itertools.permutations(("RL", "AP", "SI"))
    for letters in itertools.product(*pairs)
]


def rotation(angles):
    """A rotation by three angles, rad, about x, y and z."""
    turned = np.eye(3)
    for axis, angle in enumerate(angles):
        c, s = np.cos(angle), np.sin(angle)
        about = np.eye(3)
        i, j = [a for a in range(3) if a != axis]
        about[i, i], about[i, j], about[j, i], about[j, j] = c, -s, s, c
        turned = about @ turned
    return turned


@st.composite
def grids(draw, most=np.pi):
    """An affine of any orientation, spacing, origin and tilt, with an array of distinct voxels."""
    codes = draw(st.sampled_from(ORIENTATIONS))
    spacing = draw(st.tuples(*[st.floats(0.3, 8)] * 3))
    origin = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    tilt = draw(st.tuples(*[st.floats(-most, most)] * 3))
    shape = draw(st.tuples(*[st.integers(1, 4)] * 3))
    ornt = nib.orientations.axcodes2ornt(codes)
    steps = np.zeros((3, 3))
    for axis, (world, sign) in enumerate(ornt):
        steps[int(world), axis] = sign
    affine = np.eye(4)
    affine[:3, :3] = rotation(tilt) @ steps * np.array(spacing)
    affine[:3, 3] = origin
    return np.arange(np.prod(shape)).reshape(shape), affine


def test_there_are_48_orientations():
    assert len(ORIENTATIONS) == len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("codes", ORIENTATIONS, ids="".join)
def test_every_orientation_becomes_ipl(codes):
    # nibabel's own reorientation is the reference
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    image = nib.Nifti1Image(array.astype(np.int32), np.diag([2.0, 3.0, 4.0, 1.0]))
    ras = nib.orientations.axcodes2ornt("RAS")
    image = image.as_reoriented(
        nib.orientations.ornt_transform(ras, nib.orientations.axcodes2ornt(codes))
    )
    expected = image.as_reoriented(
        nib.orientations.ornt_transform(
            nib.orientations.axcodes2ornt(codes), nib.orientations.axcodes2ornt("IPL")
        )
    )
    assert axis_codes(image.affine) == "-".join(codes)
    volume = Volume.from_stored(np.asarray(image.dataobj), image.affine)
    np.testing.assert_array_equal(volume.array, expected.dataobj)
    np.testing.assert_allclose(volume.affine, expected.affine)
    assert nib.aff2axcodes(volume.affine) == ("I", "P", "L")


@settings(max_examples=150, deadline=None)
@given(grids())
def test_any_grid_comes_back_voxel_for_voxel(grid):
    array, affine = grid
    volume = Volume.from_stored(array, affine)
    assert is_canonical(volume.affine)
    np.testing.assert_array_equal(volume.source.way.backward(volume.array), array)


@settings(max_examples=150, deadline=None)
@given(grids())
def test_every_voxel_stays_where_it_is_in_the_world(grid):
    array, affine = grid
    volume = Volume.from_stored(array, affine)
    for value in (0, array.size // 2, array.size - 1):
        before = affine @ [*np.argwhere(array == value)[0], 1]
        after = volume.affine @ [*np.argwhere(volume.array == value)[0], 1]
        np.testing.assert_allclose(before, after, atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(grids(most=np.deg2rad(15)))
def test_a_slight_tilt_goes_to_the_axes_that_nibabel_finds(grid):
    array, affine = grid
    volume = Volume.from_stored(array, affine)
    assert nib.aff2axcodes(volume.affine) == ("I", "P", "L")


@settings(max_examples=100, deadline=None)
@given(grids())
def test_canonical_arrays_are_left_alone(grid):
    array, affine = grid
    once = Volume.from_stored(array, affine)
    twice = Volume.from_stored(once.array, once.affine)
    np.testing.assert_array_equal(once.array, twice.array)
    np.testing.assert_array_equal(once.affine, twice.affine)


@pytest.mark.parametrize("axis", range(3))
def test_45_degrees_has_one_answer(axis):
    angles = np.zeros(3)
    angles[axis] = np.pi / 4
    affine = np.eye(4)
    for jitter in (-1e-9, 0, 1e-9):
        affine[:3, :3] = rotation(angles + jitter)
        assert is_canonical(Volume.from_stored(np.zeros((2, 3, 4)), affine).affine)
    permutations = set()
    for jitter in (-1e-9, 0, 1e-9):
        affine[:3, :3] = rotation(angles + jitter)
        permutations.add(to_canonical(affine).permutation)
    assert len(permutations) == 1
