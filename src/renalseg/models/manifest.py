"""What an ensemble's manifest says."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from renalseg.labels import FOREGROUND

MANIFEST = "ensemble.json"
KITS_LABELS = {"background": 0} | {label.title: int(label) for label in FOREGROUND}


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("expected a name of printable letters")
    return name


def _kits(labels: dict[str, int]) -> dict[str, int]:
    if labels != KITS_LABELS:
        raise ValueError(f"expected {KITS_LABELS}")
    return labels


def _each_once(folds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(folds)) != len(folds):
        raise ValueError("expected each fold once")
    return folds


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
Folds = Annotated[
    tuple[Annotated[int, Field(ge=0, le=9999)], ...],
    Field(min_length=1),
    AfterValidator(_each_once),
]


class Member(BaseModel):
    """One model of an ensemble.

    Attributes:
        name: The recipe's name.
        stages: Model folders beside the manifest: one, or first and second stage of a cascade.
        folds: The folds whose logits are averaged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    stages: tuple[Name, ...] = Field(min_length=1, max_length=2)
    folds: Folds


class Manifest(BaseModel):
    """What one must know to use an ensemble.

    Attributes:
        format: Version of this file.
        storage: Orientation in which the networks saw their training scans (as nibabel names it).
        labels: Class names and voxel values: those of KiTS.
        members: The models; their softmax probabilities are averaged on the scan's grid.
        postprocess: Whether section 3.5 of the paper cleans the result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    storage: Literal["IPL"] = "IPL"
    labels: Annotated[dict[str, int], AfterValidator(_kits)] = KITS_LABELS
    members: tuple[Member, ...] = Field(min_length=1, max_length=100)
    postprocess: bool = True
