"""What a person should know before they trust a segmentation.

Networks answer any scan; they do not say that they have never seen its like. These rules do, from
the scan's grid and intensities (``scan_rules``), from the shapes that were found (``mask_rules``)
and from the intensities in them (``contents_rules``). They are made to be quiet: of the label maps
of 60 KiTS23 patients four get a finding. Two are cut by the scan's last slice, one patient has one
kidney, and one has a kidney that a tumor has split.
"""

from renalseg.inference.contents_rules import unusual_contents
from renalseg.inference.finding import Finding
from renalseg.inference.mask_rules import unusual_labels
from renalseg.inference.scan_rules import unusual_scan
from renalseg.models.manifest import KITS_WORLD, World
from renalseg.types import LabelArray
from renalseg.volume import Volume

__all__ = ["Finding", "unusual"]


def unusual(volume: Volume, labels: LabelArray, world: World = KITS_WORLD) -> list[Finding]:
    """Say what is unlike the scans that the networks know.

    The venous phase cannot be told from the late arterial one by the kidneys alone, and is not
    flagged.

    Args:
        volume: A CT in HU.
        labels: Its label map, uint8, of the same shape.
        world: The scans that the networks know.

    Returns:
        Findings, the scan's own first; an empty label map gives ``no-kidney`` alone of the rules
        for label maps, an ordinary segmentation nothing.
    """
    return [
        *unusual_scan(volume, world),
        *unusual_labels(labels, volume.spacing_mm, world),
        *unusual_contents(volume, labels, world),
    ]
