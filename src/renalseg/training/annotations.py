"""Which of a case's annotations a network is trained on, and the label variants that this needs.

A variant is one set of preprocessed labels over the cohort's preprocessed images.
"""

from typing import Annotated, Literal

from pydantic import Field

#: How many plausible maps a case has with three annotators (KiTS21); those with fewer repeat them.
MAPS = 15

#: - ``majority``: the majority vote.
#: - a number: the seed of the choice of one plausible map per axial slice (Golts et al. 2021,
#:   section 3.3).
#: - ``case-SEED``: one plausible map per case, drawn by seed.
#: - ``map-N``: the N-th plausible map of every case.
#: - ``fresh``: a plausible map at random whenever a case is sampled, so that a network sees all.
#: - ``mean``: the mean of all plausible maps, as a soft target.
Annotations = (
    Literal["majority", "fresh", "mean"]
    | Annotated[int, Field(ge=0)]
    | Annotated[str, Field(pattern=r"^(case|map)-\d+$")]
)


def variant_name(annotations: Annotations) -> str:
    """Name a label variant, as folders and reports write it."""
    return f"seed-{annotations}" if isinstance(annotations, int) else annotations


def needed_variants(annotations: Annotations) -> tuple[Annotations, ...]:
    """The variants whose labels must be there, each after those that it is made of."""
    maps = tuple(f"map-{number}" for number in range(MAPS))
    if annotations == "fresh":
        return ("majority", *maps)
    if annotations == "mean":
        return ("majority", *maps, "mean")
    return (annotations,)


def training_variants(annotations: Annotations) -> tuple[Annotations, ...]:
    """The variants that training draws from at every sampling; mostly one."""
    return needed_variants(annotations)[1:] if annotations == "fresh" else (annotations,)


def validation_variant(annotations: Annotations) -> Annotations:
    """The variant that validation during training compares with."""
    return "majority" if annotations in ("fresh", "mean") else annotations
