"""Kidneys, tumors and cysts as outlines on the grid, and how they are painted."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from renalseg.cohort.phantom.body import Trunk
from renalseg.cohort.phantom.canvas import Canvas
from renalseg.cohort.phantom.contrast import Contrast
from renalseg.cohort.phantom.grid import Box, is_empty
from renalseg.cohort.phantom.kidneys import (
    draw_kidneys,
    paint_fat_capsule,
    paint_kidney,
)
from renalseg.cohort.phantom.lesions import draw_lesions, paint_cyst, paint_tumor
from renalseg.cohort.phantom.shapes import ellipsoid
from renalseg.cohort.phantom.vessels import paint_renal_vessels
from renalseg.types import AnyArray, MaskArray

Kind = Literal["kidney", "tumor", "cyst"]


@dataclass(frozen=True, eq=False)
class Outline:
    """One instance on the grid.

    Attributes:
        kind: What it is.
        box: Where it lies, with room around it.
        shape: Signed distance of what annotators outline, mm.
        organ: Of a kidney without its lesions; else the same as ``shape``.
        inner: Of a synthetic kidney: local positions, the bean, the sinus.
        hilum: Of a synthetic kidney: where its vessels enter, in the patient's mm.
        radius_mm: About its radius.
        annotations: Real annotations in the box, where there are any.
    """

    kind: Kind
    box: Box
    shape: AnyArray
    organ: AnyArray
    inner: tuple[list[AnyArray], AnyArray, AnyArray] | None = None
    hilum: AnyArray | None = None
    radius_mm: float = 10.0
    annotations: tuple[MaskArray, ...] | None = None


def synthetic_outlines(
    canvas: Canvas, trunk: Trunk, tumor_mm: tuple[float, float]
) -> list[Outline]:
    """Draw kidneys and their lesions; lesions too small for the grid are left out."""
    kidneys = draw_kidneys(canvas.rng, trunk.patient)
    lesions = draw_lesions(canvas.rng, kidneys, tumor_mm)
    outlines = []
    for number, kidney in enumerate(kidneys):
        own = [lesion for lesion in lesions if lesion.kidney == number]
        low = np.min([kidney.center - 72, *(s.center - s.radii - 8 for s in own)], axis=0)
        high = np.max([kidney.center + 72, *(s.center + s.radii + 8 for s in own)], axis=0)
        box = canvas.place.box((low + high) / 2, (high - low) / 2)
        at = canvas.place.coordinates(box)
        local = kidney.local(at)
        lobes = canvas.texture(box, 16) * np.float32(canvas.rng.uniform(0.4, 1.6))
        organ, bean, sinus = kidney.shapes(local, lobes)
        bounds = np.maximum(trunk.below(box, 2), -ellipsoid(at[1:], (10, 0), (24, 26)))
        organ, bean = np.maximum(organ, bounds), np.maximum(bean, bounds)
        whole = organ
        for lesion in own:
            shape = np.maximum(lesion.shape(canvas, box, at), bounds)
            if not (shape < 0).any():
                continue
            whole = np.minimum(whole, shape)
            radius = float(lesion.radii.mean())
            outlines.append(Outline(lesion.kind, box, shape, shape, radius_mm=radius))
        hilum = kidney.to_patient(np.array([0.0, 0.6 * kidney.radii[1], 0.0]))
        outlines.append(
            Outline("kidney", box, whole, organ, (local, bean, sinus), hilum, radius_mm=25.0)
        )
    return outlines


def paint_urinary(
    canvas: Canvas,
    outlines: list[Outline],
    *,
    trunk: Trunk,
    contrast: Contrast,
    between: Callable[[], None],
    cover: Callable[[Box, AnyArray], None],
) -> None:
    """Paint the outlines.

    Args:
        canvas: Where to.
        outlines: What to paint.
        trunk: The surfaces of the trunk.
        contrast: HU of the tissues.
        between: Paints what lies over the fat around the kidneys and under the kidneys.
        cover: Told of what the fat capsules cover.
    """
    kidneys = [outline for outline in outlines if outline.kind == "kidney"]
    for kidney in kidneys:
        shape = kidney.shape if kidney.inner is None else np.minimum(kidney.shape, kidney.inner[1])
        bounds = trunk.below(kidney.box, 0)
        capsule = paint_fat_capsule(
            canvas, kidney.box, shape, bounds, thick_mm=trunk.patient.visceral, fat=contrast.fat
        )
        cover(kidney.box, capsule)
    between()
    for kidney in kidneys:
        if kidney.hilum is not None:
            paint_renal_vessels(canvas, contrast, [float(v) for v in kidney.hilum])
    for kidney in kidneys:
        if not is_empty(kidney.box):
            paint_kidney(canvas, kidney.box, kidney.organ, kidney.inner, contrast)
    for kind in ("cyst", "tumor"):
        for outline in outlines:
            if outline.kind == kind == "cyst":
                paint_cyst(canvas, outline.box, outline.shape)
            elif outline.kind == kind:
                paint_tumor(canvas, outline.box, outline.shape, contrast)
