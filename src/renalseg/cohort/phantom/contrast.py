"""Contrast phases, and what each does to the tissues."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class Phase(StrEnum):
    """When the scan was taken, after the contrast medium was given."""

    NONE = "none"
    ARTERIAL = "arterial"
    NEPHROGRAPHIC = "nephrographic"
    EXCRETORY = "excretory"


#: How often each phase is drawn. KiTS is late arterial; networks should bear the others too.
_SHARES = {Phase.NONE: 0.05, Phase.ARTERIAL: 0.5, Phase.NEPHROGRAPHIC: 0.42, Phase.EXCRETORY: 0.03}

#: Lowest and highest HU of each tissue: none, arterial, nephrographic, excretory.
_RANGES: dict[str, tuple[tuple[float, float], ...]] = {
    "cortex": ((25, 38), (155, 225), (160, 215), (105, 150)),
    "medulla": ((25, 38), (50, 110), (145, 210), (95, 150)),
    "urine": ((0, 14), (0, 15), (5, 40), (150, 700)),
    "aorta": ((34, 48), (200, 360), (130, 180), (95, 130)),
    "cava": ((32, 46), (60, 150), (120, 170), (95, 130)),
    "liver": ((38, 66), (58, 90), (85, 125), (75, 105)),
    "spleen": ((40, 54), (90, 140), (100, 130), (75, 100)),
    "pancreas": ((30, 48), (80, 125), (75, 105), (60, 90)),
    "muscle": ((46, 62), (50, 68), (55, 75), (52, 70)),
    "wall": ((28, 45), (50, 110), (60, 100), (50, 80)),
    "tumor": ((22, 46), (45, 105), (45, 95), (40, 75)),
    "lesion": ((10, 45), (10, 60), (20, 70), (20, 65)),
}


@dataclass(frozen=True)
class Contrast:
    """The HU of every tissue in one scan.

    Attributes:
        phase: The contrast phase.
        hu: HU by tissue.
        fat: HU of fat.
    """

    phase: Phase
    hu: dict[str, float]
    fat: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Contrast":
        """Draw a phase and the HU of the tissues in it."""
        phase = list(Phase)[int(rng.choice(len(Phase), p=[_SHARES[p] for p in Phase]))]
        column = list(Phase).index(phase)
        hu = {name: float(rng.uniform(*spans[column])) for name, spans in _RANGES.items()}
        if phase in (Phase.NONE, Phase.NEPHROGRAPHIC, Phase.EXCRETORY):
            hu["medulla"] = hu["cortex"] - float(rng.uniform(0, 4 if phase is Phase.NONE else 18))
        if rng.random() < 0.2:  # a fatty liver
            hu["liver"] -= float(rng.uniform(10, 35))
        return cls(phase, hu, float(rng.uniform(-115, -90)))

    def tumor(self, rng: np.random.Generator) -> float:
        """HU of the living part of one tumor: never quite that of the kidney around it."""
        column = list(Phase).index(self.phase)
        low, high = _RANGES["tumor"][column]
        return float(rng.uniform(low, high))

    def lesion(self, rng: np.random.Generator) -> float:
        """HU of one lesion of the liver."""
        low, high = _RANGES["lesion"][list(Phase).index(self.phase)]
        return float(rng.uniform(low, high))
