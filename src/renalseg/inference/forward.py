"""The networks of a model on a batch of patches: folds and mirrored copies averaged.

What runs a single network is a back-end: OpenVINO on a CPU where it is installed, PyTorch else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import combinations
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from renalseg.models.device import cpu_layout
from renalseg.models.manifest import FoldAverage

if TYPE_CHECKING:
    from torch import Tensor

#: Runs one network: patches (batch, channel, ...) to logits (batch, class, ...), float32.
Run = Callable[["Tensor"], "Tensor"]
Backend = Literal["auto", "torch", "openvino"]
Precision = Literal["float32", "half"]

#: To prepare a network for OpenVINO takes most of a second. Square of the feature maps times voxels
#: of a patch: a patch of the demo has 10^6, one of 128^3 with four feature maps 3 * 10^7.
_WORTH_COMPILING = 5_000_000


@dataclass(frozen=True, eq=False)
class MeanForward:
    """The mean of several networks, each over the patch and its mirrored copies.

    Attributes:
        runs: One per fold, or one of all folds side by side.
        axes: The canonical axis of each of the networks' axes.
        is_planar: Whether the networks are 2D; patches then have one voxel along their first axis.
        mirrored: The networks' axes along which copies are mirrored.
        batch: How many patches are best computed together.
        folds: How many each run computes, their classes one after the other.
        apart: Whether the folds' logits are given one by one and not averaged.
        average: What is averaged over copies and folds: logits, or their softmax.
    """

    runs: tuple[Run, ...]
    axes: tuple[int, int, int]
    is_planar: bool
    mirrored: tuple[int, ...]
    batch: int
    folds: int = 1
    apart: bool = False
    average: FoldAverage = "logits"

    @property
    def parts(self) -> int:
        """How many scores a patch has: one by one the folds', or their mean."""
        return len(self.runs) * self.folds if self.apart else 1

    def __call__(self, patches: "Tensor") -> "list[Tensor]":
        """Patches with canonical axes, (batch, channel, slice, row, column), to scores.

        Returns:
            Logits, or softmax scores where these are averaged: as many as ``parts`` says, each
            (batch, class, slice, row, column).
        """
        import torch

        turned = patches.permute(0, 1, *(axis + 2 for axis in self.axes))
        if self.is_planar:
            turned = turned.squeeze(2)
        copies = [c for n in range(len(self.mirrored) + 1) for c in combinations(self.mirrored, n)]
        sums: list[Tensor] = []
        with torch.no_grad():
            for copy in copies:
                flipped = [axis + 2 for axis in copy]
                seen = (torch.flip(turned, flipped) if flipped else turned).contiguous()
                found = (fold for run in self.runs for fold in run(seen).chunk(self.folds, 1))
                for number, fold in enumerate(found):
                    scores = fold.softmax(1) if self.average == "softmax" else fold
                    scores = torch.flip(scores, flipped) if flipped else scores
                    place = number if self.apart else 0
                    if place == len(sums):
                        sums.append(scores)
                    else:
                        sums[place] = sums[place] + scores
        terms = len(copies) * len(self.runs) * self.folds // len(sums)
        back = (0, 1, *(self.axes.index(axis) + 2 for axis in range(3)))
        means = [scores / terms if terms > 1 else scores for scores in sums]
        if self.is_planar:
            means = [scores.unsqueeze(2) for scores in means]
        return [scores.permute(back) for scores in means]


def make_run(
    network: Any,
    channels: int,
    patch_size: Sequence[int],
    device: str,
    backend: Backend = "auto",
    precision: Precision = "float32",
    batch: int = 1,
) -> Run:
    """Prepare one network for its back-end.

    Args:
        network: A module in evaluation mode, with its weights.
        channels: Of its input.
        patch_size: Of the network's axes.
        device: A torch device.
        backend: ``auto`` takes OpenVINO on a CPU where it is installed.
        precision: ``half`` computes in half precision where the device has it.
        batch: Patches at a time.

    Raises:
        ModelError: If OpenVINO is asked for and not installed.
    """
    if device == "cpu" and takes_openvino(backend, first_features(network), patch_size):
        from renalseg.inference.openvino import openvino_run

        kind: Any = "bfloat16" if precision == "half" else "float32"
        return openvino_run(network, channels, patch_size, batch=batch, precision=kind)
    return torch_run(network, patch_size, device, precision)


def takes_openvino(backend: Backend, features: int, patch_size: Sequence[int]) -> bool:
    """Whether a network on a CPU is run by OpenVINO.

    Args:
        backend: ``auto`` takes it where it is installed and the network is large enough.
        features: Of the network's first stage.
        patch_size: Of the network's axes.
    """
    if backend == "auto":
        is_worth_it = features**2 * prod(patch_size) >= _WORTH_COMPILING
        return is_worth_it and find_spec("openvino") is not None
    return backend == "openvino"


def first_features(network: Any) -> int:
    """Feature maps of a network's first stage."""
    return int(next(p for p in network.parameters() if p.ndim > 2).shape[0])


def torch_run(network: Any, patch_size: Sequence[int], device: str, precision: Precision) -> Run:
    """A network run by PyTorch, in the memory layout that convolutions like best."""
    import torch

    layout = cpu_layout(patch_size)
    kind = torch.device(device).type
    half = {"cuda": torch.float16, "mps": torch.float16, "cpu": torch.bfloat16}[kind]
    dtype = half if precision == "half" else torch.float32
    if kind == "mps":
        network = network.to(device, dtype)  # it has no channels-last in 3D
    else:
        network = network.to(device, dtype, memory_format=layout)

    def run(patches: "Tensor") -> "Tensor":
        seen = patches.to(device, dtype, non_blocking=True)
        if kind != "mps":
            seen = seen.contiguous(memory_format=layout)
        logits: Tensor = network(seen)
        return logits.float()

    return run
