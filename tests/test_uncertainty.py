import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import entropy as scipy_entropy

from renalseg.inference.uncertainty import entropy, lesion_disagreement
from renalseg.labels import Label

SPACING_MM = (5.0, 2.0, 1.0)  # 100 voxels are 1 ml


def with_lesion(*boxes, label=Label.TUMOR):
    labels = np.zeros((20, 30, 30), np.uint8)
    labels[4:16, 4:26, 4:26] = Label.KIDNEY
    for box in boxes:
        labels[box] = label
    return labels


LESION = (slice(6, 10), slice(10, 15), slice(10, 15))
OTHER = (slice(11, 14), slice(10, 15), slice(10, 15))


@settings(deadline=None)
@given(hnp.arrays(np.float32, (4, 3, 2), elements=st.floats(0, 10, width=32)))
def test_entropy_agrees_with_scipy(scores):
    probabilities = np.exp(scores) / np.exp(scores).sum(0)
    found = entropy(torch.from_numpy(probabilities))
    np.testing.assert_allclose(found, scipy_entropy(probabilities, base=4, axis=0), atol=1e-5)


def test_entropy_runs_from_certain_to_even():
    certain, even = torch.tensor([1.0, 0, 0, 0]), torch.full((4,), 0.25)
    found = entropy(torch.stack([certain, even], 1)[:, None])
    assert found.tolist() == [[0.0, 1.0]]
    assert entropy(torch.ones(1, 2, 2)).max() == 0


def test_entropy_of_half_precision_is_float():
    assert entropy(torch.full((4, 1, 1), 0.25, dtype=torch.float16)).dtype == torch.float32


def test_a_map_without_lesions_has_none():
    kidney = with_lesion()
    assert lesion_disagreement(kidney, [kidney], spacing_mm=SPACING_MM) == []
    assert lesion_disagreement(kidney * 0, [], spacing_mm=SPACING_MM) == []


def test_members_that_say_the_same_agree():
    labels = with_lesion(LESION)
    (lesion,) = lesion_disagreement(labels, [labels, labels], spacing_mm=SPACING_MM)
    assert lesion.agreement == 1
    assert lesion.label is Label.TUMOR
    assert lesion.volume_ml == pytest.approx(1.0)
    assert lesion.box == LESION
    assert lesion.entropy is None


def test_a_member_that_calls_it_a_cyst_agrees_on_the_lesion():
    tumor, cyst = with_lesion(LESION), with_lesion(LESION, label=Label.CYST)
    assert lesion_disagreement(tumor, [cyst], spacing_mm=SPACING_MM)[0].agreement == 1


def test_agreement_is_the_mean_dice_of_the_members():
    labels, half = with_lesion(LESION), with_lesion((slice(6, 8), *LESION[1:]))
    (lesion,) = lesion_disagreement(labels, [half, with_lesion()], spacing_mm=SPACING_MM)
    assert lesion.agreement == pytest.approx((2 * 50 / 150 + 0) / 2)


def test_a_member_that_finds_more_agrees_less():
    labels, more = with_lesion(LESION), with_lesion((slice(4, 12), *LESION[1:]))
    (lesion,) = lesion_disagreement(labels, [more], spacing_mm=SPACING_MM)
    assert lesion.agreement == pytest.approx(2 * 100 / 300)


def test_a_neighbour_is_not_taken_for_the_lesion():
    labels = with_lesion(LESION, OTHER)
    lesions = lesion_disagreement(labels, [labels], spacing_mm=SPACING_MM)
    assert [lesion.agreement for lesion in lesions] == [1, 1]
    assert [lesion.box for lesion in lesions] == [LESION, OTHER]


def test_tumor_and_cyst_that_touch_are_one_lesion():
    labels = with_lesion(LESION)
    labels[6:9, 10:15, 10:15] = Label.CYST
    (lesion,) = lesion_disagreement(labels, [], spacing_mm=SPACING_MM)
    assert lesion.label is Label.CYST
    assert lesion.agreement is None


def test_entropy_is_averaged_over_the_lesion():
    labels = with_lesion(LESION)
    uncertain = np.where(labels == Label.TUMOR, np.float32(0.5), np.float32(0))
    (lesion,) = lesion_disagreement(labels, [], spacing_mm=SPACING_MM, entropy=uncertain)
    assert lesion.entropy == pytest.approx(0.5)


def test_members_agree_on_real_lesions(real_data):
    from renalseg.volume import read_labels

    found = read_labels(real_data / "kits23" / "case_00200" / "segmentation.nii.gz")
    before = found.array.copy()
    lesions = lesion_disagreement(found.array, [found.array], spacing_mm=found.spacing_mm)
    assert {lesion.agreement for lesion in lesions} == {1.0}
    assert lesions[0].volume_ml == pytest.approx(89.2, abs=0.1)
    assert np.array_equal(found.array, before)
