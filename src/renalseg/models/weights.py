"""The weights of a checkpoint, given to a network that has none."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from renalseg.errors import ModelError
from renalseg.models.documents import shown


def fill(network: nn.Module, weights: Any, path: Path) -> None:
    """Give a network the weights of a checkpoint, without a copy of them.

    Args:
        network: On torch's meta device, so that nothing was allocated before all sizes are known to
            agree.
        weights: What the checkpoint holds as ``network_weights``.
        path: The checkpoint, named in errors.

    Raises:
        ModelError: If tensors are missing, too many, of another shape or kind, or not finite.
    """
    wanted = network.state_dict()
    if not isinstance(weights, Mapping):
        raise ModelError(
            f"{path}: expected tensors by name as network_weights, got {type(weights).__name__}; "
            "copy it again"
        )
    wrong = [f"no {name}" for name in wanted if name not in weights]
    wrong += [f"{shown(name)} is too many" for name in weights if name not in wanted]
    wrong += [
        f"{name} is {_described(weights[name])}, expected {_kind(tensor)}"
        for name, tensor in wanted.items()
        if name in weights and not _agree(weights[name], tensor)
    ]
    if wrong:
        more = f"; and {len(wrong) - 2} more" if len(wrong) > 2 else ""
        raise ModelError(
            f"{path}: does not fit plans.json ({'; '.join(wrong[:2])}{more}); copy the model again"
        )
    plain = {name: weights[name].detach().to(tensor.dtype) for name, tensor in wanted.items()}
    network.load_state_dict(plain, assign=True)
    for name, tensor in chain(network.named_parameters(), network.named_buffers()):
        if not all(end.isfinite() for end in torch.aminmax(tensor)):
            raise ModelError(f"{path}: {name} holds NaN or infinite numbers; copy it again")
    network.requires_grad_(False)


def _agree(found: Any, wanted: Tensor) -> bool:
    return (
        isinstance(found, Tensor)
        and _is_plain(found)
        and found.shape == wanted.shape
        and found.is_floating_point() == wanted.is_floating_point()
    )


def _is_plain(tensor: Tensor) -> bool:
    """Whether a tensor is as many real numbers in memory as it says.

    It may also repeat a few of them by strides of zero, and would grow to what the file never held.
    """
    return (
        tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and not tensor.is_quantized
        and not tensor.is_complex()
        and tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()
    )


def _described(found: Any) -> str:
    if not isinstance(found, Tensor):
        return type(found).__name__
    return _kind(found) + ("" if _is_plain(found) else " but not plain numbers")


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
