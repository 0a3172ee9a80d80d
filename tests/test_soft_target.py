"""The mean of several label maps as a training target."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

from renalseg.training.soft_target import SoftTargetLoss, decode_mean, encode_mean


def random_maps(count, seed):
    return list(np.random.RandomState(seed).randint(-1, 4, size=(count, 1, 3, 4, 5)))


@given(count=st.sampled_from([1, 2, 3, 5, 6, 10, 15]), seed=st.integers(0, 1000))
def test_decoded_shares_are_the_mean_of_the_maps(count, seed):
    maps = random_maps(count, seed)
    code = torch.from_numpy(encode_mean(maps))[None]
    found = decode_mean(code, 4)[0].numpy()
    wanted = [np.mean([np.maximum(m[0], 0) == label for m in maps], axis=0) for label in range(4)]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@given(count=st.integers(1, 40), seed=st.integers(0, 1000))
def test_any_number_of_maps_gives_shares_near_the_mean_that_add_up_to_one(count, seed):
    maps = random_maps(count, seed)
    found = decode_mean(torch.from_numpy(encode_mean(maps))[None], 4)[0].numpy()
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-6)
    wanted = [np.mean([np.maximum(m[0], 0) == label for m in maps], axis=0) for label in range(4)]
    np.testing.assert_allclose(found, wanted, atol=0.08)


@pytest.fixture
def loss():
    return SoftTargetLoss(
        DC_and_CE_loss(
            {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False},
            {},
            dice_class=MemoryEfficientSoftDiceLoss,
        )
    )


def test_maps_that_agree_cost_what_their_labels_cost(loss):
    labels = torch.randint(0, 4, (2, 1, 3, 4, 5))
    output = torch.randn(2, 4, 3, 4, 5)
    code = torch.from_numpy(encode_mean([labels.numpy()] * 5))
    torch.testing.assert_close(loss(output, decode_mean(code, 4)), loss(output, labels))


def test_the_loss_is_least_where_the_prediction_is_the_mean(loss):
    """Cross-entropy's gradient vanishes there; that of Dice is left out."""
    loss.hard.weight_dice = 0
    target = decode_mean(torch.from_numpy(encode_mean(random_maps(5, 0)))[None], 4) + 1e-6
    output = target.log().requires_grad_()
    loss(output, target).backward()
    assert output.grad.abs().max() < 1e-6
