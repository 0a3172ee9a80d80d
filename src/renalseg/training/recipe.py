"""What one model of the paper is; frozen and hashable, so that a run knows if it is done."""

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from renalseg.models.plans import CASCADE, FULLRES, LOWRES, PLANAR, residual_configuration
from renalseg.training.annotations import Annotations, variant_name


class Regularization(BaseModel):
    """The Potts-like loss term (Golts et al. 2021, section 3.4).

    Attributes:
        neighbours: 4 or 8 within an axial slice (the paper's image loss has 4), or 6, 18 or 26 in
            the volume (its volume loss has 6).
        beta: How fast the weight of a pair falls with its difference in intensity (eq. 3).
        weight: The paper's lambda (eq. 1).
        dilation: How many voxels away a neighbour is.
        by_distance: Whether pairs far apart, in mm, weigh less.
        levels: ``full`` looks at the full resolution alone, ``all`` at every level of deep
            supervision.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    neighbours: Literal[4, 6, 8, 18, 26]
    beta: float = Field(gt=0)
    weight: float = Field(default=1.0, ge=0)
    dilation: int = Field(default=1, ge=1)
    by_distance: bool = False
    levels: Literal["full", "all"] = "full"


class Schedule(BaseModel):
    """How long and how a network is trained (section 2.4). The defaults are the paper's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=1000, ge=1)
    iterations: int = Field(default=250, ge=1)
    validation_iterations: int = Field(default=50, ge=1)
    learning_rate: float = Field(default=0.01, gt=0)
    momentum: float = Field(default=0.99, ge=0, lt=1)
    weight_decay: float = Field(default=3e-5, ge=0)
    foreground_oversampling: float = Field(default=0.33, ge=0, le=1)
    mirror: bool = True


class FirstStage(BaseModel):
    """What the first stage of a cascade has otherwise than the second; the rest is the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    annotations: Annotations = "majority"
    regularization: Regularization | None = None
    pretrained: bool = False


class Recipe(BaseModel):
    """One model: what it is trained on, how, and from which weights.

    Attributes:
        name: The recipe's name; the rows of the paper's tables refer to it.
        configuration: ``fullres`` for a single-stage 3D network, ``lowres`` for one at low
            resolution, ``cascade`` for both as two stages, ``2d`` for one that sees axial slices.
        network: ``plain`` is the paper's U-Net; ``resenc-m``, ``-l`` and ``-xl`` are nnU-Net's
            presets with a residual encoder (Isensee et al. 2024), for single-stage 3D networks.
        annotations: Which of the annotators' contours it is trained on.
        regularization: The additional loss term, if any.
        pretrained: Whether it starts from the pretrained network.
        first_stage: Of a cascade: what its first stage has otherwise.
        seed: Of the training's random numbers; models that differ in it alone show its noise.
        schedule: Length and step size of the training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    configuration: Literal["fullres", "lowres", "cascade", "2d"] = "fullres"
    network: Literal["plain", "resenc-m", "resenc-l", "resenc-xl"] = "plain"
    annotations: Annotations = "majority"
    regularization: Regularization | None = None
    pretrained: bool = False
    first_stage: FirstStage | None = None
    seed: int = Field(default=0, ge=0)
    schedule: Schedule = Schedule()

    @property
    def stages(self) -> tuple[str, ...]:
        """The nnU-Net configurations that it trains, in their order."""
        if self.configuration == "cascade":
            return LOWRES, CASCADE
        if self.configuration == "2d":
            return (PLANAR,)
        if self.configuration == "lowres":
            return (LOWRES,)
        return (FULLRES if self.network == "plain" else residual_configuration(self.network),)

    @property
    def variant(self) -> str:
        """The name of the label variant that it is trained on."""
        return variant_name(self.annotations)

    @property
    def fingerprint(self) -> str:
        """A hash of everything that makes this model what it is."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def at(self, stage: str) -> "Recipe":
        """The recipe as it holds for one of its stages."""
        if stage != LOWRES or self.first_stage is None:
            return self
        own = {name: getattr(self.first_stage, name) for name in self.first_stage.model_fields_set}
        return self.model_copy(update={**own, "first_stage": None})

    @model_validator(mode="after")
    def _parts_agree(self) -> "Recipe":
        if self.first_stage is not None and self.configuration != "cascade":
            raise ValueError(f"first_stage needs configuration cascade, got {self.configuration}")
        if self.network != "plain" and self.configuration != "fullres":
            raise ValueError(f"{self.network} is single-stage and 3D, got {self.configuration}")
        if self.configuration == "2d":
            if self.pretrained:
                raise ValueError("a 2d network has no 3D weights to start from")
            if self.regularization and self.regularization.neighbours not in (4, 8):
                raise ValueError(f"2d has 4 or 8 neighbours, got {self.regularization.neighbours}")
        return self
