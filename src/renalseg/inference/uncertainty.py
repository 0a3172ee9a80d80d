"""How sure an ensemble is: per voxel by entropy, per lesion by what its members say.

Neither is calibrated. They order voxels and lesions by how much they deserve a second look.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from renalseg.labels import Label
from renalseg.types import ImageArray, LabelArray, MaskArray
from renalseg.volume.boxes import Box, BoxedLabels

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LesionAgreement:
    """One lesion: a 26-connected component of tumor and cyst together.

    Attributes:
        label: The more frequent of tumor and cyst in it; tumor in a tie.
        volume_ml: Its volume.
        box: Where it lies in the label map.
        agreement: Mean over the members of the Dice, 0 to 1, between the lesion and the member's
            own tumor and cyst near it; 0 from a member that sees nothing there. None without
            members.
        entropy: Mean entropy, 0 to 1, of its voxels; None without an entropy map.
    """

    label: Label
    volume_ml: float
    box: Box
    agreement: float | None
    entropy: float | None


def entropy(
    probabilities: 'Float[Tensor, "class row column"]',
) -> 'Float[Tensor, "row column"]':
    """Entropy per voxel as a share of the greatest possible, that of equal probabilities.

    Args:
        probabilities: Softmax scores; they sum to 1 over the classes.

    Returns:
        0 (one class is certain) to 1 (all are equal), float32; 0 where there is but one class.
    """
    import torch

    classes = probabilities.shape[0]
    summed: Tensor = torch.special.entr(probabilities.float()).sum(0)
    return (summed / math.log(max(2, classes))).clamp(0, 1)


def lesion_disagreement(
    labels: LabelArray,
    members: Sequence[LabelArray],
    *,
    spacing_mm: tuple[float, float, float],
    entropy: ImageArray | None = None,
) -> list[LesionAgreement]:
    """Compare each lesion of an ensemble with what its members found there.

    A member's voxels count within the lesion's box, widened on each side by the box's own size,
    unless they lie in another lesion of ``labels``. So a member that finds more than the lesion is
    heard, and its neighbours are not taken for it.

    Args:
        labels: The ensemble's label map, (slice, row, column).
        members: The members' label maps, of the same shape.
        spacing_mm: Voxel size along the three axes.
        entropy: Entropy per voxel, of the same shape.

    Returns:
        The lesions, largest first; none of an empty label map.
    """
    voxel_ml = math.prod(spacing_mm) / 1000
    found = []
    for lesion, box in _lesions(labels):
        wide = _widened(box, labels.shape)
        others = labels[wide] >= Label.TUMOR
        here = tuple(
            slice(side.start - far.start, side.stop - far.start)
            for side, far in zip(box, wide, strict=True)
        )
        others[here] &= ~lesion
        size = int(lesion.sum())
        dice = []
        for member in members:
            mass = (member[wide] >= Label.TUMOR) & ~others
            shared = int((mass[here] & lesion).sum())
            dice.append(2 * shared / (size + int(mass.sum())))
        tumor = 2 * int((labels[box][lesion] == Label.TUMOR).sum()) >= size
        found.append(
            LesionAgreement(
                label=Label.TUMOR if tumor else Label.CYST,
                volume_ml=size * voxel_ml,
                box=box,
                agreement=float(np.mean(dice)) if dice else None,
                entropy=None if entropy is None else float(entropy[box][lesion].mean()),
            )
        )
    return sorted(found, key=lambda lesion: -lesion.volume_ml)


def _lesions(labels: LabelArray) -> Iterator[tuple[MaskArray, Box]]:
    """Each lesion in its own box, and the box."""
    import cc3d

    for place, piece in BoxedLabels.of(labels).pieces:
        numbered = cc3d.connected_components(piece >= Label.TUMOR, connectivity=26)
        statistics = cc3d.statistics(numbered)
        for number, inner in enumerate(statistics["bounding_boxes"][1:], start=1):
            slices, rows, columns = (
                slice(first.start + int(side.start), first.start + int(side.stop))
                for first, side in zip(place, inner, strict=True)
            )
            yield numbered[inner] == number, (slices, rows, columns)


def _widened(box: Box, shape: tuple[int, ...]) -> Box:
    slices, rows, columns = (
        slice(
            max(0, side.start - (side.stop - side.start)),
            min(length, side.stop + (side.stop - side.start)),
        )
        for side, length in zip(box, shape, strict=True)
    )
    return slices, rows, columns
