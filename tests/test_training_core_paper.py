"""The paper's numbers, typed from its text: tables, plan, network, schedule, models, ensemble.

Golts et al. 2021. Where it leaves a number to nnU-Net, the one that nnU-Net documents.
"""

import math

import numpy as np
import pytest
import torch

from renalseg.experiment.config import load_experiment
from renalseg.experiment.paper_tables import PAPER_TABLES
from renalseg.experiment.runner import Job
from renalseg.experiment.tasks import tasks
from renalseg.experiment.trainings import training_steps
from renalseg.models.plans import CASCADE, FULLRES, LOWRES, PAPER_PLAN, PLANAR, nnunet_plans
from renalseg.training.dataset import TrainingCase, TrainingSet
from renalseg.training.recipe import Schedule
from renalseg.training.workspace import Workspace

# Tables -----------------------------------------------------------------------------------------

#: As printed: figures with a star are bold; a model's run follows where it is one of ours.
TABLES = {
    1: """
baseline ([9])  | -        | .9666 .8618 .8493 .9336 .7532 .7371 .8926 .8080
baseline (our)  | baseline | .9660 .8589 .8444 .9334 .7506 .7320 .8897 .8053
seed 1          | seed-1   | .9662 .8583 .8449 .9335 .7513 .7330 .8898 .8059
seed 2          | seed-2   | .9655 .8581 .8419 .9324 .7500 .7297 .8885 .8040
seed 3          | seed-3   | .9668 .8645 .8478 .9347 .7567 .7356 .8930* .8090*
""",
    2: """
baseline ([9])   | -          | .9666 .8618 .8493 .9336 .7532 .7371 .8926 .8080
baseline (our)   | baseline   | .9660 .8589 .8444 .9334 .7506 .7320 .8897 .8053
with pretraining | pretrained | .9674 .8651 .8518 .9346 .7563 .7396 .8948* .8102*
""",
    3: """
baseline ([9])  | -           | .9666 .8618 .8493 .9336 .7532 .7371 .8926* .8080*
baseline (our)  | baseline    | .9660 .8589 .8444 .9334 .7506 .7320 .8897 .8053
image loss      | image-loss  | .9659 .8615 .8493 .9341 .7528 .7370 .8922 .8080*
volume loss     | volume-loss | .9663 .8609 .8482 .9336 .7512 .7337 .8918 .8062
""",
    4: """
cascade baseline ([9]) | -       | .9747 .8799 .8491 .9453 .7714 .7393 .9012 .8187
our cascade            | cascade | .9747 .8810 .8583 .9459 .7709 .7461 .9046* .8210*
""",
    5: """
best                       | best             | .9747 .8810 .8583 .9459 .7709 .7461 .9046* .8210
best                       | best             | .9674 .8651 .8518 .9346 .7563 .7396 .8948 .8102
ensemble of 1-stage models | ensemble-1-stage | .9674 .8667 .8535 .9363 .7610 .7442 .8959 .8138
final ensemble             | ensemble         | .9702 .8751 .8597 .9400 .7709 .7525 .9017 .8211*
""",
    6: """
without postprocessing | ensemble | .9702 .8751 .8597 .9400 .7709 .7525 .9017 .8211
with postprocessing | ensemble-postprocessed | .9715 .8790 .8638 .9415 .7751 .7569 .9047* .8245*
""",
}


@pytest.mark.parametrize("number", TABLES)
def test_every_figure_of_a_table_is_the_papers(number):
    table = next(table for table in PAPER_TABLES if table.number == number)
    printed = [row for row in table.printed() if row.paper]  # a model may have no figures there
    rows = [row for row in table.rows if row.paper]
    wanted = [line.split("|") for line in TABLES[number].strip().splitlines()]
    assert len(printed) == len(wanted)
    for found, row, (model, run, figures) in zip(printed, rows, wanted, strict=True):
        texts = [f"{one.text.lstrip('0')}{'*' * one.bold}" for one in found.paper]
        assert texts == figures.split()
        assert tuple(f"{value:.4f}".lstrip("0") for value in row.paper.values) == tuple(
            figure.rstrip("*") for figure in figures.split()
        )
        if run.strip() != "best":  # which of ours is the best, the results say
            assert (found.model, row.run or "-") == (model.strip(), run.strip())


# Models -----------------------------------------------------------------------------------------

#: Annotations, (neighbours, beta, lambda), and the stages that start from LiTS.
MODELS = {
    "baseline": ("majority", None, {FULLRES: False}),
    "seed-1": (1, None, {FULLRES: False}),
    "seed-2": (2, None, {FULLRES: False}),
    "seed-3": (3, None, {FULLRES: False}),
    "pretrained": (1, None, {FULLRES: True}),
    "image-loss": (1, (4, 10, 1), {FULLRES: False}),
    "volume-loss": (1, (6, 5, 1), {FULLRES: False}),
    "cascade": (1, None, {LOWRES: True, CASCADE: False}),
}


@pytest.fixture(scope="module")
def paper():
    return load_experiment("paper.yaml")


def test_the_models_are_those_of_the_tables(paper):
    found = [recipe.name for recipe in paper.recipes if recipe.configuration != "2d"]
    assert found == list(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_trained_as_the_paper_says(paper, name):
    annotations, term, pretrained = MODELS[name]
    recipe = next(recipe for recipe in paper.recipes if recipe.name == name)
    assert recipe.stages == tuple(pretrained)
    assert recipe.network == "plain"
    for stage, starts in pretrained.items():
        own = recipe.at(stage)
        assert own.annotations == annotations
        assert own.pretrained is starts
        loss = own.regularization
        found = None if loss is None else (loss.neighbours, loss.beta, loss.weight)
        assert found == term
        if loss is not None:
            assert (loss.dilation, loss.by_distance, loss.levels) == (1, False, "full")


SCHEDULE = {
    "epochs": 1000,
    "iterations": 250,
    "validation_iterations": 50,
    "learning_rate": 0.01,
    "momentum": 0.99,
    "weight_decay": 0.00003,
    "foreground_oversampling": 0.33,
    "mirror": True,
}


def test_every_schedule_is_the_papers(paper):
    """Section 2.4; validation, weight decay and oversampling are nnU-Net's."""
    schedules = [recipe.schedule for recipe in paper.recipes]
    for schedule in (*schedules, paper.pretraining, Schedule()):
        assert schedule.model_dump() == SCHEDULE


def test_the_ensembles_are_those_of_section_3_6(paper):
    assert paper.ensembles == {
        "ensemble-1-stage": ("image-loss", "pretrained", "seed-3"),
        "ensemble": ("image-loss", "pretrained", "seed-3", "cascade"),
    }
    assert paper.final == "ensemble"
    assert paper.folds == (0, 1, 2, 3, 4)
    assert paper.splits == 5
    assert paper.held_out is None  # all that a fold has not seen is predicted


def cases_of(count):
    return tuple(TrainingCase(f"case_{i:05d}", None, None) for i in range(count))


def test_every_case_is_predicted_by_the_fold_that_has_not_seen_it(paper, tmp_path):
    training_set = TrainingSet(21, "KiTS", (), cases_of(300), paper.splits)
    job = Job(paper, paper.recipes, paper.folds, Workspace(tmp_path), training_set)
    order = np.arange(300)
    np.random.RandomState(12345).shuffle(order)
    wanted = {
        (fold, f"case_{number:05d}")
        for fold in range(5)
        for number in order[60 * fold : 60 * fold + 60]
    }
    assert len(job.held_out) == 300
    assert {(fold, name) for fold, name in job.held_out} == wanted


def test_a_second_stage_waits_for_every_fold_of_the_first(paper, tmp_path):
    """Its training cases are predicted by the networks that have not seen them."""
    wanted = tasks(paper, paper.select(["cascade"], everything=False), (0,))
    steps = training_steps(Workspace(tmp_path), "Dataset021_KiTS", "liver", paper, wanted, "cpu")
    trainings = [step for step in steps if step.title.startswith("train cascade")]
    (second,) = (step for step in trainings if CASCADE in step.title)
    firsts = {step.title for step in trainings if LOWRES in step.title}
    predictions = {step.title: step.needs for step in steps if step.title in second.needs}
    assert len(firsts) == len(predictions) == 5
    assert {need for needs in predictions.values() for need in needs} == firsts


# Plan and network -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plans():
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    spacings, shapes = [(3.0, 0.78, 0.78)], [(109, 512, 512)]
    return PlansManager(nnunet_plans(PAPER_PLAN, "Dataset021_KiTS", spacings, shapes))


#: Spacing, batch Dice; nnU-Net takes Dice over the batch where a low resolution is a stage of its
#: own, but not at that one (version 1: ``run/default_configuration.py``).
CONFIGURATIONS = {FULLRES: (0.78, True), LOWRES: (1.99, False), CASCADE: (0.78, True)}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_plan_is_that_of_sections_2_1_to_2_3(paper, plans, name):
    spacing_mm, batch_dice = CONFIGURATIONS[name]
    assert paper.plan == "paper"
    assert paper.fixed_plan == PAPER_PLAN
    settings = plans.get_configuration(name)
    assert list(settings.spacing) == [spacing_mm] * 3
    assert list(settings.patch_size) == [128, 128, 128]
    assert settings.batch_size == 2
    assert settings.batch_dice is batch_dice
    assert settings.previous_stage_name == (LOWRES if name == CASCADE else None)
    assert settings.normalization_schemes == ["CTNormalization"]
    assert settings.use_mask_for_norm == [False]
    assert plans.transpose_forward == plans.transpose_backward == [2, 1, 0]
    content = settings.configuration
    for which, order in {"data": 3, "seg": 1, "probabilities": 1}.items():
        assert content[f"resampling_fn_{which}"] == "resample_data_or_seg_to_shape"
        options = content[f"resampling_fn_{which}_kwargs"]
        assert (options["order"], options["order_z"]) == (order, 0)
        assert options["force_separate_z"] is None
        assert options["is_seg"] is (which == "seg")


def test_batch_dice_of_a_planar_network_is_nnunets(plans):
    assert plans.get_configuration(PLANAR).batch_dice is True


def test_intensities_are_those_of_section_2_3(plans):
    found = plans.foreground_intensity_properties_per_channel["0"]
    wanted = {"percentile_00_5": -62, "percentile_99_5": 310, "mean": 104.9, "std": 75.3}
    assert {name: found[name] for name in wanted} == wanted


WIDTHS = (32, 64, 128, 256, 320, 320)


def convolution(into, out, size=3):
    return into * out * size**3 + out


def block(into, out):
    """Convolution, instance norm with scale and shift, leaky ReLU; twice."""
    return convolution(into, out) + convolution(out, out) + 2 * 2 * out


def parameters_of(channels):
    """Count them from section 2.1: five downsamplings, five segmentations in four classes."""
    encoder = sum(map(block, (channels, *WIDTHS), WIDTHS))
    levels = list(zip(WIDTHS[1:], WIDTHS, strict=False))
    up = sum(convolution(deep, wide, 2) for deep, wide in levels)
    decoder = sum(block(2 * wide, wide) for _, wide in levels)
    return encoder + up + decoder + sum(convolution(wide, 4, 1) for _, wide in levels)


@pytest.mark.parametrize(("name", "channels"), [(FULLRES, 1), (LOWRES, 1), (CASCADE, 4)])
def test_the_network_is_that_of_section_2_1(plans, name, channels):
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    with torch.device("meta"):
        network = nnUNetTrainer.build_network_architecture(
            plans, plans.get_configuration(name), channels, 4, True
        )
    assert sum(p.numel() for p in network.parameters()) == parameters_of(channels)
    convolutions = [m for m in network.encoder.modules() if type(m) is torch.nn.Conv3d]
    assert [m.out_channels for m in convolutions[::2]] == list(WIDTHS)
    assert {m.kernel_size for m in convolutions} == {(3, 3, 3)}
    assert [m.stride for m in convolutions[2::2]] == [(2, 2, 2)] * 5
    assert [m.stride for m in convolutions[1::2]] + [convolutions[0].stride] == [(1, 1, 1)] * 7
    transposed = [m for m in network.decoder.modules() if type(m) is torch.nn.ConvTranspose3d]
    assert [m.stride for m in transposed] == [(2, 2, 2)] * 5
    norms = [m for m in network.modules() if type(m) is torch.nn.InstanceNorm3d]
    assert {(m.eps, m.affine) for m in norms} == {(1e-5, True)}
    leaks = [m for m in network.modules() if type(m) is torch.nn.LeakyReLU]
    assert all(math.isclose(m.negative_slope, 0.01) for m in leaks)
    assert not [m for m in network.modules() if isinstance(m, torch.nn.modules.dropout._DropoutNd)]
    assert len(network.decoder.seg_layers) == 5
