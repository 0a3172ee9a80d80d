"""What networks are shown: the cases of each fold, and patches of them."""

import hashlib

import blosc2
import numpy as np
import pytest

from renalseg.models.plans import CASCADE, FULLRES, LOWRES
from renalseg.training.dataset import TrainingCase, TrainingSet
from tiny_training import (
    PAPER,
    SHALLOW,
    trainer_of,
    write_case,
    write_training_set,
)

# Folds ------------------------------------------------------------------------------------------

#: What nnU-Net holds out in fold 0 of KiTS21's 300 cases: ``KFold(5, shuffle=True, 12345)``.
FOLD_0 = """
10 11 16 18 20 30 33 35 40 47 50 52 54 55 57 67 73 75 85 87 99 100 103 106 113 120 127 128
130 132 141 144 147 148 151 161 165 168 175 181 183 186 188 191 195 207 221 222 230 233 239
245 254 269 273 275 277 291 292 299
"""
#: First and last three of each fold, and SHA-256 of its 60 numbers as text, blanks between.
HELD_OUT = {
    0: (
        [10, 11, 16],
        [291, 292, 299],
        "79fc6fbdff007edfb1fb15ab451febd11d09accb6920cf820bdc66383b91ef1e",
    ),
    1: (
        [9, 14, 15],
        [289, 295, 298],
        "298fef96b7fc9955ae4bde2f8862587982948c3be9999ae159eb143a47b2133a",
    ),
    2: (
        [1, 2, 4],
        [276, 283, 290],
        "620d9fa49ea5f9240a1ce0f6075054a327e95646d8b74476406fe809227c40d1",
    ),
    3: (
        [0, 3, 6],
        [288, 293, 294],
        "0da340a34cbf01021439689f861a9d05de6759327d7b1558bc16516aa1d7c47c",
    ),
    4: (
        [5, 12, 22],
        [285, 296, 297],
        "7f1c55aa449bf57ef7e673ab7cc9ecb0f4ceddf83f79426deab91c4d14254773",
    ),
}


def folds_of_300():
    names = [f"case_{i:05d}" for i in reversed(range(300))]
    cases = tuple(TrainingCase(name, None, None) for name in names)
    return TrainingSet(21, "KiTS", (), cases, 5).folds()


def numbers(names):
    return [int(name.removeprefix("case_")) for name in names]


def test_the_first_fold_of_300_cases_is_nnunets():
    held_out = numbers(folds_of_300()[0]["val"])
    assert held_out == [int(number) for number in FOLD_0.split()]
    assert 16 in held_out  # Golts et al. 2021, section 4.4


@pytest.mark.parametrize("fold", HELD_OUT)
def test_every_fold_of_300_cases_is_nnunets(fold):
    first, last, digest = HELD_OUT[fold]
    folds = folds_of_300()
    held_out = numbers(folds[fold]["val"])
    assert len(folds) == 5
    assert (held_out[:3], held_out[-3:]) == (first, last)
    assert hashlib.sha256(" ".join(map(str, held_out)).encode()).hexdigest() == digest
    assert numbers(folds[fold]["train"]) == sorted({*range(300)} - {*held_out})


# Patches ----------------------------------------------------------------------------------------

SHAPE = (96, 48, 48)
#: One small cube for each class, in the middle of rows; columns tell the annotations apart.
SLICES = {1: 16, 2: 48, 3: 80}
COLUMNS = {"majority": 24, 1: 20, 2: 28, 3: 16}


def places_hu():
    """An image whose every voxel says where it lies, within the intensities that are kept."""
    z, y, x = np.indices(SHAPE)
    return -50.3 + z + 0.02 * y + 0.0004 * x


def cubes(choice):
    labels = np.zeros(SHAPE, np.uint8)
    for label, z in SLICES.items():
        x = COLUMNS[choice]
        labels[z - 1 : z + 2, 23:26, x - 1 : x + 2] = label
    return labels


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("patches")
    cases = [write_case(root, f"case_{i:05d}", places_hu(), cubes) for i in range(5)]
    variants = {FULLRES: ("majority", 1, 2, 3), LOWRES: ("majority", 1)}
    return write_training_set(root / "run", cases, SHALLOW, variants)[0]


def draw(trainer, count):
    """So many batches to train on and to validate with, from nnU-Net's own loaders."""
    np.random.seed(1)
    training, validation = trainer.get_dataloaders()
    return [next(training) for _ in range(count)], [next(validation) for _ in range(count)]


def middle(labels):
    """The label in the middle of a patch, mirrored or not."""
    return int(labels[0, 7:9, 7:9, 7:9].max())


def test_one_of_two_samples_is_laid_on_a_random_class_of_foreground(workspace):
    """More than a third of the samples hold foreground (section 2.3): nnU-Net forces one of two."""
    with trainer_of(workspace, "baseline") as trainer:
        training, validation = draw(trainer, 40)
    for batches in (training, validation):
        targets = [batch["target"][0] for batch in batches]
        assert all(target.shape == (2, 1, 16, 16, 16) for target in targets)
        forced = [middle(target[1]) for target in targets]
        assert set(forced) == {1, 2, 3}
        assert min(forced.count(label) for label in (1, 2, 3)) >= 5
        by_chance = [bool(target[0].any()) for target in targets]
        assert sum(by_chance) < 13
        holding = sum(by_chance) + sum(bool(target[1].any()) for target in targets)
        assert holding > 80 / 3


def expected_patch(sample):
    """The piece of the preprocessed image that begins with a patch's first voxel."""
    hu = float(sample[0, 0, 0, 0]) * 75.3 + 104.9 + 50.3
    z = int(hu + 0.001)
    y = int((hu - z) / 0.02 + 0.01)
    x = round((hu - z - 0.02 * y) / 0.0004)
    box = (slice(z, z + 16), slice(y, y + 16), slice(x, x + 16))
    piece = np.zeros((16, 16, 16))
    inside = ((places_hu() - 104.9) / 75.3)[box]
    piece[tuple(slice(n) for n in inside.shape)] = inside
    return piece, box


def is_unchanged(sample):
    piece, _ = expected_patch(sample)
    return np.allclose(sample[0], piece, rtol=0, atol=1e-6)


@pytest.mark.parametrize("recipe", ["baseline", "seed-1", "seed-2", "seed-3", "image-loss"])
def test_validation_sees_the_images_as_they_are_with_the_recipes_labels(workspace, recipe):
    with trainer_of(workspace, recipe) as trainer:
        _, batches = draw(trainer, 8)
    truth = cubes(PAPER[recipe].annotations)
    for batch in batches:
        for sample, labels in zip(batch["data"], batch["target"][0], strict=True):
            assert is_unchanged(sample)
            inside = truth[expected_patch(sample)[1]]
            np.testing.assert_array_equal(labels[0][tuple(slice(n) for n in inside.shape)], inside)


def test_training_sees_them_changed(workspace):
    """Unchanged are 0.8 * 0.8 * 0.9 * 0.9 * 0.85^2 * 0.875 * 0.9 * 0.7 / 8 of them: one in 38."""
    with trainer_of(workspace, "baseline") as trainer:
        batches, _ = draw(trainer, 40)
    unchanged = [is_unchanged(sample) for batch in batches for sample in batch["data"]]
    assert sum(unchanged) < 12


def test_training_sees_the_recipes_labels(workspace):
    """The forced sample's middle is where that annotation has its cube, and no other one has."""
    with trainer_of(workspace, "seed-2") as trainer:
        dataset, held_out = trainer.get_tr_and_val_datasets()
        for each in (dataset, held_out):
            case = each.identifiers[0]
            np.testing.assert_array_equal(each.load_case(case)[1][0], cubes(2))
            assert set(each.load_case(case)[3]["class_locations"]) == {1, 2, 3}
        for label, places in dataset.load_case(case)[3]["class_locations"].items():
            assert {tuple(place[1:]) for place in places} <= set(
                map(tuple, np.argwhere(cubes(2) == label))
            )
        names = {"case_00000", "case_00001", "case_00002", "case_00003", "case_00004"}
        assert {*dataset.identifiers, *held_out.identifiers} == names
        assert len(held_out.identifiers) == 1


#: nnU-Net's augmentation: what, with which chance, and the settings that matter.
AUGMENTATION = [
    ("SpatialTransform", 1, {"p_rotation": 0.2, "p_scaling": 0.2, "p_elastic_deform": 0}),
    ("GaussianNoiseTransform", 0.1, {"noise_variance": (0, 0.1)}),
    ("GaussianBlurTransform", 0.2, {"blur_sigma": (0.5, 1.0), "benchmark": False}),
    ("MultiplicativeBrightnessTransform", 0.15, {}),
    ("ContrastTransform", 0.15, {}),
    ("SimulateLowResolutionTransform", 0.25, {"scale": (0.5, 1)}),
    ("GammaTransform", 0.1, {"p_invert_image": 1}),
    ("GammaTransform", 0.3, {"p_invert_image": 0}),
    ("MirrorTransform", 1, {"allowed_axes": (0, 1, 2)}),
    ("RemoveLabel", 1, {}),
    ("DownsampleSegForDSTransform", 1, {}),
]


def test_augmentation_is_nnunets_with_all_axes_mirrored(workspace):
    with trainer_of(workspace, "image-loss") as trainer:
        training, validation = trainer.get_dataloaders()
        assert trainer.inference_allowed_mirroring_axes == (0, 1, 2)
    found = training.data_loader.transforms.transforms
    assert len(found) == len(AUGMENTATION)
    for one, (name, chance, settings) in zip(found, AUGMENTATION, strict=True):
        inner = getattr(one, "transform", one)
        assert type(inner).__name__.startswith(name)
        assert getattr(one, "apply_probability", 1) == chance
        for setting, wanted in settings.items():
            assert getattr(inner, setting) == wanted
    turn = np.deg2rad(30)
    assert found[0].rotation == pytest.approx((-turn, turn))
    assert found[0].scaling == (0.7, 1.4)
    names = [type(one).__name__ for one in validation.data_loader.transforms.transforms]
    assert [name[:11] for name in names] == ["RemoveLabel", "DownsampleS"]


def test_a_recipe_may_leave_mirroring_out(workspace):
    schedule = PAPER["baseline"].schedule.model_copy(update={"mirror": False})
    recipe = PAPER["baseline"].model_copy(update={"schedule": schedule})
    with trainer_of(workspace, recipe) as trainer:
        training, _ = trainer.get_dataloaders()
        assert trainer.inference_allowed_mirroring_axes is None
    names = {type(one).__name__ for one in training.data_loader.transforms.transforms}
    assert "MirrorTransform" not in names


def test_a_second_stage_sees_the_first_ones_labels_one_channel_each(workspace):
    """The first stage's labels, of other annotations than its own so that they can be told."""
    folder = workspace.model("cascade", "Dataset021_Tiny", LOWRES) / "predicted_next_stage"
    (folder / CASCADE).mkdir(parents=True)
    for i in range(5):
        path = folder / CASCADE / f"case_{i:05d}.b2nd"
        blosc2.asarray(cubes(3), urlpath=str(path))
    with trainer_of(workspace, "cascade", CASCADE) as trainer:
        _, batches = draw(trainer, 6)
    for batch in batches:
        assert batch["data"].shape == (2, 4, 16, 16, 16)
        for sample, labels in zip(batch["data"], batch["target"][0], strict=True):
            assert is_unchanged(sample)
            box = expected_patch(sample)[1]
            first, own = cubes(3)[box], cubes(1)[box]
            inside = tuple(slice(n) for n in own.shape)
            np.testing.assert_array_equal(labels[0][inside], own)
            for label in (1, 2, 3):
                np.testing.assert_array_equal(sample[label][inside], first == label)
