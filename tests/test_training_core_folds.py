"""From a start to a final checkpoint: what is transferred, trained, kept, and handed on."""

import json
from functools import partial

import blosc2
import numpy as np
import pytest
import torch

from renalseg.models.checkpoints import FINAL, LATEST, load_checkpoint, save_checkpoint
from renalseg.models.folds import read_fold
from renalseg.models.plans import CASCADE, FULLRES, LOWRES
from renalseg.training.cascade import next_stage_folder, predict_next_stage
from renalseg.training.curves import CURVES
from renalseg.training.run import make_trainer, train_fold
from renalseg.training.trainer import seed_everything
from renalseg.training.transfer import transfer_weights
from tiny_training import PAPER, SHALLOW, trainer_of, write_case, write_training_set

DATASET = "Dataset021_Tiny"
FIRST = "encoder.stages.0.0.convs.0.conv.weight"


def labels_of(_):
    labels = np.zeros((24, 20, 22), np.uint8)
    labels[8:14, 6:12, 5:15], labels[9:12, 6:9, 6:9], labels[12, 8, 8] = 1, 2, 3
    return labels


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("folds")
    random = np.random.default_rng(0)
    cases = [
        write_case(root, f"case_{i:05d}", random.normal(100, 80, (24, 20, 22)), labels_of)
        for i in range(3)
    ]
    variants = dict.fromkeys((FULLRES, LOWRES), ("majority", 1))
    return write_training_set(root / "run", cases, SHALLOW, variants, splits=3)[0]


def of_length(name, **numbers):
    """One of the paper's recipes, shorter."""
    recipe = PAPER[name.partition("+")[0]]
    schedule = recipe.schedule.model_copy(update=numbers)
    return recipe.model_copy(update={"name": name.replace("+", "-"), "schedule": schedule})


def network_of(trainer, channels, classes):
    """A network of the stage, as it is drawn at random."""
    return trainer.build_network_architecture(
        trainer.plans_manager, trainer.configuration_manager, channels, classes, True
    )


def tensors(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def trained(network):
    """Weights that are nowhere those of a network at its start."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return tensors(network)


# Transfer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [3, 4, 5])
def test_all_but_the_segmentation_layers_start_from_the_other_network(workspace, tmp_path, classes):
    """However many classes it has: nnU-Net leaves the last layers as they are drawn."""
    with trainer_of(workspace, "pretrained") as trainer:
        source = trained(network_of(trainer, 1, classes))
        network = network_of(trainer, 1, 4)
    drawn = tensors(network)
    save_checkpoint({"network_weights": source}, tmp_path / FINAL)
    transfer_weights(network, tmp_path / FINAL)
    layers = 0
    for name, tensor in network.state_dict().items():
        is_last = ".seg_layers." in name
        assert torch.equal(tensor, drawn[name] if is_last else source[name]), name
        layers += is_last
    assert layers == 2 * 3


def test_the_last_layers_are_taken_where_that_is_asked_for(workspace, tmp_path):
    with trainer_of(workspace, "pretrained") as trainer:
        source, network = trained(network_of(trainer, 1, 4)), network_of(trainer, 1, 4)
    save_checkpoint({"network_weights": source}, tmp_path / FINAL)
    transfer_weights(network, tmp_path / FINAL, same_classes=True)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, source[name]), name


def test_a_second_stages_mask_channels_start_at_zero(workspace, tmp_path):
    with trainer_of(workspace, "pretrained") as trainer:
        source, network = trained(network_of(trainer, 1, 4)), network_of(trainer, 4, 4)
    save_checkpoint({"network_weights": source}, tmp_path / FINAL)
    transfer_weights(network, tmp_path / FINAL)
    first = network.state_dict()[FIRST]
    assert torch.equal(first[:, :1], source[FIRST])
    assert not first[:, 1:].any()


@pytest.mark.parametrize(("recipe", "stage"), [("pretrained", FULLRES), ("cascade", LOWRES)])
def test_a_training_starts_from_the_weights_that_it_is_given(workspace, tmp_path, recipe, stage):
    """One iteration that moves nothing: steps as small as 1e-30."""
    recipe = of_length(
        f"{recipe}+start", epochs=1, iterations=1, validation_iterations=1, learning_rate=1e-30
    )
    with trainer_of(workspace, recipe, stage) as trainer:
        source = trained(network_of(trainer, 1, 3))
        seed_everything(recipe.seed, 0)
        drawn = tensors(network_of(trainer, 1, 4))
    save_checkpoint({"network_weights": source}, tmp_path / FINAL)
    model = train_fold(workspace, DATASET, recipe, stage, 0, start=tmp_path / FINAL)
    found = load_checkpoint(model / "fold_0" / FINAL)["network_weights"]
    for name, tensor in found.items():
        wanted = drawn[name] if ".seg_layers." in name else source[name]
        torch.testing.assert_close(tensor, wanted, rtol=0, atol=1e-25, msg=name)


def test_folds_without_weights_start_at_random(workspace):
    recipe = of_length(
        "baseline+random", epochs=1, iterations=1, validation_iterations=1, learning_rate=1e-30
    )
    models = [train_fold(workspace, DATASET, recipe, FULLRES, fold) for fold in (0, 1)]
    first, second = (
        load_checkpoint(model / f"fold_{fold}" / FINAL)["network_weights"][FIRST]
        for fold, model in enumerate(models)
    )
    assert not torch.equal(first, second)
    deviation = (2 / (1 + 0.01**2) / 27) ** 0.5  # He's, for leaky ReLU; 27 inputs
    for weights in (first, second):
        assert float(weights.std()) == pytest.approx(deviation, rel=0.35)


# Training ---------------------------------------------------------------------------------------


def counted(done, name, step, batch):
    done[name] += 1
    return step(batch)


def run(workspace, recipe, *, stop_after=None):
    """Train fold 0 and count what is done; stop like a power cut after so many epochs."""
    done = {"train_step": 0, "validation_step": 0}

    class PowerCutError(Exception):
        pass

    def progress(epochs, _):
        if epochs == stop_after:
            raise PowerCutError

    with workspace.environment(recipe.name), np.errstate(invalid="ignore"):
        trainer = make_trainer(workspace, DATASET, recipe, FULLRES, 0, "cpu")
        seed_everything(recipe.seed, 0)
        trainer.initialize()
        latest = trainer.folder / LATEST
        if latest.exists():
            trainer.load_checkpoint(str(latest))
        trainer.on_progress = progress
        for name in done:
            setattr(trainer, name, partial(counted, done, name, getattr(trainer, name)))
        try:
            trainer.run_training()
        except PowerCutError:
            trainer.board.close()
    return trainer, done


def test_a_training_does_all_its_iterations_and_keeps_its_last_weights(workspace, capsys):
    recipe = of_length("seed-1", epochs=3, iterations=4, validation_iterations=2)
    trainer, done = run(workspace, recipe)
    assert done == {"train_step": 12, "validation_step": 6}
    rates = json.loads((trainer.folder / CURVES).read_text())["lrs"]
    assert rates == pytest.approx([0.01, 0.01 * (2 / 3) ** 0.9, 0.01 * (1 / 3) ** 0.9])
    assert [path.name for path in trainer.folder.glob("*.pth")] == ["checkpoint_final.pth"]
    weights = load_checkpoint(trainer.folder / "checkpoint_final.pth")["network_weights"]
    for name, tensor in trainer.module.state_dict().items():
        assert torch.equal(tensor, weights[name]), name
    fold = read_fold(trainer.folder.parent, 0)
    assert fold.path.name == "checkpoint_final.pth"
    assert fold.mirror_axes == (0, 1, 2)


def test_a_training_that_was_cut_off_ends_as_if_it_had_not_been(workspace, capsys):
    numbers = {"epochs": 3, "iterations": 2, "validation_iterations": 1}
    whole, _ = run(workspace, of_length("image-loss+whole", **numbers))
    cut = of_length("image-loss+cut", **numbers)
    run(workspace, cut, stop_after=1)
    resumed, done = run(workspace, cut)
    assert done["train_step"] == 4
    for name, tensor in whole.module.state_dict().items():
        assert torch.equal(tensor, resumed.module.state_dict()[name]), name


# Cascade ----------------------------------------------------------------------------------------


def test_each_case_is_handed_on_by_the_fold_that_has_not_seen_it(workspace):
    """Fold N of the first stage says label N + 1 everywhere."""
    recipe = PAPER["cascade"]
    folds = json.loads((workspace.preprocessed / DATASET / "splits_final.json").read_text())
    for fold in range(3):
        with trainer_of(workspace, recipe, LOWRES, fold=fold) as trainer:
            last = trainer.network.decoder.seg_layers[-1]
            with torch.no_grad():
                last.weight.zero_()
                last.bias.copy_(torch.eye(4)[fold + 1])
            trainer.save_checkpoint(str(trainer.folder / FINAL))
    for fold, split in enumerate(folds):
        predict_next_stage(workspace, DATASET, recipe, fold)
        (name,) = split["val"]
        path = next_stage_folder(workspace, DATASET, recipe) / f"{name}.b2nd"
        labels = blosc2.open(urlpath=str(path), mode="r")[:]
        assert labels.shape[-3:] == (24, 20, 22)
        assert (labels == fold + 1).all()
    with trainer_of(workspace, recipe, CASCADE) as trainer:
        dataset, _ = trainer.get_tr_and_val_datasets()
        assert len(dataset.identifiers) == 2
        for case in dataset.identifiers:
            (fold,) = (i for i, split in enumerate(folds) if case in split["val"])
            assert (dataset.load_case(case)[2][:] == fold + 1).all()
