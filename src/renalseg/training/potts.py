"""The regularised loss of the paper: a quadratic Potts model on the softmax (section 3.4).

For a symmetric set of pairs the sum of ``w_ij (p_i - p_j)^2`` is ``p . L p`` with the graph
Laplacian ``L``, and its gradient ``2 L p``: one pass gives both. The pass goes through slabs, so
that no tensor per neighbour or class is ever made, and neither are the softmax scores of the whole
patch: what is kept for the backward pass is one tensor of the logits' shape.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from renalseg.training.neighbours import Neighbourhood

#: Scores in a slab: as many as a core's cache holds, or as keep a GPU busy.
_SLAB = {"cpu": 1 << 19}
_SLAB_ELSEWHERE = 1 << 21


def potts_loss(
    image: Float[Tensor, "batch 1 *space"],
    logits: Float[Tensor, "batch class *space"],
    beta: float,
    pairs: Neighbourhood,
) -> Float[Tensor, ""]:
    """Penalise different predictions for neighbours of like intensity.

    Golts et al. 2021, eq. 2 and 3: the sum over classes c and pairs (i, j) of
    ``exp(-beta (I_i - I_j)^2) (p_i^c - p_j^c)^2``. Every voxel counts each of its neighbours, so
    a pair counts twice. The paper gives a sum; we divide it by the number of voxels, so that
    lambda means the same for every patch size, and the paper's lambda of 1 sets it beside losses
    that are means too. Intensities are those that the network sees, in standard deviations of the
    data set, which is where the paper's beta of 5 and 10 tells noise from edges.

    Computed in float32 whatever autocast says, in float64 for float64 logits; opaque to
    ``torch.compile``. Differentiable once, with respect to the logits.

    Args:
        image: The network's input: intensities after normalisation. Two or three spatial axes.
        logits: The network's output, before the softmax.
        beta: Sharpness of the weight, in units of normalised intensity.
        pairs: Which voxels are compared.

    Returns:
        The loss, zero where the prediction is constant.
    """
    if logits.ndim == 4:
        image, logits = image[:, :, None], logits[:, :, None]
    steps = [step for offset in pairs.offsets for step in offset]
    loss: Tensor = _potts(image, logits, beta, steps, list(pairs.weights))[0]
    return loss


def potts_levels_loss(
    image: Float[Tensor, "batch 1 *space"],
    outputs: Sequence[Float[Tensor, "batch class *level"]],
    beta: float,
    pairs: Neighbourhood,
) -> Float[Tensor, ""]:
    """The loss at every level of deep supervision, with nnU-Net's weights of the levels.

    Each level halves the weight of the one before, the last has none, and all add up to 1. A level
    sees the mean intensity of the voxels that each of its own stands for.

    Args:
        image: The network's input.
        outputs: The network's logits, full resolution first.
        beta: As for :func:`potts_loss`.
        pairs: As for :func:`potts_loss`, in voxels of each level.
    """
    used = outputs[: max(1, len(outputs) - 1)]
    weights = [0.5**level for level in range(len(used))]
    losses = [
        weight * potts_loss(interpolate(image, logits.shape[2:], mode="area"), logits, beta, pairs)
        for weight, logits in zip(weights, used, strict=True)
    ]
    return torch.stack(losses).sum() / sum(weights)


@torch.library.custom_op("renalseg::potts", mutates_args=())
def _potts(
    image: Tensor, logits: Tensor, beta: float, steps: list[int], weights: list[float]
) -> tuple[Tensor, Tensor]:
    """The loss, and its gradient with respect to the logits."""
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    batch, classes, depth, height, width = logits.shape
    scale = 2.0 / (batch * depth * height * width)
    slab = _SLAB.get(logits.device.type, _SLAB_ELSEWHERE)
    rows = max(1, slab // (classes * height * width))
    reach = max(abs(step) for step in steps[::3])
    gradient = torch.empty(logits.shape, dtype=dtype, device=logits.device)
    total = torch.zeros((), dtype=dtype, device=logits.device)
    for one in range(batch):
        for top in range(0, depth, rows):
            end = min(depth, top + rows)
            low, high = max(0, top - reach), min(depth, end + reach)
            scores = logits[one, :, low:high].to(dtype).softmax(0).contiguous()
            laplacian = _laplacian(image[one, 0, low:high].to(dtype), scores, beta, steps, weights)
            scores, laplacian = (each[:, top - low : end - low] for each in (scores, laplacian))
            energy = (scores * laplacian).sum(0)
            total += energy.sum()
            gradient[one, :, top:end] = (2 * scale) * scores * (laplacian - energy)
    return total * scale, gradient


def _laplacian(
    image: Tensor, scores: Tensor, beta: float, steps: list[int], weights: list[float]
) -> Tensor:
    """For every voxel the weighted sum of its differences from its neighbours in the slab."""
    total = torch.zeros_like(scores)
    for *step, weight in zip(steps[::3], steps[1::3], steps[2::3], weights, strict=True):
        sides = list(zip(step, image.shape, strict=True))
        a = [slice(max(0, -n), max(0, size - max(0, n))) for n, size in sides]
        b = [slice(max(0, n), max(0, size + min(0, n))) for n, size in sides]
        alike = (image[*a] - image[*b]).square_().mul_(-beta).exp_().mul_(weight)
        difference = (scores[:, *a] - scores[:, *b]).mul_(alike)
        total[:, *a] += difference
        total[:, *b] -= difference
    return total


@_potts.register_fake
def _shapes(
    image: Tensor,  # noqa: ARG001
    logits: Tensor,
    beta: float,  # noqa: ARG001
    steps: list[int],  # noqa: ARG001
    weights: list[float],  # noqa: ARG001
) -> tuple[Tensor, Tensor]:
    dtype = torch.float64 if logits.dtype == torch.float64 else torch.float32
    gradient = torch.empty(logits.shape, dtype=dtype, device=logits.device)
    return gradient.new_empty(()), gradient


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.logits_type = inputs[1].dtype
    ctx.set_materialize_grads(False)  # nobody asks for the gradient's gradient: no zeros for it
    ctx.save_for_backward(output[1])


def _backward(ctx: Any, loss: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
    (gradient,) = ctx.saved_tensors
    wanted = None if loss is None else (gradient * loss).to(ctx.logits_type)
    return None, wanted, None, None, None


_potts.register_autograd(_backward, setup_context=_keep)
