"""Label maps of several annotators: aggregation and references."""

from collections import Counter

import nibabel as nib
import numpy as np
import pytest

from kits_cases import IPL, SHAPE, load, make_case, save
from renalseg.cohort import (
    Cohort,
    Layout,
    aggregate,
    per_slice_map,
    plausible_maps,
    references,
    write_aggregate,
)
from renalseg.errors import CohortError
from renalseg.volume import read_labels

#: One kidney, two tumors and a cyst; one of each class; four cysts; no cyst.
REAL = ("case_00194", "case_00257", "case_00110", "case_00061")


@pytest.fixture
def case(tmp_path):
    make_case(tmp_path / "case_00042")
    return Cohort.open(tmp_path).cases[0]


def official_aggregate(folder, how):
    """The rule of KiTS's ``import.py`` on whole arrays: more than half, all, any."""
    out = 0
    for label, value in (("kidney", 1), ("cyst", 3), ("tumor", 2)):
        for number in range(1, 20):
            masks = [load(p) for p in folder.glob(f"{label}_instance-{number}_annotation-*.nii.gz")]
            if masks:
                votes, all_of = np.sum(masks, axis=0), len(masks)
                inside = {"majority": votes > all_of / 2, "and": votes == all_of, "or": votes > 0}[
                    how
                ]
                out = np.where(inside, value, out)
    return out


@pytest.mark.parametrize("annotators", [1, 2, 3, 4])
@pytest.mark.parametrize("how", ["majority", "and", "or"])
def test_aggregate(tmp_path, annotators, how):
    make_case(tmp_path / "case_00001", annotators=annotators)
    found = aggregate(Cohort.open(tmp_path).cases[0], how).array
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(
        found, official_aggregate(tmp_path / "case_00001" / "instances", how)
    )


def test_a_tie_is_outside(tmp_path):
    folder = tmp_path / "case_00001" / "instances"
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:4] = 1
    save(folder / "kidney_instance-1_annotation-1.nii.gz", mask)
    save(folder / "kidney_instance-1_annotation-2.nii.gz", np.zeros(SHAPE, np.uint8))
    case = Cohort.open(tmp_path).cases[0]
    assert not aggregate(case, "majority").array.any()
    assert not aggregate(case, "and").array.any()
    np.testing.assert_array_equal(aggregate(case, "or").array, mask)


def test_empty_annotations_give_an_empty_map(tmp_path):
    for annotator in (1, 2):
        name = f"kidney_instance-1_annotation-{annotator}.nii.gz"
        save(tmp_path / "case_00001" / "instances" / name, np.zeros(SHAPE, np.uint8))
    assert not aggregate(Cohort.open(tmp_path).cases[0], "or").array.any()


def test_unknown_aggregation_is_refused(case):
    with pytest.raises(
        CohortError, match="expected majority, and or or as aggregation, got 'mean'"
    ):
        aggregate(case, "mean")


def test_aggregate_is_written_on_the_source_grid(case, tmp_path):
    path = write_aggregate(case, "or", tmp_path / "out")
    assert path == tmp_path / "out" / "aggregated_OR_seg.nii.gz"
    np.testing.assert_array_equal(nib.load(path).affine, IPL.astype(np.float32))
    np.testing.assert_array_equal(load(path), aggregate(case, "or").array)


def test_annotations_on_two_grids_are_refused(case):
    path = case.instances[0].annotations[1].path
    save(path, np.zeros((6, 8, 10), np.uint8))
    with pytest.raises(
        CohortError, match=r"shape \(6, 8, 10\), but kidney_instance-1_annotation-1"
    ):
        aggregate(case)


def test_imaging_on_another_grid_is_refused(case):
    save(case.image_path, np.zeros((6, 8, 10), np.int16))
    with pytest.raises(CohortError, match=r"but imaging.nii.gz has \(6, 8, 10\)"):
        plausible_maps(case)[0].read()


def test_every_file_of_plausible_maps_counts(tmp_path):
    make_case(tmp_path / "case_00023")
    case = Cohort.open(tmp_path).cases[0]
    found = references(case)
    counts = Counter(plausible.name for plausible in plausible_maps(case))
    assert {reference.name: reference.count for reference in found} == counts
    assert sum(reference.count for reference in found) == 15
    by_name = {plausible.name: plausible for plausible in plausible_maps(case)}
    for reference in found:
        np.testing.assert_array_equal(reference.array, by_name[reference.name].array)


@pytest.mark.parametrize(("layout", "annotators"), [(Layout.KITS23, 1), (Layout.KITS19, 0)])
def test_one_annotation_is_scored_against_the_segmentation(tmp_path, layout, annotators):
    make_case(tmp_path / "case_00301", layout, annotators)
    case = Cohort.open(tmp_path).cases[0]
    (reference,) = references(case)
    assert (reference.name, reference.count) == ("segmentation", 1)
    np.testing.assert_array_equal(reference.array, load(case.folder / "segmentation.nii.gz"))


def test_one_annotation_without_segmentation_is_scored_against_the_merged_one(tmp_path):
    make_case(tmp_path / "case_00301", annotators=1)
    (tmp_path / "case_00301" / "segmentation.nii.gz").unlink()
    case = Cohort.open(tmp_path).cases[0]
    (reference,) = references(case)
    np.testing.assert_array_equal(reference.array, aggregate(case).array)
    np.testing.assert_array_equal(per_slice_map(case, 5).array, aggregate(case).array)


def test_kits19_has_one_label_map(tmp_path):
    make_case(tmp_path / "case_00001", Layout.KITS19)
    case = Cohort.open(tmp_path).cases[0]
    labels = load(case.folder / "segmentation.nii.gz")
    np.testing.assert_array_equal(aggregate(case).array, labels)
    np.testing.assert_array_equal(per_slice_map(case, 1).array, labels)
    with pytest.raises(CohortError, match="no annotations of single instances"):
        plausible_maps(case)


def test_case_without_labels_is_refused(tmp_path):
    make_case(tmp_path / "case_00001", Layout.KITS19)
    (tmp_path / "case_00001" / "segmentation.nii.gz").unlink()
    case = Cohort.open(tmp_path).cases[0]
    with pytest.raises(CohortError, match=r"no annotations, no segmentation.nii.gz"):
        references(case)[0].read()


@pytest.mark.parametrize("name", REAL)
def test_majority_is_the_segmentation_of_real_cases(real_data, name):
    # all 60 real cases agree voxel for voxel; these four are quick
    case = Cohort.open(real_data / "kits23").case(name)
    found, expected = aggregate(case), read_labels(case.segmentation_path)
    assert found.same_grid(expected)
    np.testing.assert_array_equal(found.array, expected.array)
