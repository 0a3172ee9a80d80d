"""How much work a prediction is worth: three profiles, measured in docs/inference.md."""

from dataclasses import dataclass
from typing import Literal

from renalseg.inference.forward import Precision

ProfileName = Literal["exact", "balanced", "fast"]
Roi = Literal["auto", "off"]


@dataclass(frozen=True)
class Profile:
    """A trade between accuracy and time.

    Attributes:
        step: Distance of two tiles as a share of the patch.
        mirror: Whether mirrored copies are averaged, where the training mirrored.
        precision: Of the networks' computation.
        members: How many models of the ensemble are used; None takes all.
        folds: How many folds of each; None takes all.
        margin_mm: How far around the kidneys is looked.
    """

    step: float
    mirror: bool
    precision: Precision = "float32"
    members: int | None = None
    folds: int | None = None
    margin_mm: float = 20.0


PROFILES: dict[ProfileName, Profile] = {
    "exact": Profile(step=0.5, mirror=True, margin_mm=30.0),
    "balanced": Profile(step=0.5, mirror=False),
    "fast": Profile(step=0.75, mirror=False, precision="half", members=1, folds=1),
}
