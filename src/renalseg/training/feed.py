"""What torsos a network trains on."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from renalseg.cohort.phantom.torso import REALISM
from renalseg.training.recipe import Recipe


class Feed(BaseModel):
    """Torsos made for one network, at its resolution.

    Attributes:
        shape: Voxels of a torso: slices, rows, columns.
        least_slices: Scans have from so many slices to all of them; all when absent.
        around: ``kidneys`` keeps them in view, ``anywhere`` does not.
        uses: Patches that are cut from each torso.
        real_share: Which share has the shapes of real kidneys.
        leave_out: Kinds of realism that are left out, for ablations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shape: tuple[int, int, int]
    least_slices: int | None = Field(default=None, ge=16)
    around: Literal["kidneys", "anywhere"] = "kidneys"
    uses: int = Field(default=4, ge=1)
    real_share: float = Field(default=0.8, ge=0, le=1)
    leave_out: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _can_be_made(self) -> "Feed":
        unknown = sorted(set(self.leave_out) - set(REALISM))
        if unknown:
            raise ValueError(f"leave_out: expected some of {', '.join(REALISM)}; got {unknown[0]}")
        if self.least_slices is not None and self.least_slices > self.shape[0]:
            raise ValueError(f"least_slices: expected at most {self.shape[0]}")
        return self


class TorsoRecipe(Recipe):
    """A recipe that trains on torsos rather than on a cohort.

    Attributes:
        torsos: What it trains on.
        finds: Whether it only finds where the kidneys are, for the others to segment.
    """

    torsos: Feed
    finds: bool = False
