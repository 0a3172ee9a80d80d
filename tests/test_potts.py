import itertools
import math

import numpy as np
import pytest
import torch

from renalseg.training.potts import potts_loss


def brute_force(image, probabilities, beta, axes):
    """Golts et al. 2021, eq. 2 and 3, voxel by voxel, over the number of voxels."""
    total = 0.0
    for index in itertools.product(*(range(n) for n in image.shape)):
        for axis in axes:
            for step in (-1, 1):
                other = list(index)
                other[axis] += step
                if not 0 <= other[axis] < image.shape[axis]:
                    continue
                other = tuple(other)
                weight = math.exp(-beta * (image[index] - image[other]) ** 2)
                difference = (
                    probabilities[(slice(None), *index)] - probabilities[(slice(None), *other)]
                )
                total += weight * float((difference**2).sum())
    return total / image.size


@pytest.mark.parametrize("axes", [(0, 1), (0, 1, 2)])
@pytest.mark.parametrize("beta", [5.0, 10.0])
def test_potts_loss_is_the_papers_sum(axes, beta):
    random = np.random.RandomState(0)
    image = random.normal(size=(3, 4, 5)).astype(np.float32)
    scores = random.dirichlet(np.ones(4), size=(3, 4, 5)).astype(np.float32)
    probabilities = np.moveaxis(scores, -1, 0)
    loss = potts_loss(
        torch.from_numpy(image)[None, None], torch.from_numpy(probabilities)[None], beta, axes
    )
    assert loss.item() == pytest.approx(brute_force(image, probabilities, beta, axes), rel=1e-5)


def test_potts_loss_of_a_constant_prediction_is_zero():
    image = torch.randn(2, 1, 4, 4, 4)
    probabilities = torch.full((2, 3, 4, 4, 4), 1 / 3)
    assert potts_loss(image, probabilities, 10.0, (0, 1, 2)).item() == 0


def test_potts_loss_charges_less_where_the_image_has_an_edge():
    probabilities = torch.zeros(1, 2, 4, 4, 4)
    probabilities[:, 0, :2], probabilities[:, 1, 2:] = 1, 1
    flat = torch.zeros(1, 1, 4, 4, 4)
    edge = flat.clone()
    edge[:, :, 2:] = 1
    assert potts_loss(edge, probabilities, 10.0, (0,)) < 1e-3 * potts_loss(
        flat, probabilities, 10.0, (0,)
    )
