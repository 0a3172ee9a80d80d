"""Any time after contrast: vessels, cortex, medulla, collecting system and organs in step."""

import numpy as np

from renalseg.cohort.phantom.contrast import Contrast, Phase

#: Seconds after the injection began.
_SECONDS = (0, 18, 28, 38, 55, 75, 100, 150, 240, 420, 900)
#: HU that a full dose at 120 kV adds by then: rounded, after the curves of abdominal CT in Bae,
#: Radiology 2010;256:32, and the kidney's phases in Cohan et al., Radiology 1995;196:445.
_RISES: dict[str, tuple[float, ...]] = {
    "aorta": (0, 90, 280, 260, 150, 115, 95, 75, 62, 50, 35),
    "cava": (0, 0, 35, 75, 100, 110, 95, 75, 62, 50, 35),
    "cortex": (0, 40, 130, 165, 175, 165, 150, 130, 105, 80, 50),
    "medulla": (0, 3, 15, 35, 85, 125, 145, 135, 105, 75, 45),
    "urine": (0, 0, 0, 0, 0, 3, 15, 150, 450, 700, 800),
    "liver": (0, 0, 5, 15, 40, 58, 55, 45, 36, 28, 18),
    "spleen": (0, 15, 60, 85, 75, 68, 60, 48, 40, 30, 20),
    "pancreas": (0, 8, 40, 70, 60, 48, 40, 32, 26, 20, 12),
    "muscle": (0, 0, 2, 5, 10, 12, 13, 13, 12, 10, 7),
    "wall": (0, 5, 25, 45, 50, 48, 42, 35, 28, 22, 14),
    "tumor": (0, 5, 30, 60, 60, 55, 48, 40, 32, 26, 16),
    "lesion": (0, 0, 6, 12, 18, 22, 24, 24, 22, 18, 10),
}
#: HU before contrast.
_BASES: dict[str, tuple[float, float]] = {
    "cortex": (26, 38),
    "urine": (-2, 14),
    "aorta": (32, 48),
    "cava": (30, 46),
    "liver": (40, 66),
    "spleen": (40, 54),
    "pancreas": (28, 46),
    "muscle": (36, 62),
    "wall": (26, 45),
    "tumor": (20, 46),
    "lesion": (8, 40),
}
#: Where a scan falls: none, arterial, portal to nephrographic, excretory.
_SPANS = ((0, 0), (22, 45), (55, 130), (170, 800))
_SHARES = (0.34, 0.22, 0.28, 0.16)


def draw_contrast(rng: np.random.Generator, *, any_time: bool) -> Contrast:
    """Draw when a scan is taken, how much contrast there is, and each tissue's HU.

    Args:
        rng: The random numbers.
        any_time: Draw a time and a dose; else a phase's middle at full dose.
    """
    number = int(rng.choice(4, p=_SHARES))
    low, high = _SPANS[number]
    seconds = float(rng.uniform(low, high)) if any_time else (low + high) / 2
    # Dose by weight and tube voltage: iodine is brighter at 80 kV than at 140 kV.
    dose = float(np.clip(rng.lognormal(0, 0.28), 0.45, 1.9)) if any_time else 1.0
    hu: dict[str, float] = {}
    for name, span in _BASES.items():
        own = dose * (float(rng.uniform(0.82, 1.18)) if any_time else 1.0)
        hu[name] = float(rng.uniform(*span)) + own * float(
            np.interp(seconds, _SECONDS, _RISES[name])
        )
    share = float(np.interp(seconds, _SECONDS, _RISES["medulla"]))
    share -= float(np.interp(seconds, _SECONDS, _RISES["cortex"]))
    hu["medulla"] = hu["cortex"] + dose * share - float(rng.uniform(0, 4))
    if rng.random() < 0.25:  # a fatty liver
        hu["liver"] -= float(rng.uniform(8, 50))
    elif rng.random() < 0.05:  # iron, amiodarone
        hu["liver"] += float(rng.uniform(15, 40))
    phase = (Phase.NONE, Phase.ARTERIAL, Phase.NEPHROGRAPHIC, Phase.EXCRETORY)[number]
    return Contrast(phase, hu, float(rng.uniform(-118, -88)))


def tumor_hu(rng: np.random.Generator, contrast: Contrast) -> float:
    """HU of the living part of one tumor: from as bright as cortex to hardly enhancing."""
    before = float(rng.uniform(20, 46))
    rise = max(contrast.hu["tumor"] - 33, 0.0)
    return before + rise * float(rng.uniform(0.25, 1.7))
