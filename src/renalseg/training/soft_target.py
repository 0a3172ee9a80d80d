"""The mean of several label maps as a training target, carried through nnU-Net as one label map.

nnU-Net's data augmentation turns and stretches maps of labels, each value for itself. So a voxel's
mean is written as one number, with a digit per class, and read only where the loss is computed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from renalseg.types import AnyArray

#: The whole of a voxel, of which every class has a share: 5, 10 and 15 maps divide it.
WHOLE = 30
_BASE = 32
#: As many classes as int16 has digits.
CLASSES = 3


def encode_mean(maps: Sequence[AnyArray]) -> AnyArray:
    """Write the mean of label maps as one map of numbers.

    Args:
        maps: Label maps of one shape, labels 0 to 3; less than 0 counts as 0.

    Returns:
        int16: for each voxel the sum over the classes of ``share * 32 ** (class - 1)``, with shares
        in thirtieths.
    """
    code = np.zeros(maps[0].shape, np.int16)
    for label in range(1, CLASSES + 1):
        count = np.zeros(maps[0].shape, np.int16)
        for labels in maps:
            count += labels == label
        share = np.rint(count * (WHOLE / len(maps))).astype(np.int16)
        code += share * np.int16(_BASE ** (label - 1))
    return code


def decode_mean(
    code: Int[Tensor, "batch 1 *space"], classes: int
) -> Float[Tensor, "batch class *space"]:
    """Read the shares of all classes, the background's first; they add up to 1.

    Args:
        code: From :func:`encode_mean`, of any number type.
        classes: Number of classes with the background.
    """
    number = code.to(torch.int32)
    shares = [(number // _BASE**digit) % _BASE for digit in range(classes - 1)]
    background = (WHOLE - torch.stack(shares).sum(0)).clamp(min=0)
    parts = torch.cat([background, *shares], dim=1).float()
    return parts / parts.sum(1, keepdim=True)


class SoftTargetLoss(nn.Module):
    """nnU-Net's Dice and cross-entropy, for shares of classes as well as for labels."""

    def __init__(self, hard: Any) -> None:
        """Take nnU-Net's ``DC_and_CE_loss``."""
        super().__init__()
        self.hard = hard

    def forward(
        self, output: Float[Tensor, "batch class *space"], target: Tensor
    ) -> Float[Tensor, ""]:
        """The loss; a target with as many channels as the output holds shares."""
        if target.shape[1] == 1:
            loss: Tensor = self.hard(output, target)
            return loss
        entropy = nn.functional.cross_entropy(output, target)
        overlap: Tensor = self.hard.dc(output, target)
        total: Tensor = self.hard.weight_ce * entropy + self.hard.weight_dice * overlap
        return total
