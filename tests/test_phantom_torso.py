"""Synthetic scans to train on: anatomy, variants, real shapes, determinism, speed."""

import time
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from scipy.ndimage import binary_erosion, label

from renalseg.cohort import Cohort
from renalseg.cohort.phantom import PhantomConfig, Phase, write_phantom_cohort
from renalseg.cohort.phantom.torso import (
    REALISM,
    VARIANTS,
    ShapeBank,
    TorsoConfig,
    make_torso,
    write_torso_cohort,
)
from renalseg.cohort.phantom.torso.build import draw_build
from renalseg.cohort.phantom.torso.timing import draw_contrast
from renalseg.errors import CohortError

#: Quick, and wide enough for a whole trunk.
COARSE = TorsoConfig(spacing_mm=(6.0, 6.0, 6.0), shape=(64, 64, 72))
CLEAN = replace(COARSE, leave_out=frozenset({"artefacts", "variants", "findings"}))


def world_center(mask, affine):
    return (affine @ [*np.argwhere(mask).mean(0), 1])[:3]


@pytest.fixture(scope="module")
def torsos():
    return [make_torso(CLEAN, index) for index in range(8)]


def test_patient_lies_as_the_affine_says(torsos):
    for torso in torsos:
        assert nibabel.aff2axcodes(torso.affine) == ("I", "P", "L")
        body = world_center(torso.image > -200, torso.affine)
        kidneys = world_center(torso.labels > 0, torso.affine)
        lung = binary_erosion((torso.image < -600) & (torso.image > -930))
        bone = world_center(torso.image > 300, torso.affine)
        assert kidneys[1] < body[1]  # behind the middle
        assert bone[1] < body[1]
        if lung.sum() > 50:  # nearer to the head
            assert world_center(lung, torso.affine)[2] > kidneys[2]


def test_image_and_labels_are_of_the_grid_asked_for(torsos):
    for torso in torsos:
        assert torso.image.shape == torso.labels.shape == COARSE.shape
        assert (torso.image.dtype, torso.labels.dtype) == (np.int16, np.uint8)
        assert set(np.unique(torso.labels)) <= {0, 1, 2, 3}


def test_usual_kidneys_are_two_of_plausible_size(torsos):
    for torso in torsos:
        left = np.argwhere(torso.labels > 0)[:, 2] > COARSE.shape[2] / 2
        assert 0.02 < left.mean() < 0.98
        assert 80 < (torso.labels == 1).sum() * 6**3 / 1000 < 900


def test_parenchyma_is_as_bright_as_its_phase(torsos):
    for torso in torsos:
        median = np.median(torso.image[torso.labels == 1])
        if torso.phase is Phase.NONE:
            assert 5 < median < 50
        else:
            assert 50 < median < 350


def test_enhancement_is_in_step():
    drawn = [draw_contrast(np.random.default_rng(n), any_time=True) for n in range(300)]
    for contrast in drawn:
        hu = contrast.hu
        if contrast.phase is Phase.NONE:
            assert abs(hu["cortex"] - hu["medulla"]) <= 4
            assert hu["aorta"] < 50
        elif contrast.phase is Phase.ARTERIAL:
            assert hu["cortex"] > hu["medulla"] + 15
            assert hu["urine"] < 30
    late = [c.hu["urine"] for c in drawn if c.phase is Phase.EXCRETORY]
    assert np.median(late) > 200
    assert {c.phase for c in drawn} == set(Phase)


def test_same_seed_gives_the_same_voxels():
    one, other = make_torso(COARSE, 5), make_torso(COARSE, 5)
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert (make_torso(COARSE, 6).labels != one.labels).any()
    assert (make_torso(replace(COARSE, seed=1), 5).labels != one.labels).any()


@pytest.mark.parametrize("name", ["artefacts", "bowel", "outside", "textures", "muscles"])
def test_leaving_out_what_is_around_keeps_the_kidneys(name):
    whole, less = make_torso(COARSE, 3), make_torso(replace(COARSE, leave_out={name}), 3)
    np.testing.assert_array_equal(whole.labels, less.labels)
    assert (whole.image != less.image).any()


def test_pelvis_has_bones_and_a_bladder():
    config = replace(CLEAN, shape=(80, 64, 72))
    without = replace(config, leave_out=config.leave_out | {"pelvis"})
    for index in range(3):
        low = slice(60, 80)
        with_bones = (make_torso(config, index).image[low] > 250).sum()
        assert with_bones > 3 * (make_torso(without, index).image[low] > 250).sum() + 100


def test_variants_are_what_they_are_called():
    usual, made = make_torso(CLEAN, 1), {}
    for variant in VARIANTS:
        made[variant] = make_torso(replace(CLEAN, variant=variant), 1)
        assert made[variant].variant == variant
    assert label(made["horseshoe"].labels > 0)[1] == 1
    sides = {name: side_shares(torso) for name, torso in made.items()}
    assert min(sides["one"]) < 0.02
    assert min(sides["crossed"]) < 0.1
    assert min(sides["usual"]) > 0.2
    for lower in ("low", "ectopic"):
        at = [np.argwhere(t.labels > 0)[:, 0].max() for t in (made[lower], usual)]
        assert at[0] > at[1]
    assert (made["small"].labels > 0).sum() < (usual.labels > 0).sum()


def side_shares(torso):
    bone = np.argwhere(torso.image[:30] > 300)[:, 2].mean()
    left = (np.argwhere(torso.labels > 0)[:, 2] > bone).mean()
    return left, 1 - left


def test_variants_are_drawn_as_often_as_they_say():
    tiny = TorsoConfig(spacing_mm=(8.0, 8.0, 8.0), shape=(16, 16, 16))
    seen = [make_torso(tiny, index).variant for index in range(40)]
    assert 0.45 < seen.count("usual") / 40 < 0.85
    assert len(set(seen)) >= 4


def test_cohort_of_torsos_is_read_as_one(tmp_path):
    paths = write_torso_cohort(tmp_path, COARSE, [4, 7])
    assert [path.name for path in paths] == ["case_00004", "case_00007"]
    cases = Cohort.open(tmp_path).cases
    assert [case.problems() for case in cases] == [[], []]
    stored = np.asarray(nibabel.load(cases[1].segmentation_path).dataobj)
    np.testing.assert_array_equal(stored, make_torso(COARSE, 7).labels)


def test_dilated_collecting_system_is_no_kidney():
    config = replace(COARSE, shape=(40, 64, 72), variant="usual")
    for index in range(40):  # one kidney of ten is dilated
        whole = make_torso(config, index).labels > 0
        plain = make_torso(replace(config, leave_out={"variants"}), index).labels > 0
        assert not (whole & ~plain).any()
        if (plain & ~whole).any():
            return
    pytest.fail("none was dilated")


def test_patches_from_anywhere_often_have_no_kidney():
    config = TorsoConfig(spacing_mm=(6.0,) * 3, shape=(20, 20, 20), around="anywhere")
    found = [(make_torso(config, index).labels > 0).any() for index in range(30)]
    assert 3 < sum(found) < 28


def test_volume_of_128_cubed_takes_about_a_second():
    make_torso(TorsoConfig(), 0)  # compiles
    start = time.process_time()
    make_torso(TorsoConfig(), 1)
    assert time.process_time() - start < 4  # about 0.8 s; room for slow machines


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    config = PhantomConfig(cases=2, seed=3, in_plane_mm=(2.5, 3.0), slice_mm=(3.0, 3.0))
    write_phantom_cohort(folder, config)
    return ShapeBank.make(folder)


def test_shapes_survive_a_file(bank, tmp_path):
    bank.save(tmp_path / "shapes")
    again = ShapeBank.load(tmp_path / "shapes")
    assert len(again.units) == len(bank.units) >= 3
    for one, other in zip(bank.units, again.units, strict=True):
        np.testing.assert_array_equal(one.distances, other.distances)
        assert (one.case, one.side, one.lesions) == (other.case, other.side, other.lesions)


def test_torso_takes_shapes_from_a_file(bank, tmp_path):
    bank.save(tmp_path / "shapes")
    torso = make_torso(replace(CLEAN, shapes=tmp_path / "shapes", real_share=1.0), 0)
    assert (torso.labels != make_torso(CLEAN, 0).labels).any()
    assert (torso.labels == 1).sum() * 6**3 > 60_000


def test_other_files_are_no_shapes(tmp_path):
    path = tmp_path / "shapes"
    path.write_bytes(b"no shapes at all")
    with pytest.raises(CohortError, match=r"expected shapes written by ShapeBank\.save"):
        ShapeBank.load(path)
    with pytest.raises(CohortError, match="no kidneys; expected case_"):
        ShapeBank.make(tmp_path)


def test_real_kidneys_keep_their_volumes_where_they_are_not_bent(real_data):
    bank = ShapeBank.make(real_data / "kits23", ("case_00004", "case_00015"))
    assert {unit.side for unit in bank.units} == {-1, 1}
    for unit in bank.units:
        assert 40 < (unit.distances[0] < 0).sum() * 2**3 / 1000 < 2000
    case = real_data / "kits23" / "case_00004" / "segmentation.nii.gz"
    stored = nibabel.load(case)
    wanted = (np.asarray(stored.dataobj) > 0).sum() * abs(np.linalg.det(stored.affine[:3, :3]))
    found = sum((u.distances[0] < 0).sum() * 8 for u in bank.units if u.case == "case_00004")
    assert found == pytest.approx(wanted, rel=0.03)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"spacing_mm": (3.0, 3.0, 0.0)},
        {"shape": (128, 128, 4)},
        {"real_share": 1.5},
        {"around": "feet"},
        {"variant": "three"},
        {"leave_out": frozenset({"heart"})},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(CohortError, match=f"torso {next(iter(wrong))}: expected"):
        TorsoConfig(**wrong)


def test_names_of_realism_are_pinned():
    assert REALISM == (
        "builds",
        "pelvis",
        "muscles",
        "bowel",
        "contact",
        "outside",
        "variants",
        "findings",
        "textures",
        "timing",
        "artefacts",
        "deformation",
    )


def test_fat_may_be_of_any_thickness(monkeypatch):
    build = replace(draw_build(np.random.default_rng(0), varied=True), half_width=150.0)
    around = replace(CLEAN, leave_out=CLEAN.leave_out | {"outside"}, shape=(24, 150, 64))
    reached = []
    for fat in (110.0, 150.0):
        own = replace(build, fat=fat)
        monkeypatch.setattr(
            "renalseg.cohort.phantom.torso.make.draw_build", lambda *_, own=own, **__: own
        )
        body = make_torso(around, 0).image > -400
        reached.append(body.any((0, 2)).nonzero()[0].max() * 6)
    assert reached[1] - reached[0] > 20
