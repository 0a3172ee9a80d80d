"""The regularised loss of the paper: a quadratic Potts model on the softmax (section 3.4)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def potts_loss(
    image: Float[Tensor, "batch 1 x y z"],
    probabilities: Float[Tensor, "batch class x y z"],
    beta: float,
    axes: Sequence[int],
) -> Float[Tensor, ""]:
    """Penalise different predictions for neighbours of like intensity.

    Golts et al. 2021, eq. 2 and 3: the sum over classes c and pairs (i, j) of
    ``exp(-beta (I_i - I_j)^2) (p_i^c - p_j^c)^2``. Every voxel counts each of its neighbours, so
    a pair counts twice. The paper gives a sum; we divide it by the number of voxels, so that
    lambda means the same for every patch size.

    Args:
        image: The network's input: intensities after normalisation.
        probabilities: Softmax scores.
        beta: Sharpness of the weight, in units of normalised intensity.
        axes: Spatial axes (0-2) along which neighbours are compared: two for the image loss, three
            for the volume loss.

    Returns:
        The loss, zero where the prediction is constant.
    """
    total = probabilities.new_zeros(())
    for axis in axes:
        weight = torch.exp(-beta * torch.diff(image, dim=axis + 2) ** 2)
        total = total + (weight * torch.diff(probabilities, dim=axis + 2) ** 2).sum()
    voxels = image.numel()
    return 2 * total / voxels
