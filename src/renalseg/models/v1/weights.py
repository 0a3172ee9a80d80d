"""The weights of nnU-Net v1's ``Generic_UNet`` under the names of v2's ``PlainConvUNet``."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: v1's convolution is in groups: the last one of a decoder stage, and of the deepest stage, stands
#: in a group of its own.
_CONTEXT = re.compile(r"conv_blocks_context\.(\d+)\.(?:([01])\.)?blocks\.(\d+)\.(conv|instnorm)\.")
_DECODER = re.compile(r"conv_blocks_localization\.(\d+)\.([01])\.blocks\.(\d+)\.(conv|instnorm)\.")
_PLAIN = {"tu.": "decoder.transpconvs.", "seg_outputs.": "decoder.seg_layers."}
_PART = {"conv": "conv", "instnorm": "norm"}


def v2_name(name: str, convolutions: int) -> str:
    """The name in v2 of a tensor of v1.

    Args:
        name: Such as ``conv_blocks_context.0.blocks.1.instnorm.weight``.
        convolutions: Per stage.

    Raises:
        ValueError: If v1's plain U-Net has no tensor of that name.
    """
    for pattern, target in ((_CONTEXT, "encoder.stages.{}.0"), (_DECODER, "decoder.stages.{}")):
        if found := pattern.match(name):
            stage, group, place, part = found.groups()
            number = convolutions - 1 if group == "1" else int(place)
            rest = name[found.end() :]
            return f"{target.format(stage)}.convs.{number}.{_PART[part]}.{rest}"
    for start, target in _PLAIN.items():
        if name.startswith(start):
            return target + name.removeprefix(start)
    raise ValueError(name)


def fill(network: Any, weights: Mapping[str, "torch.Tensor"], convolutions: int) -> None:
    """Put v1's weights into v2's network; biases that v1 has none of become zero.

    Args:
        network: A ``PlainConvUNet`` built from the converted plan.
        weights: v1's ``state_dict``.
        convolutions: Per stage.

    Raises:
        ValueError: If a tensor of either network has no counterpart of the same shape.
    """
    import torch

    given = {v2_name(name, convolutions): tensor for name, tensor in weights.items()}
    with torch.no_grad():
        for name, own in network.named_parameters():
            other = _padded(given.pop(name, None), own)
            if other is None and name.endswith(".bias"):
                own.zero_()
            elif other is None or other.shape != own.shape:
                got = "none" if other is None else tuple(other.shape)
                raise ValueError(f"layer {name}: expected shape {tuple(own.shape)}, got {got}")
            else:
                own.copy_(other)
    if given:
        raise ValueError(f"layers without a place: {', '.join(sorted(given)[:3])}")


def _padded(kernel: "torch.Tensor | None", own: "torch.Tensor") -> "torch.Tensor | None":
    """A kernel of 1 in the middle of one of 3; everything else as it is."""
    if kernel is None or kernel.ndim != own.ndim or kernel.ndim < 4:
        return kernel
    import torch

    room = [
        (wanted - size) // 2 if (size, wanted) == (1, 3) else 0
        for size, wanted in zip(kernel.shape[:1:-1], own.shape[:1:-1], strict=True)
    ]
    return torch.nn.functional.pad(kernel, [n for side in room for n in (side, side)])
