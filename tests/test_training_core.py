"""One iteration of training, against losses, gradients and updates written out here.

Golts et al. 2021, sections 2.4 and 3.4; where the paper says nothing, nnU-Net's documented
defaults: Dice of the foreground classes with 1e-5 in numerator and denominator, weights of the
levels 1, 1/2, 1/4, 1/8 and 0 over their sum, gradients clipped at a norm of 12, weight decay 3e-5.
"""

from copy import deepcopy
from itertools import combinations

import numpy as np
import pytest
import torch

from renalseg.models.plans import CASCADE, FULLRES, LOWRES, PLANAR
from renalseg.training.recipe import Regularization
from tiny_training import DEEP, PAPER, trainer_of, write_case, write_training_set


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    root = tmp_path_factory.mktemp("core")
    image = np.random.default_rng(0).normal(100, 80, (40, 36, 38))
    case = write_case(root, "case_00000", image, lambda _: image > 200)
    wanted = dict.fromkeys((FULLRES, LOWRES, PLANAR), ("majority", 1))
    return write_training_set(root / "run", [case], DEEP, wanted, splits=1)[0]


def batch_of(trainer, seed=0):
    """Random input and labels; the image varies most from slice to slice, least along a row."""
    random = torch.Generator().manual_seed(seed)
    size, patch = trainer.batch_size, trainer.configuration_manager.patch_size
    data = torch.randn(
        size, trainer.num_input_channels, *patch, generator=random, dtype=torch.float64
    )
    for axis, scale in ((2, 1.0), (3, 0.3)):
        shape = [patch[axis - 2] if each == axis else 1 for each in range(2, data.ndim)]
        data[:, :1] += 9 * scale * torch.randn(size, 1, *shape, generator=random)
    data[:, :1] *= 0.1
    strides = np.cumprod(trainer.configuration_manager.pool_op_kernel_sizes, axis=0)[:-1]
    target = []
    for steps in strides:
        shape = [n // step for n, step in zip(patch, steps, strict=True)]
        labels = torch.randint(0, 4, (size, 1, *shape), generator=random)
        labels[0][labels[0] == 2] = 1  # classes are unlike frequent in the samples
        target.append(labels.to(torch.int16))
    return {"data": data, "target": target}


def shares(labels):
    """Labels as shares of four classes; those of more than one channel are shares already."""
    if labels.shape[1] == 4:
        return labels.double()
    return torch.stack([(labels[:, 0] == c).double() for c in range(4)], 1)


def dice_and_entropy(logits, labels, batch_dice):
    """``L_dice + L_CE`` of one level (eq. 1)."""
    scores, truth = logits.exp() / logits.exp().sum(1, keepdim=True), shares(labels)
    entropy = -(truth * scores.log()).sum(1).mean()
    axes = [0, *range(2, logits.ndim)] if batch_dice else list(range(2, logits.ndim))
    scores, truth = scores[:, 1:], truth[:, 1:]
    both, all_of = (scores * truth).sum(axes), scores.sum(axes) + truth.sum(axes)
    return entropy - ((2 * both + 1e-5) / (all_of + 1e-5)).mean()


def energy(image, logits, beta, axes):
    """``L_reg`` (eq. 2 and 3) along axes: each voxel counts each neighbour; per voxel."""
    scores = logits.exp() / logits.exp().sum(1, keepdim=True)
    total = 0
    for axis in axes:
        (a, b), (p, q) = (
            (t.narrow(axis, 0, t.shape[axis] - 1), t.narrow(axis, 1, t.shape[axis] - 1))
            for t in (image, scores)
        )
        total = total + 2 * (torch.exp(-beta * (a - b) ** 2) * (p - q) ** 2).sum()
    return total / image.numel()


def expected_loss(outputs, batch, *, batch_dice, term=None):
    """Eq. 1 over the levels; ``term`` is lambda, beta and the axes of the neighbours."""
    weights = [1.0, 0.5, 0.25, 0.125, 0.0]
    assert len(outputs) == len(batch["target"]) == 5  # "the 5 different resolution levels"
    losses = [
        weight / 1.875 * dice_and_entropy(output, labels, batch_dice)
        for weight, output, labels in zip(weights, outputs, batch["target"], strict=True)
        if weight
    ]
    loss = sum(losses)
    if term is not None:
        weight, beta, axes = term
        loss = loss + weight * energy(batch["data"][:, :1], outputs[0], beta, axes)
    return loss


def expected_updates(network, batches, learning_rate, **how):
    """Losses, gradients' norms and parameters of SGD, computed by hand on a copy."""
    network = deepcopy(network)
    parameters = list(network.parameters())
    velocities = [torch.zeros_like(p) for p in parameters]
    losses, norms = [], []
    for batch in batches:
        loss = expected_loss(network(batch["data"]), batch, **how)
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        gradients = [None if g is None else g.clone() for g in gradients]
        norm = sum(float((g**2).sum()) for g in gradients if g is not None) ** 0.5
        losses.append(loss.item())
        norms.append(norm)
        with torch.no_grad():
            for p, v, g in zip(parameters, velocities, gradients, strict=True):
                if g is None:  # the level that does not count
                    continue
                step = g * min(1, 12 / norm) + 3e-5 * p
                v.copy_(0.99 * v + step)
                p.sub_(learning_rate * (step + 0.99 * v))
    return losses, norms, dict(network.named_parameters())


IN_PLANE, ALL = (3, 4), (2, 3, 4)
STEPS = {  # recipe, stage, term, batch Dice
    "baseline": ("baseline", FULLRES, None, True),
    "image loss": ("image-loss", FULLRES, (1, 10, IN_PLANE), True),
    "volume loss": ("volume-loss", FULLRES, (1, 5, ALL), True),
    "first stage": ("cascade", LOWRES, None, False),
    "second stage": ("cascade", CASCADE, None, True),
}


def check_steps(trainer, *, term, batch_dice, steps=1):
    """Train a few steps and compare loss, update and the learning rate of epoch 250."""
    trainer.network.double()
    trainer.current_epoch = 250
    trainer.on_train_epoch_start()
    batches = [batch_of(trainer, seed) for seed in range(steps)]
    losses, norms, wanted = expected_updates(
        trainer.network, batches, 0.01 * 0.75**0.9, term=term, batch_dice=batch_dice
    )
    found = [float(trainer.train_step(batch)["loss"]) for batch in batches]
    np.testing.assert_allclose(found, losses, rtol=1e-6)
    for name, parameter in trainer.network.named_parameters():
        torch.testing.assert_close(parameter, wanted[name], rtol=0, atol=1e-8, msg=name)
    return norms


@pytest.mark.parametrize("which", STEPS)
def test_a_step_of_each_of_the_papers_models(workspace, which):
    recipe, stage, term, batch_dice = STEPS[which]
    with trainer_of(workspace, recipe, stage) as trainer:
        steps = 2 if which == "baseline" else 1
        norms = check_steps(trainer, term=term, batch_dice=batch_dice, steps=steps)
    assert max(norms) < 12  # nothing was clipped


def test_scaled_losses_as_on_a_gpu_make_the_same_steps(workspace):
    """Gradients are clipped after they are scaled back."""
    recipe = with_term("baseline", neighbours=4, beta=10, weight=3000)
    with trainer_of(workspace, recipe) as trainer:
        trainer.grad_scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        norms = check_steps(trainer, term=(3000, 10, IN_PLANE), batch_dice=True)
    assert min(norms) > 12


def with_term(recipe, **term):
    return PAPER[recipe].model_copy(update={"regularization": Regularization(**term)})


def test_lambda_weighs_the_energy_and_long_gradients_are_clipped(workspace):
    recipe = with_term("baseline", neighbours=4, beta=10, weight=3000)
    with trainer_of(workspace, recipe) as trainer:
        norms = check_steps(trainer, term=(3000, 10, IN_PLANE), batch_dice=True, steps=2)
    assert min(norms) > 12


def test_the_energy_of_a_second_stage_looks_at_the_ct_alone(workspace):
    recipe = PAPER["cascade"].model_copy(
        update={"regularization": PAPER["image-loss"].regularization}
    )
    with trainer_of(workspace, recipe, CASCADE) as trainer:
        assert trainer.num_input_channels == 4
        check_steps(trainer, term=(1, 10, IN_PLANE), batch_dice=True)


def test_the_energy_of_a_planar_network_is_that_of_its_slice(workspace):
    recipe = with_term("baseline", neighbours=4, beta=2)
    recipe = recipe.model_copy(update={"configuration": "2d"})
    with trainer_of(workspace, recipe, PLANAR) as trainer:
        check_steps(trainer, term=(1, 2, (2, 3)), batch_dice=True)


def test_a_cpu_trains_in_single_precision(workspace):
    with trainer_of(workspace, "image-loss") as trainer:
        batch = batch_of(trainer)
        outputs = deepcopy(trainer.network).double()(batch["data"])
        term = (1, 10, IN_PLANE)
        wanted = expected_loss(outputs, batch, batch_dice=True, term=term).item()
        loss = trainer.train_step({**batch, "data": batch["data"].float()})["loss"]
    assert loss.dtype == np.float32
    assert float(loss) == pytest.approx(wanted, rel=5e-6)


def test_the_mean_of_annotations_is_a_soft_target(workspace):
    recipe = PAPER["baseline"].model_copy(update={"annotations": "mean"})
    with trainer_of(workspace, recipe) as trainer:
        trainer.network.double()
        batch = batch_of(trainer)
        thirds = [torch.randint_like(labels, 0, 11) for labels in batch["target"]]
        coded = [10 * (t % 2) + 32 * 10 * (t % 3 == 0) + 1024 * 10 * (t > 7) for t in thirds]
        decoded = []
        for t in thirds:
            own = torch.cat([t % 2, (t % 3 == 0).int(), (t > 7).int()], 1).double() / 3
            decoded.append(torch.cat([1 - own.sum(1, keepdim=True), own], 1))
        outputs = trainer.network(batch["data"])
        wanted = expected_loss(outputs, {**batch, "target": decoded}, batch_dice=True).item()
        found = trainer.train_step({**batch, "target": coded})["loss"]
    assert float(found) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(("turned", "axial"), [((2, 1, 0), 2), ((1, 2, 0), 3), ((0, 1, 2), 4)])
def test_the_axial_plane_is_found_however_the_plans_turn_the_arrays(workspace, turned, axial):
    """nnU-Net's arrays are (column, row, slice) before the plans turn them."""
    with trainer_of(workspace, "image-loss") as trainer:
        trainer.plans_manager.plans["transpose_forward"] = list(turned)
        trainer.network.double()
        batch = batch_of(trainer)
        outputs = trainer.network(batch["data"])
        found = float(trainer.train_step(batch)["loss"])
        losses = {}
        for across in (2, 3, 4):
            term = (1, 10, tuple(axis for axis in ALL if axis != across))
            losses[across] = expected_loss(outputs, batch, batch_dice=True, term=term).item()
    assert found == pytest.approx(losses[axial], rel=1e-6)
    for one, other in combinations(losses.values(), 2):
        assert abs(one - other) > 1e-3  # the choice matters


def test_the_optimizer_is_the_papers(workspace):
    with trainer_of(workspace, "pretrained") as trainer:
        (group,) = trainer.optimizer.param_groups
        assert type(trainer.optimizer) is torch.optim.SGD
        assert len(group["params"]) == len(list(trainer.network.parameters()))
        settings = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")
        assert [group[name] for name in settings] == [0.01, 0.99, 0, 3e-5, True, False]


@pytest.mark.parametrize("name", PAPER)
def test_the_length_of_every_training_is_the_papers(workspace, name):
    recipe = PAPER[name]
    for stage in recipe.stages:
        with trainer_of(workspace, recipe, stage) as trainer:
            assert trainer.num_epochs == 1000
            assert trainer.num_iterations_per_epoch == 250
            assert trainer.num_val_iterations_per_epoch == 50
            assert trainer.oversample_foreground_percent == 0.33
            assert trainer.probabilistic_oversampling is False


#: 0.01 * (1 - epoch / 1000) ** 0.9, by decimal arithmetic.
RATES = {
    0: 0.01,
    1: 0.00999099954,
    10: 0.00990995483,
    250: 0.00771889507,
    500: 0.00535886731,
    900: 0.00125892541,
    999: 0.00001995262,
}


def rate(trainer):
    trainer.on_train_epoch_start()
    return trainer.optimizer.param_groups[0]["lr"]


def test_the_learning_rate_decays_as_in_the_paper(workspace):
    with trainer_of(workspace, "seed-3") as trainer:
        for epoch, wanted in RATES.items():
            trainer.current_epoch = epoch
            assert rate(trainer) == pytest.approx(wanted, rel=1e-6)


def test_a_resumed_training_goes_on_at_its_learning_rate(workspace, tmp_path):
    with trainer_of(workspace, "seed-3") as trainer:
        trainer.current_epoch = 499
        trainer.train_step(batch_of_single(trainer))
        trainer.save_checkpoint(str(tmp_path / "c.pth"))
    with trainer_of(workspace, "seed-3") as other:
        other.load_checkpoint(str(tmp_path / "c.pth"))
        assert other.current_epoch == 500
        assert rate(other) == pytest.approx(RATES[500], rel=1e-6)
        for one, wanted in zip(
            other.optimizer.state.values(), trainer.optimizer.state.values(), strict=True
        ):
            assert torch.equal(one["momentum_buffer"], wanted["momentum_buffer"])


def batch_of_single(trainer):
    batch = batch_of(trainer)
    return {**batch, "data": batch["data"].float()}
