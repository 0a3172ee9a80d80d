"""The folds of a narrow model as one network: the same sums, in fewer passes over the memory.

A CPU computes sixteen feature maps at a time. A layer with four of them leaves the rest idle, and
its activations cost as much to carry about. Several folds fit beside each other: every layer has
the folds' weights in blocks along its diagonal and zeros elsewhere, so each fold sees its own.
"""

import re
from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Feature maps that a CPU computes at a time.
_LANES = 16
#: Its input is what comes from below, then what the encoder kept.
_AFTER_CONCATENATION = re.compile(r"decoder\.stages\.\d+\.convs\.0\.conv")


def fit_side_by_side(networks: Sequence["nn.Module"], features: int) -> bool:
    """Whether several networks pay as one.

    Args:
        networks: Of one architecture.
        features: Feature maps of their first stage, where most of the time goes.
    """
    is_known = type(networks[0]).__name__ == "PlainConvUNet"
    return is_known and len(networks) > 1 and len(networks) * features <= _LANES


def side_by_side(networks: Sequence["nn.Module"]) -> "nn.Module":
    """Networks that share their input as one, whose output has their classes one after the other.

    Args:
        networks: U-Nets of nnU-Net (``PlainConvUNet``) of one architecture.
    """
    import torch
    from torch import nn

    whole = deepcopy(networks[0])
    modules = [dict(network.named_modules()) for network in networks]
    is_first = True
    for name, module in whole.named_modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, nn.Parameter):
            continue
        weights = [part[name].weight for part in modules]
        if weight.ndim == 1 or is_first:
            merged = torch.cat(weights)
        elif _AFTER_CONCATENATION.fullmatch(name):
            halves = zip(*(one.chunk(2, 1) for one in weights), strict=True)
            merged = torch.cat([_diagonal(half) for half in halves], 1)
        else:
            merged = _diagonal(weights)
        is_first = False  # all layers but the first see the folds' own feature maps
        module.weight = nn.Parameter(merged, requires_grad=False)
        if module.bias is not None:
            biases = torch.cat([part[name].bias for part in modules])
            module.bias = nn.Parameter(biases, requires_grad=False)
        if isinstance(module, nn.InstanceNorm2d | nn.InstanceNorm3d):
            module.num_features = len(merged)  # it checks
    return whole


def _diagonal(weights: "Sequence[Tensor]") -> "Tensor":
    """Weights (out, in, ...), or of a transposed convolution (in, out, ...), in blocks."""
    first, second = weights[0].shape[:2]
    count = len(weights)
    merged = weights[0].new_zeros(count * first, count * second, *weights[0].shape[2:])
    for n, weight in enumerate(weights):
        merged[n * first : (n + 1) * first, n * second : (n + 1) * second] = weight.detach()
    return merged
