"""What one model of the paper is; frozen and hashable, so that a run knows if it is done."""

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

#: ``majority``, or the seed of the choice of one plausible map per axial slice (section 3.3).
Annotations = Literal["majority"] | int


class Regularization(BaseModel):
    """The Potts-like loss term (Golts et al. 2021, section 3.4).

    Attributes:
        kind: ``image`` compares the four neighbours within an axial slice, ``volume`` all six.
        beta: How fast the weight of a pair falls with its difference in intensity (eq. 3).
        weight: The paper's lambda (eq. 1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["image", "volume"]
    beta: float = Field(gt=0)
    weight: float = Field(default=1.0, ge=0)


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


class Recipe(BaseModel):
    """One model: what it is trained on, how, and from which weights.

    Attributes:
        name: The recipe's name; the rows of the paper's tables refer to it.
        configuration: ``fullres`` for a single-stage network, ``cascade`` for two stages.
        annotations: Which of the annotators' contours it is trained on.
        regularization: The additional loss term, if any.
        pretrained: Whether it starts from the pretrained network (a cascade's first stage does).
        schedule: Length and step size of the training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    configuration: Literal["fullres", "cascade"] = "fullres"
    annotations: Annotations = "majority"
    regularization: Regularization | None = None
    pretrained: bool = False
    schedule: Schedule = Schedule()

    @property
    def variant(self) -> str:
        """The name of the label variant that it is trained on."""
        return variant_name(self.annotations)

    @property
    def fingerprint(self) -> str:
        """A hash of everything that makes this model what it is."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def variant_name(annotations: Annotations) -> str:
    """Name a label variant, as folders and reports write it."""
    return "majority" if annotations == "majority" else f"seed-{annotations}"
