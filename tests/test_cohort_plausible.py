"""Plausible maps and the per-slice maps that the paper trains on."""

import re
from itertools import combinations

import nibabel as nib
import numpy as np
import pytest

from kits_cases import SHAPE, load, make_case, save
from renalseg.cohort import Cohort, Layout, per_slice_map, plausible_maps, write_plausible_maps


@pytest.fixture
def case(tmp_path):
    make_case(tmp_path / "case_00042")
    return Cohort.open(tmp_path).cases[0]


def official_maps(folder, seed):
    """KiTS21's rule, written down straight from its description: {group/name: labels}."""
    found = {}
    for path in folder.glob("*.nii.gz"):
        label, number, chosen = re.match(
            r"(\w+)_instance-(\d+)_annotation-(\d+)", path.name
        ).groups()
        found.setdefault((label, int(number)), []).append(int(chosen))
    of = {
        label: [(n, sorted(found[name, n])) for name, n in sorted(found) if name == label]
        for label in ("kidney", "tumor", "cyst")
    }
    fewest = min(len(chosen) for chosen in found.values())
    random = np.random.RandomState(seed)
    maps = {}
    for group in range(5):
        offsets = {
            label: [random.randint(0, len(chosen)) for _, chosen in of[label]]
            for label in ("kidney", "tumor", "cyst")
        }
        for turn in range(fewest):
            name, labels = [], None
            for label, value in (("kidney", 1), ("cyst", 3), ("tumor", 2)):
                name.append(label)
                for (number, chosen), offset in zip(of[label], offsets[label], strict=True):
                    annotation = chosen[(offset + turn) % len(chosen)]
                    name.append(f"i{number}a{annotation}")
                    mask = load(
                        folder / f"{label}_instance-{number}_annotation-{annotation}.nii.gz"
                    )
                    labels = np.zeros(mask.shape, np.uint8) if labels is None else labels
                    labels[mask == 1] = value
            maps[f"group_{group}/{'_'.join(name)}.nii.gz"] = labels
    return maps


@pytest.mark.parametrize("number", [0, 7, 42, 299])
def test_plausible_maps_are_those_of_kits21(tmp_path, number):
    make_case(tmp_path / f"case_{number:05d}", Layout.KITS21)
    case = Cohort.open(tmp_path).cases[0]
    expected = official_maps(case.folder / "segmentations", number)
    maps = plausible_maps(case)
    assert [plausible.file_name for plausible in maps] == list(expected)
    for plausible in maps:
        np.testing.assert_array_equal(plausible.array, expected[plausible.file_name])


def test_fewest_annotations_decide_the_number_of_maps(case):
    tumor = next(instance for instance in case.instances if instance.label.title == "tumor")
    tumor.annotations[1].path.unlink()
    again = Cohort.open(case.folder.parent).cases[0]
    names = [plausible.file_name for plausible in plausible_maps(again)]
    assert len(names) == 10
    assert names == list(official_maps(case.folder / "instances", 42))


def test_names_hold_every_class(tmp_path):
    save(tmp_path / "case_00001/instances/kidney_instance-1_annotation-2.nii.gz", np.zeros(SHAPE))
    (one, *_) = plausible_maps(Cohort.open(tmp_path).cases[0])
    assert one.file_name == "group_0/kidney_i1a2_cyst_tumor.nii.gz"


def test_no_two_maps_of_a_group_share_an_annotation(real_data):
    for case in Cohort.open(real_data / "kits23").cases:
        maps = plausible_maps(case)
        assert len(maps) == 15
        assert 6 <= len({plausible.choice for plausible in maps}) <= 15
        for group in range(5):
            choices = [set(plausible.choice) for plausible in maps if plausible.group == group]
            assert all(not a & b for a, b in combinations(choices, 2))


def test_drawing_reads_no_voxels(case):
    for instance in case.instances:
        for annotation in instance.annotations:
            annotation.path.write_bytes(b"")
    assert len(plausible_maps(case)) == 15


def test_equal_choices_are_equal_voxels(case):
    maps = plausible_maps(case)
    for a, b in combinations(maps, 2):
        assert (a.choice == b.choice) == np.array_equal(a.array, b.array)


def test_writing_is_resumed(case):
    written = write_plausible_maps(case)
    assert len(written) == 15
    assert sorted(case.samples_folder.rglob("*.nii.gz")) == sorted(written)
    expected = official_maps(case.folder / "instances", 42)
    for path in written:
        name = path.relative_to(case.samples_folder).as_posix()
        np.testing.assert_array_equal(load(path), expected[name])
    before = written[0].stat().st_mtime_ns
    written[3].unlink()
    assert write_plausible_maps(case) == [written[3]]
    assert written[0].stat().st_mtime_ns == before


def test_per_slice_map_takes_each_slice_from_a_plausible_map(case):
    arrays = [plausible.array for plausible in plausible_maps(case)]
    found = per_slice_map(case, 1).array
    drawn = np.random.RandomState([1, 42]).randint(15, size=SHAPE[0])
    for number, index in enumerate(drawn):
        np.testing.assert_array_equal(found[number], arrays[index][number])


def test_per_slice_map_depends_on_the_seed_alone(case):
    first = per_slice_map(case, 1).array
    np.testing.assert_array_equal(first, per_slice_map(case, 1).array)
    assert not np.array_equal(first, per_slice_map(case, 2).array)


def test_per_slice_map_finds_the_axial_axis_in_the_affine(case):
    expected = per_slice_map(case, 1)
    for instance in case.instances:
        for annotation in instance.annotations:
            turned = nib.as_closest_canonical(nib.load(annotation.path))
            save(annotation.path, np.asarray(turned.dataobj), turned.affine)
    found = per_slice_map(case, 1)
    assert found.same_grid(expected)
    np.testing.assert_array_equal(found.array, expected.array)
    assert nib.aff2axcodes(found.source.affine) == ("R", "A", "S")


def test_plausible_maps_of_a_real_case(real_data):
    case = Cohort.open(real_data / "kits23").case("case_00061")
    expected = official_maps(case.folder / "instances", case.number)
    assert [plausible.file_name for plausible in plausible_maps(case)] == list(expected)
    for plausible in plausible_maps(case)[::4]:
        np.testing.assert_array_equal(plausible.array, expected[plausible.file_name])
