"""How images and labels are prepared for a network, and which labels it gets."""

import blosc2
import numpy as np
import pytest
from skimage.transform import resize

from kits_cases import save
from renalseg.cohort import Cohort
from renalseg.experiment.cohorts import training_labels
from renalseg.models.plans import FULLRES, LOWRES, PAPER_PLAN
from tiny_training import PAPER, images_of, write_case, write_training_set


def prepared(tmp_path, image_hu, labels, spacing_mm, configuration=FULLRES):
    """Image and labels as a network of the paper's plan meets them."""
    case = write_case(tmp_path, "case_00000", image_hu, lambda _: labels, spacing_mm)
    workspace, _ = write_training_set(
        tmp_path / "run", [case], PAPER_PLAN, {configuration: ("majority",)}, splits=1
    )
    image = images_of(workspace, configuration) / "case_00000.b2nd"
    variant = workspace.labels("Dataset021_Tiny", configuration, "majority") / image.name
    return tuple(blosc2.open(urlpath=str(path), mode="r")[0] for path in (image, variant))


def test_intensities_are_clipped_centered_and_scaled_as_in_the_paper(tmp_path):
    """Section 2.3: [-62, 310] HU, 104.9 and 75.3."""
    values = {-1000: -2.216467, -63: -2.216467, -61: -2.203187, 30: -0.994688, 105: 0.001328}
    values |= {309: 2.710491, 311: 2.723772, 3000: 2.723772}
    image = np.zeros((8, 9, 10)) + list(values)[4]
    for place, hu in enumerate(values):
        image[place] = hu
    found, _ = prepared(tmp_path, image, image > 300, (0.78, 0.78, 0.78))
    assert found.shape == (8, 9, 10)  # slices come first
    for place, wanted in enumerate(values.values()):
        np.testing.assert_allclose(found[place], wanted, atol=2e-6)


def noise(shape):
    """An image and labels that resampling changes everywhere."""
    random = np.random.default_rng(5)
    image = resize(random.normal(100, 400, [n // 2 for n in shape]), shape, order=1)
    labels = np.digitize(resize(random.normal(size=[n // 3 for n in shape]), shape), [0, 0.6, 1.2])
    return image, labels


def cubic(hu, shape):
    """Normalized, then resampled: nnU-Net's order of the two."""
    normalized = (np.clip(hu, -62, 310) - 104.9) / 75.3
    return resize(normalized, shape, order=3, mode="edge", anti_aliasing=False)


def labels_agree(found, labels, shape):
    """Each voxel's label is the one with most of it; what is said of ties has changed before."""
    share = np.stack(
        [
            resize(
                (labels == label).astype(float), shape, order=1, mode="edge", anti_aliasing=False
            )
            for label in range(4)
        ]
    )
    clear = share.max(axis=0) > 0.51
    return bool(clear.mean() > 0.7 and (found == share.argmax(axis=0))[clear].all())


@pytest.mark.parametrize(
    ("configuration", "spacing_mm", "shape"),
    [
        (FULLRES, (1.2, 0.9, 0.7), (25, 25, 25)),
        (LOWRES, (1.2, 0.9, 0.7), (10, 10, 10)),
        (LOWRES, (3.0, 1.5, 1.5), (24, 17, 21)),
    ],
)
def test_images_are_resampled_by_cubic_splines_and_labels_linearly(
    tmp_path, configuration, spacing_mm, shape
):
    """To 0.78 and 1.99 mm along each axis (sections 2.3.1 and 2.3.2); nnU-Net's orders."""
    size = (16, 22, 28)
    image, labels = noise(size)
    mm = {FULLRES: 0.78, LOWRES: 1.99}[configuration]
    assert shape == tuple(round(n * a / mm) for n, a in zip(size, spacing_mm, strict=True))
    found, variant = prepared(tmp_path, image, labels, spacing_mm, configuration)
    np.testing.assert_allclose(found, cubic(image, shape), atol=1e-4)
    assert labels_agree(variant, labels, shape)


def test_thick_slices_are_repeated_and_not_mixed(tmp_path):
    """The data's 3 mm slices at 0.78 mm in plane: nnU-Net takes the nearest across them."""
    image, labels = noise((8, 22, 28))
    found, variant = prepared(tmp_path, image, labels, (3.0, 0.9, 0.78))
    assert found.shape == (31, 25, 28)
    nearest = np.rint((np.arange(31) + 0.5) * 8 / 31 - 0.5).astype(int).clip(0, 7)
    flat = [cubic(one, (25, 28)) for one in image]
    np.testing.assert_allclose(found, np.array(flat)[nearest], atol=1e-4)
    for one, index in zip(variant, nearest, strict=True):
        assert labels_agree(one, labels[index], (25, 28))


SLICE_COUNT = 40
STORED = {
    "IPL": (np.array([[0, 0, -1.0, 0], [0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1]]), lambda a: a),
    "RAS": (np.eye(4), lambda a: a.transpose(2, 1, 0)[::-1, ::-1, ::-1]),
    "PSR": (  # slices in the middle, from foot to head
        np.array([[0, 0, 1.0, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]),
        lambda a: a.transpose(1, 0, 2)[:, ::-1, ::-1],
    ),
}


@pytest.fixture(params=STORED)
def case(tmp_path, request):
    """One kidney; the width of its mask says who drew it."""
    affine, stored = STORED[request.param]
    for annotator in (1, 2, 3):
        mask = np.zeros((SLICE_COUNT, 5, 6), np.uint8)
        mask[:, 1:4, : annotator + 1] = 1
        name = f"kidney_instance-1_annotation-{annotator}.nii.gz"
        save(tmp_path / "case_00123/segmentations" / name, stored(mask), affine)
    (one,) = Cohort.open(tmp_path).cases
    return one


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_axial_slice_has_a_plausible_map_of_its_own(case, seed):
    """Section 3.3; the axial axis is that of the affine."""
    official = np.random.RandomState(123)  # KiTS21 draws five groups of three maps by case number
    annotators = []
    for _ in range(5):
        offset = official.randint(0, 3)
        annotators += [(offset + turn) % 3 + 1 for turn in range(3)]
    drawn = np.random.RandomState([seed, 123]).randint(15, size=SLICE_COUNT)
    labels = training_labels(case, PAPER[f"seed-{seed}"].annotations).array
    widths = [len(np.flatnonzero(one.any(axis=0))) for one in labels]
    assert widths == [annotators[index] + 1 for index in drawn]
    assert set(widths) == {2, 3, 4}


def test_the_baseline_has_the_majority_vote(case):
    labels = training_labels(case, PAPER["baseline"].annotations).array
    assert {len(np.flatnonzero(one.any(axis=0))) for one in labels} == {3}
