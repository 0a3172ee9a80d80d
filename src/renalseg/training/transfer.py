"""Start a network from the weights of another one (Golts et al. 2021, section 3.2)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import nn

from renalseg.errors import ModelError
from renalseg.models.checkpoints import load_checkpoint

#: The layers that depend on the task's classes keep their random start, as in nnU-Net.
_TASK_LAYERS = "decoder.seg_layers."

#: Lists of the decoder that run from the coarsest level to the finest.
_RISING = ("decoder.stages.", "decoder.transpconvs.", _TASK_LAYERS)


@dataclass(frozen=True)
class Transfer:
    """What became of each layer of a network that starts from another one's weights.

    Attributes:
        taken: Layers whose weights are the other network's.
        adapted: Layers whose input channels differ: the common ones are the other network's, the
            rest, such as those of a cascade's previous stage, start at zero.
        left: Layers that keep their random start: those that depend on the classes, and those of
            which the other network has none of the same shape.
    """

    taken: tuple[str, ...]
    adapted: tuple[str, ...]
    left: tuple[str, ...]

    def __str__(self) -> str:
        """One line; names where they are few enough to be read."""
        parts = [f"{len(self.taken)} layers taken"]
        for names, what in ((self.adapted, "adapted"), (self.left, "left at their random start")):
            listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
            parts.append(f"{len(names)} {what}" + (f" ({listed})" if names else ""))
        return "; ".join(parts)


def transfer_weights(
    network: nn.Module, checkpoint: Path, *, same_classes: bool = False
) -> Transfer:
    """Copy the weights of a trained network into one that may differ from it.

    Layers are matched by name, those of the decoder by their distance from the finest level, so
    that a network of another depth gives what it has. Nothing is matched by shape alone.

    Args:
        network: The network that is about to be trained, of nnU-Net v2's architectures.
        checkpoint: Any nnU-Net v2 checkpoint.
        same_classes: Whether its classes are the network's, so that the last layers are taken too.

    Returns:
        Which layers were taken, adapted and left.

    Raises:
        ModelError: If the checkpoint cannot be read, or no layer of it fits.
    """
    weights = load_checkpoint(checkpoint)["network_weights"]
    shift = _decoder_levels(weights) - _decoder_levels(network.state_dict())
    first = next(name for name, own in _tensors(network) if own.ndim > 2)
    found: dict[str, str] = {}
    with torch.no_grad():
        for name, own in _tensors(network):
            layer, _, _ = name.rpartition(".")
            is_left = name.startswith(_TASK_LAYERS) and not same_classes
            other = None if is_left else _counterpart(name, shift, weights)
            how = _copy(own, other, may_adapt=name == first)
            # a layer is as foreign as the most foreign of its tensors
            found[layer] = max(found.get(layer, how), how, key=_FATES.index)
    taken, adapted, left = (tuple(n for n, how in found.items() if how == fate) for fate in _FATES)
    if not taken:
        raise ModelError(
            f"{checkpoint}: no layer fits the network that is to start from it; expected a U-Net "
            "of nnU-Net v2 with the same number of axes and features"
        )
    return Transfer(taken, adapted, left)


_FATES = ("taken", "adapted", "left")


def _copy(own: torch.Tensor, other: torch.Tensor | None, *, may_adapt: bool) -> str:
    """Fill one tensor, and say how."""
    if other is None:
        return "left"
    if other.shape == own.shape:
        own.copy_(other)
        return "taken"
    if not may_adapt or other[:, :1].shape != own[:, :1].shape:
        return "left"
    common = min(other.shape[1], own.shape[1])
    own.zero_()
    own[:, :common] = other[:, :common]
    return "adapted"


def _tensors(network: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Each tensor once: nnU-Net's modules are known by several names."""
    return chain(network.named_parameters(), network.named_buffers())


def _decoder_levels(names: Iterable[str]) -> int:
    start = _RISING[0]
    return len({name[len(start) :].split(".")[0] for name in names if name.startswith(start)})


def _counterpart(name: str, shift: int, weights: dict[str, torch.Tensor]) -> torch.Tensor | None:
    """The other network's tensor of that name; in the decoder, as far from the finest level."""
    for start in _RISING:
        if name.startswith(start):
            number, _, rest = name[len(start) :].partition(".")
            name = f"{start}{int(number) + shift}.{rest}"
    return weights.get(name)
