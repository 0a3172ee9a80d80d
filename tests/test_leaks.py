"""No case reaches the training, the pretraining or the first stage of the fold that validates it.

The whole matrix of a small experiment is run in this process while every case that is read, every
network that is started from and every network that predicts is written down.
"""

from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from renalseg.experiment import heldout, trainings
from renalseg.experiment.demo import run_demo
from renalseg.experiment.progress import Silent
from renalseg.inference.network import Network
from renalseg.training import cascade
from renalseg.training.dataset import crossval_splits
from renalseg.training.trainer import RenalTrainer
from renalseg.training.variants import VariantDataset, nnUNetDatasetBlosc2


class Diary:
    """Who read what, while the experiment ran."""

    def __init__(self):
        self.now = ("nobody",)
        self.read = defaultdict(set)
        self.starts, self.predicted, self.loaded = {}, defaultdict(set), defaultdict(set)
        self.averages = set()

    def during(self, function, name):
        """The function, with what is read meanwhile written down under a name."""

        def called(*args, **kwargs):
            before, self.now = self.now, name(*args, **kwargs)
            try:
                return function(*args, **kwargs)
            finally:
                self.now = before

        return called

    def before(self, function, look):
        """The function, after its arguments were looked at."""

        def called(*args, **kwargs):
            look(*args, **kwargs)
            return function(*args, **kwargs)

        return called


def one_fold(trainer):
    dataset = Path(trainer.preprocessed_dataset_folder_base).name
    return "train", dataset, trainer.recipe.name, trainer.configuration_name, trainer.fold


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    folder = tmp_path_factory.mktemp("leaks")
    content = yaml.safe_load(Path(__file__).with_name("tiny.yaml").read_text())
    content["phantom"]["cases"] = 6
    content["splits"], content["folds"] = 3, [0, 1, 2]
    content["schedule"] |= {"epochs": 1, "iterations": 4}
    content["recipes"] = [
        {"name": "fresh", "annotations": "fresh", "pretrained": True},
        {
            "name": "cascade",
            "configuration": "cascade",
            "annotations": 1,
            "first_stage": {"pretrained": True, "annotations": "mean"},
        },
    ]
    content |= {"default": ["fresh", "cascade"], "ensembles": {"ensemble": ["fresh", "cascade"]}}
    (folder / "leaks.yaml").write_text(yaml.safe_dump(content))
    diary = Diary()
    with pytest.MonkeyPatch.context() as patch:
        training_sets = set()

        def datasets(trainer, original=RenalTrainer.get_tr_and_val_datasets):
            training, validation = original(trainer)
            training_sets.add(id(training))
            diary.keep = (*getattr(diary, "keep", ()), training)  # its id stays its own
            return training, validation

        def load(dataset, name):
            is_validation = isinstance(dataset, VariantDataset) and id(dataset) not in training_sets
            diary.read[(*diary.now, "validation" if is_validation else "use")].add(name)

        patch.setattr(RenalTrainer, "get_tr_and_val_datasets", datasets)
        patch.setattr(
            nnUNetDatasetBlosc2, "load_case", diary.before(nnUNetDatasetBlosc2.load_case, load)
        )
        patch.setattr(
            RenalTrainer, "run_training", diary.during(RenalTrainer.run_training, one_fold)
        )
        patch.setattr(
            "renalseg.experiment.trainings.predict_next_stage",
            diary.during(
                cascade.predict_next_stage,
                lambda _w, _d, recipe, fold, *_: ("next", recipe.name, fold),
            ),
        )
        patch.setattr(
            "renalseg.experiment.trainings.train",
            diary.before(
                trainings.train,
                lambda _w, _d, task, start, *_: diary.starts.__setitem__(task, start),
            ),
        )
        patch.setattr(
            heldout,
            "_predict_case",
            diary.before(
                diary.during(heldout._predict_case, lambda *args: ("held out", args[6])),
                lambda *args: diary.predicted[args[6]].add(args[5]),
            ),
        )
        network_of = Network.of.__func__

        def loading(cls, model, folds, how):
            diary.loaded[diary.now].add((model.folder, tuple(folds)))
            diary.averages.add(how.average)
            return network_of(cls, model, folds, how)

        patch.setattr(Network, "of", classmethod(loading))
        heldout._member.cache_clear()
        outcome = run_demo(
            folder / "run", Silent(), device="cpu", workers=1, config=str(folder / "leaks.yaml")
        )
    names = [f"case_{i:05d}" for i in range(6)]
    splits = [SimpleNamespace(**split) for split in crossval_splits(names, 3)]
    return SimpleNamespace(diary=diary, splits=splits, outcome=outcome)


def test_every_network_of_the_matrix_was_watched(matrix):
    trained = {key[1:5] for key in matrix.diary.read if key[0] == "train"}
    stages = [("fresh", "3d_fullres"), ("cascade", "3d_lowres"), ("cascade", "3d_cascade_fullres")]
    kidneys = {("Dataset021_KiTS", *stage, fold) for stage in stages for fold in range(3)}
    lits = {("Dataset029_Liver", "pretraining", stage, 0) for stage in ("3d_fullres", "3d_lowres")}
    assert trained == kidneys | lits


def test_no_fold_trains_on_what_it_validates(matrix):
    for key, cases in matrix.diary.read.items():
        if key[0] == "train" and key[1] == "Dataset021_KiTS" and key[-1] == "use":
            split = matrix.splits[key[4]]
            assert cases <= set(split.train), key
            assert not cases & set(split.val), key


def test_the_pretraining_sees_no_case_of_the_cohort(matrix):
    read = set().union(
        *(cases for key, cases in matrix.diary.read.items() if "Dataset029_Liver" in key)
    )
    assert read
    assert all(name.startswith("liver_") for name in read)
    starts = {t.stage: start for t, start in matrix.diary.starts.items() if start is not None}
    assert set(starts) == {"3d_fullres", "3d_lowres"}
    for stage, start in starts.items():
        assert "pretraining/Dataset029_Liver" in str(start)
        assert f"__{stage}/" in str(start)  # from the network of its own resolution


def test_every_prediction_averages_as_the_experiment_says(matrix):
    assert matrix.diary.averages == {"softmax"}


def test_the_first_stage_predicts_for_the_second_what_it_has_not_seen(matrix):
    predicted = {key: cases for key, cases in matrix.diary.read.items() if key[0] == "next"}
    assert {key[2] for key in predicted} == {0, 1, 2}
    for (_, _, fold, _), cases in predicted.items():
        assert cases == set(matrix.splits[fold].val)


def test_held_out_cases_are_predicted_by_their_own_fold_in_every_stage(matrix):
    for fold, split in enumerate(matrix.splits):
        assert matrix.diary.predicted[fold] == set(split.val)
        loaded = matrix.diary.loaded["held out", fold]
        assert len(loaded) == 3  # the single stage, and both of the cascade
        assert {folds for _, folds in loaded} == {(fold,)}
    assert {"fresh", "cascade", "ensemble"} <= set(matrix.outcome.results)


def test_a_leak_would_be_found(matrix):
    """The check on training looks at cases that were read, and they were."""
    of_fold_0 = ("train", "Dataset021_KiTS", "fresh", "3d_fullres", 0)
    assert matrix.diary.read[*of_fold_0, "use"]
    validated = matrix.diary.read[*of_fold_0, "validation"]
    assert validated
    assert validated <= set(matrix.splits[0].val)
