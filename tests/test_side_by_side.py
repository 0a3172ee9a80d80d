"""Folds computed as one network say what each says alone."""

import pytest
import torch

from models import TINY_PLAN, write_model
from renalseg.inference.network import How, Network
from renalseg.inference.side_by_side import fit_side_by_side, side_by_side
from renalseg.models.loading import load_networks
from renalseg.models.plans import CASCADE, FULLRES


@pytest.fixture(params=[(FULLRES, 1), (FULLRES, 2), (CASCADE, 1)], ids=str)
def model(request, tmp_path):
    configuration, convolutions = request.param
    plan = TINY_PLAN.model_copy(update={"convolutions": convolutions})
    folder = write_model(
        tmp_path / "model", configuration, folds=(0, 1, 2), mirror=(0, 1, 2), plan=plan
    )
    return load_networks(folder, (0, 1, 2))


def test_every_fold_has_its_own_logits(model):
    patch = torch.randn(1, model.inputs, 16, 16, 16)
    with torch.no_grad():
        expected = torch.cat([network(patch) for network in model.networks], 1)
        found = side_by_side(model.networks)(patch)
    assert len(expected[0]) == 3 * model.classes
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_the_networks_themselves_stay_as_they_were(model):
    before = [p.clone() for network in model.networks for p in network.parameters()]
    side_by_side(model.networks)
    after = [p for network in model.networks for p in network.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("mirror", [True, False])
def test_folds_and_mirrored_copies_are_averaged_alike(model, apart, mirror):
    patch = torch.randn(1, model.inputs, 16, 16, 16)
    how = {"mirror": mirror, "like_nnunet": apart}
    apart_runs = Network.of(model, (0, 1, 2), How(backend="torch", **how)).forward
    together = Network.of(model, (0, 1, 2), How(backend="openvino", **how)).forward
    assert (len(apart_runs.runs), len(together.runs), together.folds) == (3, 1, 3)
    assert together.parts == apart_runs.parts == (3 if apart else 1)
    for one, other in zip(together(patch), apart_runs(patch), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_wide_networks_and_single_folds_are_run_one_by_one(model):
    assert fit_side_by_side(model.networks, features=4)
    assert not fit_side_by_side(model.networks, features=8)
    assert not fit_side_by_side(model.networks[:1], features=4)
    assert not fit_side_by_side([torch.nn.Conv3d(1, 4, 1)] * 2, features=4)
