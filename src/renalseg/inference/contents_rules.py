"""What is unusual about the intensities of what has been found: the phase of the contrast agent."""

from collections.abc import Iterator

import numpy as np

from renalseg.inference.finding import Finding
from renalseg.labels import Label
from renalseg.models.manifest import KITS_WORLD, World
from renalseg.types import AnyArray, LabelArray
from renalseg.volume import Volume
from renalseg.volume.boxes import BoxedLabels

#: Not even noise of air is as low; scanners pad the outside of a round field with less.
_PADDING_HU = -1500.0
#: Renal parenchyma has about 30 HU without contrast, and 100 to 200 in the late arterial phase.
_LEAST_ENHANCED_HU = 80.0
#: No kidney's median lies outside: not fat, not bone.
_KIDNEY_HU = (-30.0, 400.0)
#: Cortex at its brightest stays below; excreted contrast, stents and stones do not.
_EXCRETED_HU = 400.0
_MOST_EXCRETED = 0.02


def unusual_contents(
    volume: Volume, labels: LabelArray, world: World = KITS_WORLD
) -> Iterator[Finding]:
    """Findings about the intensities at and around what was labelled; none of an empty label map.

    Args:
        volume: The CT in HU.
        labels: Its label map, of the same shape.
        world: The scans that the networks know.
    """
    pieces = BoxedLabels.of(labels).pieces
    kidney_hu = np.concatenate(
        [np.empty(0), *(volume.array[box][piece == Label.KIDNEY] for box, piece in pieces)]
    )
    if kidney_hu.size:
        yield from _phase(kidney_hu, is_any_known=world.contrast == "any")
    if any((volume.array[box][piece > 0] < _PADDING_HU).any() for box, piece in pieces):
        yield Finding(
            "cut",
            "A kidney or lesion reaches into the padding around the scanner's field of view, so it "
            "may be cut and its volume too small.",
        )


def _phase(kidney_hu: AnyArray, *, is_any_known: bool) -> Iterator[Finding]:
    median = float(np.median(kidney_hu))
    if not _KIDNEY_HU[0] <= median <= _KIDNEY_HU[1]:
        yield Finding(
            "intensity-range",
            f"The median of the kidneys is {median:.0f} HU, as no kidney has; the voxels may not "
            "be HU, or what was found not kidneys.",
        )
        return
    if is_any_known:
        if median < _LEAST_ENHANCED_HU:
            yield Finding(
                "non-contrast",
                f"The median of the kidneys is {median:.0f} HU, as without contrast agent; lesions "
                "then hardly differ from the kidney, so each one is a guess and others may be "
                "missed.",
            )
        return
    if median < _LEAST_ENHANCED_HU:
        yield Finding(
            "non-contrast",
            f"The median of the kidneys is {median:.0f} HU; in the late arterial phase that the "
            "networks learned from it is 100 to 200, so the scan has no contrast agent, another "
            "phase, or kidneys that do not work, and lesions cannot be trusted.",
        )
    excreted = np.count_nonzero(kidney_hu > _EXCRETED_HU) / kidney_hu.size
    if excreted > _MOST_EXCRETED:
        yield Finding(
            "excretory",
            f"{100 * excreted:.0f} % of the kidneys' voxels are above {_EXCRETED_HU:.0f} HU, as of "
            "excreted contrast agent, a stent or stones; the networks learned from the late "
            "arterial phase.",
        )
