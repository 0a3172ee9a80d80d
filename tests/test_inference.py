"""One scan through an ensemble: what it gives, in any storage, from any thread."""

import json
from dataclasses import asdict, replace
from threading import Event, Thread

import nibabel
import numpy as np
import pytest

import renalseg
from models import write_model
from renalseg.errors import CancelledError, ModelError, VolumeError
from renalseg.inference.ensemble import Found, run_ensemble
from renalseg.inference.members import LoadedMember
from renalseg.inference.network import How
from renalseg.inference.region import Region
from renalseg.inference.scan import Scan
from renalseg.models.ensemble import write_ensemble
from renalseg.models.plans import CASCADE, LOWRES
from renalseg.postprocess import Cleaning
from renalseg.volume import Volume

IPL = np.array([[0, 0, -2.5, 60], [0, -2.5, 0, 50], [-3.5, 0, 0, 40], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def volume():
    random = np.random.RandomState(0)
    array = random.normal(60, 120, size=(22, 34, 38)).astype(np.int16)
    array[5:15, 8:20, 10:25] += 150
    array[0] = -1000
    return Volume(array, IPL)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        "one": write_model(root / "one", mirror=(0, 1, 2)),
        "two": write_model(root / "two", folds=(2,)),
        "low": write_model(root / "low", LOWRES),
        "high": write_model(root / "high", CASCADE),
    }


@pytest.fixture(scope="module")
def ensemble(models, tmp_path_factory):
    members = {"one": [models["one"]], "cascade": [models["low"], models["high"]]}
    return write_ensemble(tmp_path_factory.mktemp("ensemble") / "e", members, [0, 1]).folder


def load(folder, **options):
    return renalseg.load(folder, device="cpu", backend="torch", **options)


def scores(member, scan):
    """All of a member's softmax scores, (class, slice, row, column)."""
    rows = list(member.networks[0].probability_rows(scan, scan.whole))
    return np.stack([row.numpy() for row in rows], 1)


def test_every_storage_orientation_gives_the_same_mask(models, volume, tmp_path):
    segmenter = load(models["two"])
    expected = segmenter.predict(volume).labels
    image = nibabel.Nifti1Image(volume.array, IPL)
    for codes in ("RAS", "LPS", "SAR"):
        turn = nibabel.orientations.ornt_transform(
            nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(codes)
        )
        nibabel.save(image.as_reoriented(turn), tmp_path / "turned.nii.gz")
        found = segmenter.predict(tmp_path / "turned.nii.gz")
        assert np.array_equal(found.labels.array, expected.array)
        found.save(tmp_path / "mask.nii.gz")
        mask = nibabel.load(tmp_path / "mask.nii.gz")
        turned = nibabel.load(tmp_path / "turned.nii.gz")
        assert mask.shape == turned.shape
        assert np.allclose(mask.affine, turned.affine)


def test_a_file_a_volume_and_an_array_give_the_same_mask(models, volume, tmp_path):
    segmenter = load(models["two"])
    volume.save(tmp_path / "scan.nii.gz")
    masks = [
        segmenter.predict(scan, spacing_mm).labels.array
        for scan, spacing_mm in (
            (tmp_path / "scan.nii.gz", None),
            (volume, None),
            (volume.array, volume.spacing_mm),
        )
    ]
    assert masks[0].any()
    assert np.array_equal(masks[0], masks[1])
    assert np.array_equal(masks[0], masks[2])


def test_an_array_needs_its_spacing(models, volume):
    with pytest.raises(VolumeError, match="its spacing_mm"):
        load(models["two"]).predict(volume.array)


def test_ensemble_is_the_mean_of_its_members_softmax(models, volume):
    scan = Scan(volume)
    how = How(backend="torch")
    members = [LoadedMember.load(n, [models[n]], [f], how) for n, f in (("one", 0), ("two", 2))]
    one, two = (scores(member, scan) for member in members)
    assert one.shape == (4, *volume.shape)
    assert np.allclose(one.sum(0), 1, atol=1e-4)
    sets = {"one": ["one"], "both": ["one", "two"]}
    found = run_ensemble(members, scan, sets).labels
    assert np.array_equal(found["both"], (one + two).argmax(0))
    assert np.array_equal(found["one"], one.argmax(0))


def test_who_only_finds_has_no_vote(models, volume):
    how = How(backend="torch")
    low = LoadedMember.load("low", [models["low"]], [0], how, finds=True)
    one = LoadedMember.load("one", [models["one"]], [0], how)
    sets = {"all": ["one"]}
    found = run_ensemble([low, one], Scan(volume), sets, roi="auto", uncertainty=True)
    alone = run_ensemble([one], Scan(volume), sets)
    inside = np.zeros(volume.shape, bool)
    for box in found.boxes:
        inside[tuple(slice(*side) for side in box)] = True
    assert list(found.votes) == ["one"]
    kept = found.labels["all"] > 0
    assert inside[kept].all()
    assert np.array_equal(found.labels["all"][kept], alone.labels["all"][kept])
    assert np.array_equal(found.votes["one"][inside], alone.labels["all"][inside])


def test_a_region_grows_until_what_is_found_ends_within(models, volume, monkeypatch):
    how = How(backend="torch")
    low, one = (LoadedMember.load(name, [models[name]], [0], how) for name in ("low", "one"))
    small = ((8, 9), (10, 20), (12, 22))
    monkeypatch.setattr(
        "renalseg.inference.ensemble.kidney_region", lambda *_: Region((small,), ())
    )
    found = run_ensemble([low, one], Scan(volume), {"all": ["one"]}, roi="auto", margin_mm=2.0)
    (box,) = found.boxes
    assert all(a <= b and c >= d for (a, c), (b, d) in zip(box, small, strict=True))
    assert box != small
    assert found.notes == ("a finding reached the border of its region, which was widened",)
    alone = run_ensemble([one], Scan(volume), {"all": ["one"]}).labels["all"]
    place = tuple(slice(*side) for side in box)
    assert np.array_equal(found.labels["all"][place], alone[place])


def test_what_is_large_is_filled_from_a_look_with_longer_voxels(models, volume):
    member = LoadedMember.load("two", [models["two"]], [2], How(backend="torch"))
    sets = {"all": ["two"]}

    def labels(member, **options):
        return run_ensemble([member], Scan(volume), sets, **options).labels["all"]

    once, longer = labels(member), labels(member.with_longer_voxels(4 / 3))
    assert not np.array_equal(once, longer)
    filled = np.where(once > 0, once, longer)
    assert np.array_equal(labels(member, large_ml=0.01), filled)
    found = run_ensemble([member], Scan(volume), sets, large_ml=0.01, uncertainty=True)
    assert np.array_equal(found.votes["two"], filled)
    assert np.array_equal(labels(member, large_ml=1e4), once)


def test_exact_looks_once(ensemble):
    manifest = ensemble / "ensemble.json"
    said = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(said | {"large_ml": 600}))
    try:
        assert load(ensemble).large_ml == 600
        assert load(ensemble, profile="exact").large_ml is None
    finally:
        manifest.write_text(json.dumps(said))


def test_rounding_like_nnunet_changes_little_but_in_corners(models, volume):
    """Where a single tile has a vanishing weight, nnU-Net's half precision has few digits left."""
    scan = Scan(volume)
    plain, rounded = (
        scores(LoadedMember.load("m", [models["one"]], [0, 1], how), scan)
        for how in (
            How(backend="torch", like_nnunet=False),
            How(backend="torch", like_nnunet=True),
        )
    )
    assert 0 < np.quantile(np.abs(plain - rounded), 0.95) < 1e-3


def test_second_stage_alone_is_refused(models, volume):
    with pytest.raises(ModelError, match="second stage of a cascade"):
        load(models["high"]).predict(volume)


def test_scan_smaller_than_a_patch_is_segmented(models):
    volume = Volume(np.full((5, 9, 7), 40, np.int16), IPL)
    assert load(models["two"]).predict(volume).labels.array.shape == (5, 9, 7)


def test_scan_of_zeros_is_segmented(models):
    volume = Volume(np.zeros((5, 9, 7), np.int16), IPL)
    assert load(models["two"]).predict(volume).labels.array.shape == (5, 9, 7)


def test_tiles_of_air_are_computed_once(models):
    array = np.full((60, 60, 60), -1000, np.int16)
    array[:20, :20, :20] = np.random.RandomState(0).normal(60, 100, (20, 20, 20))
    found = load(models["two"]).predict(Volume(array, IPL))
    settings = found.provenance.settings
    assert 0 < settings["tiles_computed"] < settings["tiles_of_air"]


def test_provenance_says_what_made_the_mask(ensemble, volume, tmp_path):
    load(ensemble).predict(volume).save(str(tmp_path / "mask.nii.gz"))
    text = (tmp_path / "mask.json").read_text()
    assert "not a medical device" in text.lower()
    assert "cascade-stage2/fold_1/checkpoint_final.pth" in text
    assert '"profile": "balanced"' in text
    assert str(tmp_path) not in text


def test_what_is_too_small_is_cleaned_where_the_manifest_says_so(models, volume, monkeypatch):
    found = np.zeros(volume.shape, np.uint8)
    found[4:14, 8:20, 8:20] = 1  # 31 ml
    found[6, 10:12, 10:12] = 2  # a speck in it
    found[17:19, 25:28, 25:28] = 1  # by itself: .4 ml
    monkeypatch.setattr(
        "renalseg.pipeline.run_ensemble", lambda *_, **__: Found({"ensemble": found}, (), ())
    )
    without_small, without_speck = found.copy(), found.copy()
    without_small[17:19] = 0
    without_speck[6, 10:12, 10:12] = 1
    for cleaning, expected in (
        (None, found),
        (Cleaning(), found),
        (Cleaning(least_ml=10.0), without_small),
        (Cleaning(least_tumor_ml=2.0), without_speck),
    ):
        result = replace(load(models["two"]), cleaning=cleaning).predict(volume)
        assert np.array_equal(result.labels.array, expected)
        said = asdict(cleaning) if cleaning else {}
        assert {"postprocess": cleaning is not None, **said}.items() <= (
            result.provenance.settings.items()
        )


def test_uncertainty_is_a_map_and_a_list_of_lesions(ensemble, volume):
    found = load(ensemble).predict(volume, uncertainty=True)
    assert found.entropy.array.shape == volume.shape
    assert 0 <= found.entropy.array.min() <= found.entropy.array.max() <= 1
    has_mass = bool((found.labels.array >= 2).any())
    assert bool(found.lesions) == has_mass


def test_several_threads_share_one_ensemble(models, volume):
    segmenter = load(models["two"])
    expected = segmenter.predict(volume).labels.array
    found = {}
    threads = [
        Thread(target=lambda n=n: found.setdefault(n, segmenter.predict(volume).labels.array))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(np.array_equal(mask, expected) for mask in found.values())


def test_it_can_be_cancelled_in_the_middle(models, volume):
    cancel, seen = Event(), []

    def on_tile(done, total):
        seen.append((done, total))
        if done == 3:
            cancel.set()

    with pytest.raises(CancelledError, match="nothing was written"):
        load(models["one"]).predict(volume, on_tile=on_tile, cancel=cancel)
    assert seen[-1][0] == 3 < seen[-1][1]


def test_profiles_do_less_and_less(ensemble, volume):
    nets = {p: load(ensemble, profile=p) for p in ("exact", "balanced", "fast")}
    runs = {
        p: sum(len(n.forward.runs) for m in s.members for n in m.networks) for p, s in nets.items()
    }
    assert runs == {"exact": 6, "balanced": 6, "fast": 2}
    assert nets["exact"].members[0].networks[0].forward.mirrored == (0, 1, 2)
    assert nets["balanced"].members[0].networks[0].forward.mirrored == ()
    assert [m.name for m in nets["fast"].members] == ["cascade"]
    assert nets["fast"].predict(volume).labels.array.shape == volume.shape


def test_memory_bound_cuts_the_scan_and_its_parts_agree(models):
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.RandomState(0).normal(0, 1, (24, 120, 110)), 2)
    volume = Volume((noise * 2500 + 60).astype(np.int16), IPL)
    free = load(models["two"])
    needed = free.expected_gb(volume)
    cut = load(models["two"], memory_gb=needed - 0.003)
    assert cut.expected_gb(volume) < needed
    one, other = (s.predict(volume).labels.array for s in (free, cut))
    assert (one == other).mean() > 0.9  # random weights: what a tile holds moves all of it


def test_memory_that_cannot_do_is_said(models, volume):
    with pytest.raises(ModelError, match=r"--memory 0\.5: at least 1\.0 GB are needed"):
        load(models["two"], memory_gb=0.5).predict(volume)
