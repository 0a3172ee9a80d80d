"""Instance normalisation that adds up in parts.

OpenVINO's own adds up the millions of voxels of a patch one after the other, in single precision:
logits are then wrong in the fourth digit, and depend on how many patches are computed at a time.
Means of small blocks, and then their mean, are as exact as PyTorch's and take no longer.
"""

from math import gcd
from typing import Any

import numpy as np

_BLOCK = 8


def normalise_in_parts(model: Any, ops: Any) -> None:
    """Replace the normalisations of a model.

    Args:
        model: An ``openvino.Model`` whose patch size is fixed.
        ops: The operations to make, e.g. ``openvino.opset13``.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == "MVN":
            node.output(0).replace(_normalised(node, ops).output(0))
    model.validate_nodes_and_infer_types()


def _normalised(node: Any, ops: Any) -> Any:
    voxels = node.input_value(0)
    sizes = [size.get_length() for size in list(voxels.get_partial_shape())[2:]]
    centred = ops.subtract(voxels, _mean(voxels, sizes, ops))
    variance = _mean(ops.multiply(centred, centred), sizes, ops)
    epsilon = ops.constant(np.float32(node.get_attributes()["eps"]))
    scale = ops.power(ops.add(variance, epsilon), ops.constant(np.float32(-0.5)))
    return ops.multiply(centred, scale)


def _mean(voxels: Any, sizes: list[int], ops: Any) -> Any:
    """The mean of each channel, (batch, channel, 1, ...)."""
    block, none = [gcd(size, _BLOCK) for size in sizes], [0] * len(sizes)
    if max(block) > 1:
        voxels = ops.avg_pool(voxels, block, none, none, block, exclude_pad=True)
    axes = ops.constant(np.arange(2, 2 + len(sizes)))
    return ops.reduce_mean(voxels, axes, keep_dims=True)
