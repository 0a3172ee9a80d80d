"""One phantom from beginning to end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from renalseg.cohort.phantom.annotators import annotate
from renalseg.cohort.phantom.body import AIR, Trunk, paint_couch, paint_trunk
from renalseg.cohort.phantom.bones import (
    paint_back_muscles,
    paint_pelvis,
    paint_ribs,
    paint_spine,
)
from renalseg.cohort.phantom.bowel import paint_bowel
from renalseg.cohort.phantom.canvas import Canvas
from renalseg.cohort.phantom.config import PhantomConfig
from renalseg.cohort.phantom.contrast import Contrast, Phase
from renalseg.cohort.phantom.grid import Box, Grid, Place, stream
from renalseg.cohort.phantom.organs import (
    paint_liver,
    paint_pancreas,
    paint_spleen,
    paint_stomach,
)
from renalseg.cohort.phantom.patient import Patient, draw_patient_and_grid, draw_place
from renalseg.cohort.phantom.scanner import Scanner, scan
from renalseg.cohort.phantom.urinary import Outline, paint_urinary, synthetic_outlines
from renalseg.cohort.phantom.vessels import paint_great_vessels
from renalseg.labels import MERGE_ORDER, Label
from renalseg.types import AnyArray, ImageArray, LabelArray, MaskArray

Kind = Literal["kidney", "tumor", "cyst"]


@dataclass(frozen=True, eq=False)
class Instance:
    """One kidney, tumor or cyst and what three annotators made of it.

    Attributes:
        kind: What it is.
        number: From 1, within its kind.
        annotations: Three masks.
    """

    kind: Kind
    number: int
    annotations: tuple[MaskArray, ...]


@dataclass(frozen=True, eq=False)
class Phantom:
    """A synthetic patient.

    Attributes:
        case_id: Such as ``case_00042``.
        image: HU, int16, I-P-L.
        affine: Voxel to world (RAS+, mm).
        instances: What the annotators drew.
        truth: What is really there: 1 kidney, 2 tumor, 3 cyst.
        liver: 1 liver, 2 lesion.
        phase: The contrast phase.
    """

    case_id: str
    image: ImageArray
    affine: AnyArray
    instances: tuple[Instance, ...]
    truth: LabelArray
    liver: LabelArray
    phase: Phase

    def majority(self) -> LabelArray:
        """The label map of what most annotators drew, merged as KiTS does."""
        merged = np.zeros(self.image.shape, np.uint8)
        for label in MERGE_ORDER:
            for instance in self.instances:
                if instance.kind == label.title:
                    votes = np.sum(instance.annotations, axis=0, dtype=np.uint8)
                    merged[2 * votes > len(instance.annotations)] = label
        return merged


def make_phantom(config: PhantomConfig, index: int) -> Phantom:
    """Make one phantom.

    Args:
        config: The cohort; only what its fingerprint holds matters.
        index: The case's number.

    Returns:
        The phantom; the same one for the same seed and number.

    Raises:
        CohortError: If real anatomy is asked for and cannot be read.
    """
    draw = stream(config.seed, index, "patient")
    patient, grid = draw_patient_and_grid(draw, config)
    place = draw_place(stream(config.seed, index, "place"), grid, patient)
    if config.anatomy is None:
        outlines = None
    else:
        from renalseg.cohort.phantom.real import real_anatomy

        grid, patient, place, outlines = real_anatomy(config, index, grid, patient)
    return _compose(config, index, patient=patient, place=place, outlines=outlines)


def _compose(
    config: PhantomConfig,
    index: int,
    *,
    patient: Patient,
    place: Place,
    outlines: list[Outline] | None,
) -> Phantom:
    grid, seed = place.grid, config.seed
    hu = np.full(grid.shape, AIR, np.float32)
    contrast = Contrast.draw(stream(seed, index, "contrast"))

    def canvas(concept: str) -> Canvas:
        return Canvas(grid, place, hu, stream(seed, index, concept))

    trunk = Trunk(patient, np.empty(grid.shape, np.float16))
    paint_trunk(canvas("trunk paint"), trunk, contrast)
    liver_box, liver, lesions = paint_liver(canvas("liver"), trunk, contrast)
    paint_spleen(canvas("spleen"), trunk, contrast)
    paint_stomach(canvas("stomach"), trunk, contrast)
    paint_pancreas(canvas("pancreas"), trunk, contrast)
    paint_bowel(canvas("bowel"), trunk, contrast)
    urinary = canvas("urinary")
    if outlines is None:
        outlines = synthetic_outlines(urinary, trunk, config.tumor_mm)
    liver_map = _liver_map(grid, liver_box, liver, lesions)
    paint_urinary(
        urinary,
        outlines,
        trunk=trunk,
        contrast=contrast,
        between=lambda: _paint_frame(canvas, trunk, contrast),
        cover=lambda box, shape: _cut(liver_map, box, shape),
    )
    paint_couch(canvas("couch"), patient)
    scanner = Scanner.draw(stream(seed, index, "scanner"), grid.spacing_mm[0])
    truth = np.zeros(grid.shape, np.uint8)
    instances = []
    for label in MERGE_ORDER:
        for outline in outlines:
            if outline.kind == label.title:
                truth[outline.box][outline.shape < 0] = label
    for label in Label:
        own = [outline for outline in outlines if outline.kind == label.title]
        for number, outline in enumerate(own, 1):
            rng = stream(seed, index, f"{outline.kind} {number}")
            instances.append(Instance(outline.kind, number, _whole(grid, outline, rng)))
    liver_map[truth > 0] = 0
    return Phantom(
        case_id=f"case_{index:05d}",
        image=scan(canvas("scan"), scanner),
        affine=grid.affine,
        instances=tuple(instances),
        truth=truth,
        liver=liver_map,
        phase=contrast.phase,
    )


def _paint_frame(canvas: Callable[[str], Canvas], trunk: Trunk, contrast: Contrast) -> None:
    patient = trunk.patient
    paint_back_muscles(canvas("back"), contrast, patient.lean)
    paint_ribs(canvas("ribs"), trunk, patient.vertebra, contrast)
    paint_spine(canvas("spine"), patient.vertebra, patient.bone, contrast)
    paint_pelvis(canvas("pelvis"), trunk, patient.bone)
    paint_great_vessels(canvas("vessels"), contrast)


def _liver_map(
    grid: Grid, box: Box, liver: AnyArray, lesions: list[tuple[Box, AnyArray]]
) -> LabelArray:
    labels = np.zeros(grid.shape, np.uint8)
    labels[box][liver < 0] = 1
    for part, shape in lesions:
        labels[part][shape < 0] = 2
    return labels


def _cut(labels: LabelArray, box: Box, shape: AnyArray) -> None:
    labels[box][shape < 0] = 0


def _whole(grid: Grid, outline: Outline, rng: np.random.Generator) -> tuple[MaskArray, ...]:
    masks = outline.annotations
    if masks is None:
        masks = annotate(rng, grid, outline.box, outline.shape, outline.radius_mm)
    whole = []
    for mask in masks:
        array = np.zeros(grid.shape, np.bool_)
        array[outline.box] = mask
        whole.append(array)
    return tuple(whole)
