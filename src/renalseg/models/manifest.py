"""What an ensemble's manifest says."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from renalseg.labels import FOREGROUND
from renalseg.postprocess import Cleaning

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


#: What is averaged over tiles, mirrored copies and folds: softmax scores as in nnU-Net v1, which
#: the paper ran, or logits as in v2. Members are averaged by softmax in either case.
FoldAverage = Literal["softmax", "logits"]

Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
Line = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_printable)]
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
        folds: The folds that are averaged.
        finds: Whether it only finds where the kidneys are, for the others to segment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    stages: tuple[Name, ...] = Field(min_length=1, max_length=2)
    folds: Folds
    finds: bool | None = None


Range = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0, le=100)]]


class About(BaseModel):
    """What an ensemble is called, and what comes with it.

    Attributes:
        name: Its name, for records and reports.
        version: Another one for other weights.
        licence: Of the weights.
        trained_on: On what, in a line.
        notice: What a person should know who uses it, in a line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    version: Name
    licence: Name
    trained_on: Line
    notice: Line


class World(BaseModel):
    """The scans that an ensemble knows; others are flagged. What is not given is KiTS's.

    Attributes:
        slice_mm: Least and greatest distance of two slices.
        pixel_mm: Least and greatest size of a pixel.
        contrast: The phases of the contrast agent: the late arterial one alone, or any and none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slice_mm: Range = (0.5, 5.0)
    pixel_mm: Range = (0.44, 1.04)
    contrast: Literal["late-arterial", "any"] = "late-arterial"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if any(low > high for low, high in (self.slice_mm, self.pixel_mm)):
            raise ValueError("expected the least before the greatest")
        return self


#: Scans like those of the KiTS challenges (Heller et al. 2021, 2023).
KITS_WORLD = World()


class Manifest(BaseModel):
    """What one must know to use an ensemble.

    Attributes:
        format: Version of this file.
        storage: Orientation in which the networks saw their training scans (as nibabel names it).
        labels: Class names and voxel values: those of KiTS.
        members: The models; their softmax probabilities are averaged on the scan's grid.
        fold_average: What is averaged over a member's tiles, mirrored copies and folds;
            ``logits`` where an older file does not say.
        postprocess: Whether section 3.5 of the paper cleans the result.
        least_ml: With ``postprocess``: a finding smaller than this that touches no larger one and
            is not cut by the scan's edge is removed; none is when absent.
        least_tumor_ml: With ``postprocess``: a tumor smaller than this, not cut by the scan's edge,
            is cyst where it touches one and kidney elsewhere; none is when absent.
        large_ml: A region with a finding larger than this is run once more with longer voxels,
            which fills what the first run left empty; none is when absent.
        about: Its name, version and licence.
        world: The scans that it knows; KiTS's when absent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    storage: Literal["IPL"] = "IPL"
    labels: Annotated[dict[str, int], AfterValidator(_kits)] = KITS_LABELS
    members: tuple[Member, ...] = Field(min_length=1, max_length=100)
    fold_average: FoldAverage = "logits"
    postprocess: bool = True
    least_ml: Annotated[float, Field(gt=0)] | None = None
    least_tumor_ml: Annotated[float, Field(gt=0)] | None = None
    large_ml: Annotated[float, Field(gt=0)] | None = None
    about: About | None = None
    world: World | None = None

    @model_validator(mode="after")
    def _somebody_segments(self) -> Self:
        if all(member.finds for member in self.members):
            raise ValueError("expected a member that segments, not only finds")
        return self

    @property
    def cleaning(self) -> Cleaning | None:
        """How results are cleaned, if they are."""
        return Cleaning(self.least_ml, self.least_tumor_ml) if self.postprocess else None

    @property
    def named(self) -> dict[str, str]:
        """Name, version, licence and notice, for records; empty where they are not said."""
        wanted = {"name", "version", "licence", "notice"}
        return self.about.model_dump(include=wanted) if self.about else {}

    def as_json(self) -> str:
        """The content of the file, without what is absent."""
        return self.model_dump_json(indent=2, exclude_none=True) + "\n"
