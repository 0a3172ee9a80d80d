"""Plausible label maps: each instance as one annotator drew it (KiTS21, paper sections 1 and 3.3).

The draw is that of KiTS21's ``sample_segmentations.py``, so that names and voxels are the same:
one ``RandomState`` per case, seeded with the case's number; for each of five groups one offset
per kidney, then per tumor, then per cyst; map ``i`` of a group gives every instance the annotation
``offset + i``, counted round. No two maps of a group share an annotation; maps of different groups
can be equal.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from renalseg.cohort.annotations import Instance
from renalseg.cohort.case import Case
from renalseg.cohort.masks import CaseMasks, Pick
from renalseg.errors import CohortError
from renalseg.labels import Label
from renalseg.types import LabelArray
from renalseg.volume import Volume
from renalseg.volume.boxes import BoxedLabels

#: Groups of maps per case (KiTS21).
GROUPS = 5

#: Classes in the order in which a map's name holds them.
_NAME_ORDER = (Label.KIDNEY, Label.CYST, Label.TUMOR)


@dataclass(frozen=True)
class PlausibleMap:
    """One plausible label map of a case; its voxels are read when asked for.

    Two maps of a case with the same ``choice`` have the same voxels.

    Attributes:
        group: 0 to 4.
        name: Its file's name without suffix, such as ``kidney_i1a2_i2a3_cyst_i1a1_tumor_i1a3``.
        choice: The annotation of each instance: kidneys, then tumors, then cysts.
    """

    group: int
    name: str
    choice: tuple[Pick, ...]
    _masks: CaseMasks = field(repr=False, compare=False)

    @property
    def file_name(self) -> str:
        """Its path within ``segmentation_samples``."""
        return f"group_{self.group}/{self.name}.nii.gz"

    @property
    def grid(self) -> Volume:
        """The grid of the annotations; its array is a read-only view of one zero."""
        return self._masks.grid

    @property
    def array(self) -> LabelArray:
        """The labels, canonical orientation; made anew on every call."""
        return self.read().array

    def read(self) -> Volume:
        """The labels on the grid of the annotations.

        Raises:
            CohortError: The annotations lie on several grids.
            VolumeError: An annotation cannot be read.
        """
        return self._masks.merge((pick[0], self._masks.crop(pick)) for pick in self.choice)

    def read_boxed(self) -> BoxedLabels:
        """The labels in boxes; the whole map is never made.

        Raises:
            CohortError: The annotations lie on several grids.
            VolumeError: An annotation cannot be read.
        """
        return self._masks.merge_boxed((pick[0], self._masks.crop(pick)) for pick in self.choice)


def plausible_maps(case: Case, masks: CaseMasks | None = None) -> list[PlausibleMap]:
    """Draw a case's plausible maps by the rule of KiTS21; reads no voxels.

    Three annotators give 15 maps, of which 3 to 15 are distinct. The maps share what they decode.

    Args:
        case: The case.
        masks: Its decoded annotations, where somebody has them already.

    Raises:
        CohortError: The case has no annotations of single instances.
    """
    masks = CaseMasks(case) if masks is None else masks
    return [
        PlausibleMap(group, map_name(choice), choice, masks) for group, choice in draw_choices(case)
    ]


def draw_choices(case: Case) -> list[tuple[int, tuple[Pick, ...]]]:
    """Each map's group, and the annotation that each instance has in it.

    Raises:
        CohortError: The case has no annotations of single instances.
    """
    instances = case.instances
    if not instances:
        raise CohortError(
            f"{case.folder}: no annotations of single instances, so no plausible maps; "
            "use its label map"
        )
    maps_per_group = min(len(instance.annotations) for instance in instances)
    random = np.random.RandomState(case.number)
    choices: list[tuple[int, tuple[Pick, ...]]] = []
    for group in range(GROUPS):
        # instances already stand in the order of the draw: kidneys, tumors, cysts
        offsets = [int(random.randint(0, len(instance.annotations))) for instance in instances]
        choices += [
            (
                group,
                tuple(
                    _pick(i, offset + turn) for i, offset in zip(instances, offsets, strict=True)
                ),
            )
            for turn in range(maps_per_group)
        ]
    return choices


def _pick(instance: Instance, turn: int) -> Pick:
    annotation = instance.annotations[turn % len(instance.annotations)]
    return instance.label, instance.number, annotation.number


def map_name(choice: Iterable[Pick]) -> str:
    """A map's name in KiTS21: classes, and after each its instances and their annotations."""
    choice = sorted(choice)
    parts: list[str] = []
    for wanted in _NAME_ORDER:
        parts.append(wanted.title)
        parts += [f"i{number}a{chosen}" for label, number, chosen in choice if label is wanted]
    return "_".join(parts)


def write_plausible_maps(case: Case, folder: Path | None = None) -> list[Path]:
    """Write a case's plausible maps as ``group_G/NAME.nii.gz``; those that stand are left alone.

    Args:
        case: The case.
        folder: Where to; by default the case's ``segmentation_samples``.

    Returns:
        The paths that were written now.

    Raises:
        CohortError: The case has no annotations, or they lie on several grids.
        VolumeError: A file cannot be read or written.
    """
    folder = case.samples_folder if folder is None else folder
    missing: dict[tuple[Pick, ...], list[Path]] = {}
    maps = plausible_maps(case)
    first = {plausible.choice: plausible for plausible in reversed(maps)}
    for plausible in maps:
        path = folder / plausible.file_name
        if not path.is_file():
            missing.setdefault(plausible.choice, []).append(path)
    for choice, paths in missing.items():
        volume = first[choice].read()
        for path in paths:
            volume.save(path)
    return [path for paths in missing.values() for path in paths]
