"""The networks and layers that plans may name. They are looked up here and never imported by name.

A dotted path leads anywhere: ``torch.nn.parallel.distributed.os.system`` begins like a layer's.
"""

import re
from typing import Any

from renalseg.errors import ModelError
from renalseg.models.documents import shown

_NETWORKS = ("PlainConvUNet", "ResidualEncoderUNet", "ResidualUNet")
_BLOCKS = ("BasicBlockD", "BottleneckD")
_ACTIVATIONS = (
    *("CELU", "ELU", "GELU", "Hardswish", "Hardtanh", "Identity", "LeakyReLU", "LogSigmoid"),
    *("Mish", "PReLU", "RReLU", "ReLU", "ReLU6", "SELU", "Sigmoid", "SiLU", "Softplus", "Softsign"),
    *("Tanh", "Tanhshrink"),
)

#: What each of the plans' roles may be; ``N`` is the number of axes.
_LAYERS = {
    "conv_op": ("ConvN",),
    "norm_op": ("InstanceNormN", "BatchNormN"),
    "dropout_op": ("DropoutN", "Dropout"),
    "nonlin": _ACTIVATIONS,
}
_OWN = r"dynamic_network_architectures(?:\.\w+)*\.(\w+)"
_TORCH = r"torch\.nn\.(?:modules\.\w+\.)?(\w+)"


def find_network(name: str, path: object) -> Any:
    """The class of a network.

    Args:
        name: A dotted path, as plans write it; its last part counts.
        path: The plans file, named in errors.

    Raises:
        ModelError: If it is none of nnU-Net's U-Nets.
    """
    from dynamic_network_architectures.architectures import unet

    return getattr(unet, _last(name, _OWN, _NETWORKS, "network", path))


def find_layer(role: str, name: str | None, axes: int, path: object) -> Any:
    """The class of a layer, or None where the plans have none.

    Args:
        role: Such as ``conv_op``, as the plans call it.
        name: As plans write it, e.g. ``torch.nn.modules.conv.Conv3d``.
        axes: 2 or 3.
        path: The plans file, named in errors.

    Raises:
        ModelError: If it is not one of torch's for that role.
    """
    from dynamic_network_architectures.building_blocks import residual
    from torch import nn

    if name is None:
        return None
    if role == "block":
        return getattr(residual, _last(name, _OWN, _BLOCKS, role, path))
    allowed = tuple(re.sub("N$", f"{axes}d", layer) for layer in _LAYERS[role])
    return getattr(nn, _last(name, _TORCH, allowed, role, path))


def _last(name: str, pattern: str, allowed: tuple[str, ...], role: str, path: object) -> str:
    match = re.fullmatch(pattern, name, re.ASCII)
    if match is None or match[1] not in allowed:
        raise ModelError(
            f"{path}: {role}: its network would load {shown(name)}; expected one of nnU-Net's own, "
            f"such as {allowed[0]}; do not use this model"
        )
    return match[1]
