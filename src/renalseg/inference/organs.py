"""What a label map holds, as a person would count it: kidneys with what grows on them."""

from dataclasses import dataclass

import numpy as np

from renalseg.labels import Label
from renalseg.types import AnyArray
from renalseg.volume.boxes import BoxedLabels

#: A piece with less kidney, or less kidney and lesion together, is a fragment and no organ: the
#: smallest shrunken kidneys are about as large.
_LEAST_KIDNEY_ML = 5.0
_LEAST_ORGAN_ML = 20.0


@dataclass(frozen=True)
class Organ:
    """A kidney and the lesions that touch it: one 26-connected piece of the foreground.

    Attributes:
        kidney_ml: Its volume without lesions.
        mass_ml: The volume of its tumors and cysts.
        column_mm: Middle of its kidney voxels, from the scan's rightmost column (the patient's
            right).
    """

    kidney_ml: float
    mass_ml: float
    column_mm: float


def find_organs(labels: BoxedLabels, spacing_mm: tuple[float, float, float]) -> list[Organ]:
    """The kidneys of a label map, largest first; none in an empty one.

    Args:
        labels: Label map.
        spacing_mm: Voxel size along the three axes.
    """
    import cc3d

    voxel_ml = float(np.prod(spacing_mm)) / 1000
    organs = []
    for box, piece in labels.pieces:
        numbered = cc3d.connected_components(piece > 0, connectivity=26)
        all_ml = np.bincount(numbered.ravel()) * voxel_ml
        is_kidney = piece == Label.KIDNEY
        kidney_ml = np.bincount(numbered[is_kidney], minlength=len(all_ml)) * voxel_ml
        for number in range(1, len(all_ml)):
            if kidney_ml[number] < _LEAST_KIDNEY_ML or all_ml[number] < _LEAST_ORGAN_ML:
                continue
            columns = np.nonzero(is_kidney & (numbered == number))[2]
            organs.append(
                Organ(
                    float(kidney_ml[number]),
                    float(all_ml[number] - kidney_ml[number]),
                    (box[2].start + float(columns.mean())) * spacing_mm[2],
                )
            )
    return sorted(organs, key=lambda organ: -(organ.kidney_ml + organ.mass_ml))


def component_volumes_ml(
    labels: BoxedLabels, wanted: tuple[Label, ...], spacing_mm: tuple[float, float, float]
) -> list[float]:
    """Volumes of the 26-connected components of some labels together, largest first.

    Args:
        labels: Label map.
        wanted: The labels whose union is taken.
        spacing_mm: Voxel size along the three axes.
    """
    import cc3d

    voxel_ml = float(np.prod(spacing_mm)) / 1000
    volumes: list[float] = []
    for _, piece in labels.pieces:
        numbered: AnyArray = cc3d.connected_components(np.isin(piece, wanted), connectivity=26)
        volumes += [float(count) * voxel_ml for count in np.bincount(numbered.ravel())[1:]]
    return sorted(volumes, reverse=True)
