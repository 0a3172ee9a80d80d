"""The synthetic cohort: its layout, its anatomy, its annotators."""

from itertools import combinations

import nibabel
import numpy as np
import pytest

from renalseg.cohort import Cohort
from renalseg.cohort.phantom import (
    PhantomConfig,
    make_phantom,
    write_liver_cohort,
    write_phantom_cohort,
)
from renalseg.cohort.phantom.grid import Grid, SmoothField
from renalseg.cohort.phantom.kidneys import draw_kidneys
from renalseg.cohort.phantom.lesions import draw_lesions
from renalseg.cohort.phantom.patient import draw_patient_and_grid
from renalseg.errors import CohortError

SMALL = {"in_plane_mm": (3.5, 4.5), "slice_mm": (4.0, 5.0)}


def dice(a, b):
    return 2 * np.logical_and(a, b).sum() / (a.sum() + b.sum())


def world_center(mask, affine):
    return (affine @ [*np.argwhere(mask).mean(0), 1])[:3]


@pytest.fixture(scope="module")
def phantoms():
    config = PhantomConfig(seed=3, **SMALL)
    return [make_phantom(config, index) for index in range(6)]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    config = PhantomConfig(cases=2, seed=3, **SMALL)
    return folder, config, write_phantom_cohort(folder, config)


def test_patient_lies_as_the_affine_says(phantoms):
    for phantom in phantoms:
        assert nibabel.aff2axcodes(phantom.affine) == ("I", "P", "L")
        body = world_center(phantom.image > -200, phantom.affine)
        liver = world_center(phantom.liver > 0, phantom.affine)
        kidneys = world_center(phantom.truth == 1, phantom.affine)
        bone = world_center(phantom.image > 400, phantom.affine)
        assert liver[0] > body[0] + 15  # on the patient's right
        assert bone[1] < body[1] - 15  # behind
        assert kidneys[1] < body[1]
        assert liver[2] > kidneys[2]  # nearer to the head


def test_tissues_have_plausible_hu(phantoms):
    for phantom in phantoms:
        inside = phantom.image[phantom.truth == 1]
        low, high = {"none": (10, 45), "arterial": (80, 220)}.get(phantom.phase, (85, 220))
        assert low < np.median(inside) < high
        assert 5 < np.median(phantom.image[phantom.liver == 1]) < 135
        corner = phantom.image[:, :2, :2]
        assert np.median(corner) <= -950
        assert (phantom.image > 250).sum() > 100
        fat = phantom.image[(phantom.image > -150) & (phantom.image < -50)]
        assert -120 < np.median(fat) < -80


def test_phases_and_lesions_vary():
    config = PhantomConfig(seed=1, in_plane_mm=(6, 7), slice_mm=(6, 8))
    made = [make_phantom(config, index) for index in range(12)]
    assert len({phantom.phase for phantom in made}) >= 3
    kinds = [instance.kind for phantom in made for instance in phantom.instances]
    assert 18 <= kinds.count("kidney") <= 24
    assert kinds.count("tumor") >= 8
    assert kinds.count("cyst") >= 2


def test_annotators_agree_but_for_borders(phantoms):
    for phantom in phantoms:
        for instance in phantom.instances:
            assert len(instance.annotations) == 3
            for a, b in combinations(instance.annotations, 2):
                assert a.any()
                if instance.kind == "kidney":
                    assert 0.85 <= dice(a, b) <= 0.995


def test_majority_is_near_the_truth(phantoms):
    for phantom in phantoms:
        assert dice(phantom.majority() > 0, phantom.truth > 0) > 0.9
        assert not (phantom.liver[phantom.truth > 0]).any()


def test_case_does_not_depend_on_the_others(phantoms):
    alone = make_phantom(PhantomConfig(cases=1, first_case=4, seed=3, **SMALL), 4)
    np.testing.assert_array_equal(alone.image, phantoms[4].image)
    np.testing.assert_array_equal(alone.truth, phantoms[4].truth)


def test_cohort_is_kits21(cohort):
    folder, _, paths = cohort
    assert [path.name for path in paths] == ["case_00000", "case_00001"]
    for case in Cohort.open(folder).cases:
        assert case.layout == "KiTS21"
        assert case.problems() == []
        assert case.annotators == 3
        image = nibabel.load(case.image_path)
        assert image.get_data_dtype() == np.int16
        assert nibabel.aff2axcodes(image.affine) == ("I", "P", "L")


def test_aggregated_map_is_what_the_cohort_makes(cohort):
    from renalseg.cohort import aggregate

    folder, _, _ = cohort
    case = Cohort.open(folder).cases[0]
    stored = np.asarray(nibabel.load(case.segmentation_path).dataobj)
    np.testing.assert_array_equal(stored, aggregate(case).array)


def test_same_seed_gives_the_same_bytes(cohort, tmp_path):
    folder, config, paths = cohort
    write_phantom_cohort(tmp_path, config)
    for path in paths[0].rglob("*.nii.gz"):
        assert path.read_bytes() == (tmp_path / path.relative_to(folder)).read_bytes()


def test_standing_cases_are_kept(cohort):
    folder, config, paths = cohort
    before = (paths[0] / "imaging.nii.gz").stat().st_mtime_ns
    seen = []
    write_phantom_cohort(folder, config, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    assert (paths[0] / "imaging.nii.gz").stat().st_mtime_ns == before


def test_another_seed_is_refused(cohort):
    folder, _, _ = cohort
    with pytest.raises(CohortError, match="made with another seed"):
        write_phantom_cohort(folder, PhantomConfig(cases=2, seed=4, **SMALL))


def test_real_cases_are_not_mixed_with_phantoms(tmp_path):
    (tmp_path / "case_00000").mkdir()
    with pytest.raises(CohortError, match="no phantoms"):
        write_phantom_cohort(tmp_path, PhantomConfig(cases=1))


def test_liver_cohort_is_lits(tmp_path):
    config = PhantomConfig(cases=1, seed=5, **SMALL)
    (image,) = write_liver_cohort(tmp_path, config)
    labels = nibabel.load(tmp_path / "segmentation-0.nii.gz")
    assert image.name == "volume-0.nii.gz"
    assert nibabel.load(image).shape == labels.shape
    assert set(np.unique(np.asarray(labels.dataobj))) <= {0, 1, 2}
    assert (np.asarray(labels.dataobj) == 1).any()


def test_headers_only_cases_are_of_full_size(tmp_path):
    paths = write_phantom_cohort(tmp_path, PhantomConfig(cases=3, headers_only=True))
    image = nibabel.load(paths[0] / "imaging.nii.gz")
    assert image.shape[1:] == (512, 512)
    assert 60 <= image.shape[0] <= 160
    assert nibabel.aff2axcodes(image.affine) == ("I", "P", "L")
    labels = np.asarray(nibabel.load(paths[0] / "aggregated_MAJ_seg.nii.gz").dataobj)
    assert {0, 1, 2} <= set(np.unique(labels))
    assert np.asarray(image.dataobj)[0, 0, 0] == -1000


def test_real_anatomy_keeps_its_volumes(real_data):
    config = PhantomConfig(seed=1, anatomy=real_data / "kits23", **SMALL)
    phantom = make_phantom(config, 0)
    case = Cohort.open(real_data / "kits23").cases[0]
    real = nibabel.load(case.segmentation_path)
    labels = np.asarray(real.dataobj)
    for label in (1, 2):
        wanted = (labels == label).sum() * abs(np.linalg.det(real.affine[:3, :3]))
        found = (phantom.truth == label).sum() * abs(np.linalg.det(phantom.affine[:3, :3]))
        assert found == pytest.approx(wanted, rel=0.15)
    assert dice(*phantom.instances[0].annotations[:2]) > 0.9


@pytest.mark.parametrize("span", [(12, 96), (40, 80), (50, 50)])
def test_tumors_have_the_size_asked_for(span):
    rng = np.random.default_rng(5)
    patient, _ = draw_patient_and_grid(rng, PhantomConfig(**SMALL))
    lesions = [
        lesion
        for _ in range(60)
        for lesion in draw_lesions(rng, draw_kidneys(rng, patient), span)
        if lesion.kind == "tumor"
    ]
    diameters = np.array([2 * lesion.radii for lesion in lesions])
    assert len(lesions) > 50
    assert diameters.min() >= 0.85 * span[0]  # an ellipsoid's axes differ by 15 %
    assert diameters.max() <= 1.15 * span[1]
    low, high = np.percentile(diameters, [5, 95])
    assert high - low > 0.5 * (span[1] - span[0])


@pytest.mark.parametrize(
    "wrong",
    [
        {"cases": 0},
        {"seed": -1},
        {"in_plane_mm": (2.0, 1.0)},
        {"slice_mm": (0.0, 1.0)},
        {"tumor_mm": (60.0, 40.0)},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(CohortError, match=f"phantom {next(iter(wrong))}: expected"):
        PhantomConfig(**wrong)


def test_random_fields_are_standard_and_agree_between_boxes():
    grid = Grid((40, 60, 60), (3.0, 2.0, 2.0))
    field = SmoothField.draw(grid, np.random.default_rng(0), 6.0)
    whole = field.on(grid.whole)
    assert whole.std() == pytest.approx(1, abs=0.1)
    part = (slice(3, 9), slice(10, 30), slice(5, 50))
    np.testing.assert_allclose(field.on(part), whole[part], atol=1e-5)
