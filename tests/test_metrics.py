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
    read_scores,
    score_case,
    surface_dice,
    write_scores,
)

SPACING = (3.0, 0.8, 0.7)
masks = hnp.arrays(bool, (5, 6, 7))


class Counted:
    def __init__(self, array, count):
        self.array, self.count = array, count


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


@settings(max_examples=30, deadline=None)
@given(masks, masks, st.floats(0.1, 5))
def test_surface_dice_is_that_of_surface_distance_on_the_whole_volume(a, b, tolerance):
    if not a.any() or not b.any():
        return
    distances = surface_distance.compute_surface_distances(b, a, SPACING)
    expected = surface_distance.compute_surface_dice_at_tolerance(distances, tolerance)
    assert surface_dice(a, b, SPACING, tolerance) == pytest.approx(expected, abs=1e-12)


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
        (np.zeros((2, 2), np.uint8), [np.zeros((2, 2), np.uint8)], "expected a 3D label map"),
    ],
)
def test_what_cannot_be_compared_is_refused(prediction, references, message):
    with pytest.raises(EvaluationError, match=message):
        score_case(prediction, references, spacing_mm=SPACING)


def scores():
    hecs = [HecScore(0.5, 0.25), HecScore(1 / 3, 0.125), HecScore(0, 1)]
    return {"case_00002": CaseScore(*hecs), "case_00001": CaseScore(*reversed(hecs))}


def test_scores_file_is_the_challenges(tmp_path):
    write_scores(scores(), tmp_path / "evaluation.csv")
    assert (tmp_path / "evaluation.csv").read_text() == (
        "caseID,Dice_kidney,Dice_masses,Dice_tumor,SD_kidney,SD_masses,SD_tumor\n"
        "case_00001,0.00000000,0.33333333,0.50000000,1.00000000,0.12500000,0.25000000\n"
        "case_00002,0.50000000,0.33333333,0.00000000,0.25000000,0.12500000,1.00000000\n"
        "average,0.25000000,0.33333333,0.25000000,0.62500000,0.12500000,0.62500000\n"
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
