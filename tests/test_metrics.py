import warnings

import numpy as np
import pytest
import surface_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from renalseg.errors import EvaluationError
from renalseg.labels import HECS
from renalseg.metrics import (
    CaseScore,
    HecScore,
    dice,
    mean_score,
    measure_case,
    read_scores,
    score_case,
    surface_dice,
    write_scores,
)
from renalseg.metrics.surfels import surfel_areas_mm2
from renalseg.volume.boxes import BoxedLabels

SPACING = (3.0, 0.8, 0.7)
masks = hnp.arrays(bool, (5, 6, 7))


class Counted:
    def __init__(self, array, count):
        self.boxed, self.count = BoxedLabels.of(array), count


def test_dice_of_half_overlapping_masks():
    a, b = np.zeros((2, 4, 4), bool), np.zeros((2, 4, 4), bool)
    a[:, :2], b[:, 1:3] = True, True
    assert dice(a, b) == 0.5


def test_two_empty_masks_agree_and_one_empty_mask_does_not():
    """KiTS21's rule for both scores."""
    empty, full = np.zeros((3, 3, 3), bool), np.ones((3, 3, 3), bool)
    assert dice(empty, empty) == surface_dice(empty, empty, SPACING, 1.0) == 1
    assert dice(empty, full) == surface_dice(empty, full, SPACING, 1.0) == 0
    assert dice(full, empty) == surface_dice(full, empty, SPACING, 1.0) == 0


def oracle(prediction, reference, spacing, tolerance):
    """DeepMind's Surface Dice with KiTS21's rule for empty masks."""
    if not prediction.any() or not reference.any():
        return float(prediction.any() == reference.any())
    distances = surface_distance.compute_surface_distances(reference, prediction, spacing)
    return surface_distance.compute_surface_dice_at_tolerance(distances, tolerance)


def agrees_with_the_oracle(prediction, reference, spacing):
    score = score_case(prediction, [reference], spacing_mm=spacing)
    for hec in HECS:
        ours, theirs = np.isin(prediction, hec.labels), np.isin(reference, hec.labels)
        expected = oracle(ours, theirs, spacing, hec.tolerance_mm)
        assert score.of(hec).surface_dice == pytest.approx(expected, abs=1e-9)
        total = int(ours.sum()) + int(theirs.sum())
        both = 2 * int((ours & theirs).sum())
        assert score.of(hec).dice == (both / total if total else 1)


def test_surfel_areas_are_the_oracles():
    from surface_distance import lookup_tables

    expected = lookup_tables.create_table_neighbour_code_to_surface_area(SPACING)
    np.testing.assert_allclose(surfel_areas_mm2(SPACING), expected, rtol=1e-14)


@settings(max_examples=60, deadline=None)
@given(masks, masks, st.floats(0, 5))
def test_surface_dice_is_that_of_surface_distance_on_the_whole_volume(a, b, tolerance):
    expected = oracle(a, b, SPACING, tolerance)
    assert surface_dice(a, b, SPACING, tolerance) == pytest.approx(expected, abs=1e-9)


spacings = st.tuples(*[st.floats(0.3, 6)] * 3)
label_maps = hnp.arrays(np.uint8, (6, 9, 8), elements=st.integers(0, 3), fill=st.just(0))


@settings(max_examples=60, deadline=None)
@given(label_maps, label_maps, spacings)
def test_scores_of_random_maps_are_the_oracles(prediction, reference, spacing):
    agrees_with_the_oracle(prediction, reference, spacing)


def shapes():
    """Label maps that break what is written for kidneys."""
    shape = (9, 20, 17)
    zeros = np.zeros(shape, np.uint8)
    grid = np.indices(shape)
    one, far, faces, sheet, ball = (zeros.copy() for _ in range(5))
    one[4, 9, 8] = 2
    far[0, 0, 0], far[-1, -1, -1] = 2, 1
    for axis in range(3):
        faces.swapaxes(0, axis)[0] = 1
        faces.swapaxes(0, axis)[-1] = 3
    sheet[:, 7, :] = 2
    ball[sum((axis - n // 2) ** 2 for axis, n in zip(grid, shape, strict=True)) < 14] = 2
    return {
        "empty": zeros,
        "one voxel": one,
        "two corners": far,
        "every border": faces,
        "full": np.full(shape, 2, np.uint8),
        "thin sheet": sheet,
        "checkerboard": (2 * (grid.sum(axis=0) % 2)).astype(np.uint8),
        "stripes": (1 + grid[0] % 3).astype(np.uint8),
        "ball": ball,
        "ball and speck": np.where(one > 0, one, np.roll(ball, 3, axis=2) + far).clip(0, 3),
    }


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.54, 0.54), (0.2, 3.0, 0.9)])
@pytest.mark.parametrize("name", shapes())
def test_scores_of_adversarial_maps_are_the_oracles(name, spacing):
    for other in shapes().values():
        agrees_with_the_oracle(shapes()[name].astype(np.uint8), other.astype(np.uint8), spacing)


@pytest.mark.parametrize("name", ["case_00004", "case_00021"])
def test_scores_of_real_annotations_are_the_oracles(real_data, name):
    from renalseg.cohort import Cohort, plausible_maps

    maps = plausible_maps(Cohort.open(real_data / "kits23").case(name))
    first, second = maps[0].read(), maps[1].array
    far = first.array.copy()
    far[1:4, 5:40, 5:40] = 2
    agrees_with_the_oracle(far, second, first.spacing_mm)


@settings(max_examples=40, deadline=None)
@given(label_maps, label_maps, spacings)
def test_distances_are_the_oracles(prediction, reference, spacing):
    details = measure_case(prediction, reference, spacing_mm=spacing)
    for hec in HECS:
        ours, theirs = np.isin(prediction, hec.labels), np.isin(reference, hec.labels)
        if not ours.any() or not theirs.any():
            expected = 0.0 if ours.any() == theirs.any() else np.nan
            assert details.of(hec).hd95_mm == pytest.approx(expected, nan_ok=True)
            continue
        found = surface_distance.compute_surface_distances(theirs, ours, spacing)
        sides = [("gt_to_pred", "gt"), ("pred_to_gt", "pred")]
        total = sum(found[f"distances_{d}"] @ found[f"surfel_areas_{a}"] for d, a in sides)
        mean = total / sum(found[f"surfel_areas_{a}"].sum() for _, a in sides)
        # where 95 % fall between two elements, the last digit of a sum says which of them it is
        low, high = (
            surface_distance.compute_robust_hausdorff(found, 95 + e) for e in (-1e-9, 1e-9)
        )
        assert low - 1e-9 <= details.of(hec).hd95_mm <= high + 1e-9
        assert details.of(hec).mean_surface_distance_mm == pytest.approx(mean, abs=1e-9)


def test_volumes_are_in_ml_and_their_difference_is_prediction_minus_reference():
    prediction, reference = np.zeros((2, 10, 12, 14), np.uint8)
    prediction[2:4, 2:6, 2:7], reference[2:4, 2:6, 2:6] = 2, 2
    tumor = measure_case(prediction, reference, spacing_mm=(5, 2, 2)).tumor
    assert (tumor.volume_ml, tumor.reference_volume_ml) == pytest.approx((0.8, 0.64))
    assert tumor.volume_difference_ml == pytest.approx(0.16)


def test_lesions_are_counted_by_overlap_of_components():
    prediction, reference = np.zeros((2, 12, 40, 40), np.uint8)
    reference[2:4, 2:5, 2:5], reference[2:4, 20:24, 20:24], reference[8, 8, 30] = 2, 3, 2
    prediction[3:5, 4:8, 4:8], prediction[8, 35, 35], prediction[10, 2, 2] = 2, 2, 3
    found = measure_case(prediction, reference, spacing_mm=(1, 1, 1))
    mass, tumor = found.mass_lesions, found.tumor_lesions
    assert (mass.reference, mass.detected, mass.predicted, mass.false_positive) == (3, 1, 3, 2)
    assert (tumor.reference, tumor.detected, tumor.predicted, tumor.false_positive) == (2, 1, 2, 1)
    assert mass.sensitivity == pytest.approx(1 / 3)
    assert mass.precision == pytest.approx(1 / 3)


def test_lesions_that_touch_at_a_corner_are_one():
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[1, 1, 1], labels[2, 2, 2] = 2, 2
    assert measure_case(labels, labels, spacing_mm=(1, 1, 1)).tumor_lesions.reference == 1


def test_maps_of_other_integer_types_and_orders_score_the_same():
    random = np.random.RandomState(1)
    a, b = (random.randint(0, 4, (5, 7, 8)) for _ in range(2))
    expected = score_case(a.astype(np.uint8), [b.astype(np.uint8)], spacing_mm=SPACING)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert score_case(np.asfortranarray(a), [b.astype(float)], spacing_mm=SPACING) == expected


def test_surface_dice_counts_a_shift_within_the_tolerance_as_none():
    a, b = np.zeros((9, 9, 9), bool), np.zeros((9, 9, 9), bool)
    a[3:6, 3:6, 3:6], b[4:7, 3:6, 3:6] = True, True
    assert surface_dice(a, b, (1, 1, 1), 1.5) == 1
    assert surface_dice(a, b, (1, 1, 1), 0.4) < 1


def test_hec_is_the_union_of_its_labels():
    """Tumor called cyst: right as kidney and mass and as mass, wrong as tumor."""
    reference = np.zeros((4, 8, 8), np.uint8)
    reference[:, :5], reference[:, 5:7] = 1, 2
    prediction = np.where(reference == 2, 3, reference).astype(np.uint8)
    score = score_case(prediction, [reference], spacing_mm=SPACING)
    assert score.kidney_and_mass == HecScore(1, 1)
    assert score.mass == HecScore(1, 1)
    assert score.tumor == HecScore(0, 0)


def test_score_is_the_mean_over_references_with_their_counts():
    random = np.random.RandomState(0)
    prediction, a, b = (random.randint(0, 4, (4, 6, 6)).astype(np.uint8) for _ in range(3))
    one, two = (score_case(prediction, [m], spacing_mm=SPACING) for m in (a, b))
    both = score_case(prediction, [Counted(a, 2), Counted(b, 1)], spacing_mm=SPACING)
    listed = score_case(prediction, [a, b, a], spacing_mm=SPACING)
    for hec in HECS:
        expected = (2 * one.of(hec).dice + two.of(hec).dice) / 3
        assert both.of(hec).dice == pytest.approx(expected)
        assert both.of(hec).surface_dice == pytest.approx(listed.of(hec).surface_dice)


@pytest.mark.parametrize(
    ("prediction", "references", "message"),
    [
        (np.zeros((2, 2, 2), np.uint8), [], "no reference"),
        (
            np.zeros((2, 2, 2), np.uint8),
            [np.zeros((2, 2, 3), np.uint8)],
            r"\(2, 2, 2\) and \(2, 2, 3\)",
        ),
        (
            np.full((2, 2, 2), 4, np.uint8),
            [np.zeros((2, 2, 2), np.uint8)],
            "expected labels 0-3, got 4-4",
        ),
        (
            np.full((2, 2, 2), 0.5),
            [np.zeros((2, 2, 2), np.uint8)],
            "prediction: expected whole numbers",
        ),
        (np.full((2, 2, 2), -1), [np.zeros((2, 2, 2), np.uint8)], "expected labels 0-3, got -1"),
        (np.zeros((2, 2), np.uint8), [np.zeros((2, 2), np.uint8)], "expected a 3D label map"),
    ],
)
def test_what_cannot_be_compared_is_refused(prediction, references, message):
    with pytest.raises(EvaluationError, match=message):
        score_case(prediction, references, spacing_mm=SPACING)


@pytest.mark.parametrize("spacing", [(0, 1, 1), (1, 1), (1, float("nan"), 1)])
def test_spacing_that_is_none_is_refused(spacing):
    empty = np.zeros((2, 2, 2), np.uint8)
    with pytest.raises(EvaluationError, match="three positive sizes"):
        score_case(empty, [empty], spacing_mm=spacing)


def scores():
    hecs = [HecScore(0.5, 0.25), HecScore(1 / 3, 0.125), HecScore(0, 1)]
    return {"case_00002": CaseScore(*hecs), "case_00001": CaseScore(*reversed(hecs))}


def test_scores_file_is_the_challenges(tmp_path):
    write_scores(scores(), tmp_path / "evaluation.csv")
    assert (tmp_path / "evaluation.csv").read_text() == (
        "caseID,Dice_kidney,Dice_masses,Dice_tumor,SD_kidney,SD_masses,SD_tumor\n"
        "case_00001,0.00000000,0.33333333,0.50000000,1.00000000,0.12500000,0.25000000\n"
        "case_00002,0.50000000,0.33333333,0.00000000,0.25000000,0.12500000,1.00000000\n"
        "average,0.25000000,0.33333333,0.25000000,0.62500000,0.12500000,0.62500000"
    )
    assert sorted(read_scores(tmp_path / "evaluation.csv")) == ["case_00001", "case_00002"]


def test_mean_score_is_the_mean_over_cases():
    assert mean_score(scores().values()).mass == HecScore(pytest.approx(1 / 3), 0.125)
    with pytest.raises(EvaluationError, match="no scores"):
        mean_score([])


def test_other_csv_is_refused(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(EvaluationError, match="expected the columns"):
        read_scores(tmp_path / "x.csv")
