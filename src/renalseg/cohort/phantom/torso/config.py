"""What a torso is asked to be."""

from dataclasses import dataclass
from pathlib import Path

from renalseg.errors import CohortError

#: Raised when the same seed gives other voxels than before.
GENERATOR = 2

#: What may be left out, to see what it buys.
REALISM = (
    "builds",  # from thin to fat, rather than one of middling weight
    "pelvis",  # hip bones, femora, bladder and what lies around them
    "muscles",  # psoas, iliacus and back in layers, fat between and in them
    "bowel",  # loops and colon with stool, gas and contrast
    "contact",  # little fat around kidneys, so that liver, spleen and loops of bowel touch them
    "outside",  # couch, arms, clothing, lines
    "variants",  # one kidney, horseshoe, ectopic and crossed ones, hydronephrosis, atrophy
    "findings",  # stones, stents, ascites, free air, effusions, nodes, metal, other masses
    "textures",  # uneven organs, marbled muscle, stranded fat
    "timing",  # any time after contrast, not just four phases' means
    "artefacts",  # thick slices, kernels, dose, beam hardening, motion, metal, wrong offsets
    "deformation",  # real shapes bent, scaled and turned
)

#: What a torso's kidneys may be, and how often they are; rare ones oftener than in life.
VARIANTS = {
    "usual": 0.66,
    "one": 0.1,
    "horseshoe": 0.03,
    "ectopic": 0.03,  # one of them in the pelvis
    "crossed": 0.02,  # both on one side
    "turned": 0.05,  # the hilum faces anywhere
    "low": 0.06,
    "small": 0.05,  # one of them shrunken
}


@dataclass(frozen=True)
class TorsoConfig:
    """What torsos are asked to be.

    Attributes:
        seed: With a torso's number, all that its voxels depend on.
        spacing_mm: Of the voxels, head to foot, front to back, right to left.
        shape: Voxels along the same axes.
        shapes: A folder of real annotations in KiTS layout, or a file written by
            `ShapeBank.save`; kidneys are then real ones in most torsos.
        real_share: Which share of torsos has real kidneys, where there are any.
        around: ``kidneys`` keeps kidneys in view; ``anywhere`` cuts a patch from chest to
            thigh, of which about every second has some kidney.
        variant: One of `VARIANTS` for every torso, rather than as often as they are met.
        leave_out: Names from `REALISM`.

    Raises:
        CohortError: If a number or name is none that can be made.
    """

    seed: int = 0
    spacing_mm: tuple[float, float, float] = (3.0, 3.0, 3.0)
    shape: tuple[int, int, int] = (128, 128, 128)
    shapes: Path | None = None
    real_share: float = 0.8
    around: str = "kidneys"
    variant: str | None = None
    leave_out: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        if self.seed < 0:
            raise CohortError(f"torso seed: expected 0 or more, got {self.seed}")
        if len(self.spacing_mm) != 3 or not all(0.4 <= mm <= 8 for mm in self.spacing_mm):
            raise CohortError(
                f"torso spacing_mm: expected three numbers from 0.4 to 8, got {self.spacing_mm}"
            )
        if len(self.shape) != 3 or not all(16 <= n <= 1024 for n in self.shape):
            raise CohortError(
                f"torso shape: expected three numbers from 16 to 1024, got {self.shape}"
            )
        if not 0 <= self.real_share <= 1:
            raise CohortError(f"torso real_share: expected 0 to 1, got {self.real_share}")
        if self.around not in ("kidneys", "anywhere"):
            raise CohortError(f"torso around: expected kidneys or anywhere, got {self.around!r}")
        if self.variant is not None and self.variant not in VARIANTS:
            raise CohortError(
                f"torso variant: expected one of {', '.join(VARIANTS)}, got {self.variant!r}"
            )
        unknown = sorted(self.leave_out - set(REALISM))
        if unknown:
            raise CohortError(
                f"torso leave_out: expected some of {', '.join(REALISM)}; got {', '.join(unknown)}"
            )

    def has(self, realism: str) -> bool:
        """Whether a kind of realism is wanted."""
        return realism not in self.leave_out
