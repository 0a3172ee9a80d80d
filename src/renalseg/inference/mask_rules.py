"""What is unusual about what has been found in a scan.

Limits lie just outside what the label maps of 60 KiTS23 patients hold: kidneys of 84 to 402 ml
without their lesions, at least 107 mm from one another, lesions of up to 1.45 litres, no more than
6 lesions of over 1 ml in a patient.
"""

from collections.abc import Iterator

import numpy as np

from renalseg.inference.finding import Finding
from renalseg.inference.organs import component_volumes_ml, find_organs
from renalseg.labels import Label
from renalseg.models.manifest import KITS_WORLD, World
from renalseg.types import LabelArray
from renalseg.volume.boxes import BoxedLabels

#: Of a kidney with its lesions; a healthy adult's has 110 to 280 ml (Cheong et al. 2007, by MRI).
_LEAST_KIDNEY_ML = 70.0
#: Of a kidney without its lesions.
_MOST_KIDNEY_ML = 420.0
_LEAST_APART_MM = 60.0
_PART_ML = 5.0
_MOST_PARTS = 3
#: The greatest tumors of KiTS measure some 15 cm.
_MOST_LESION_ML = 2000.0
_LESION_ML = 1.0
_MOST_LESIONS = 12
#: Less than this of an edge is a speck.
_CUT_MM2 = 25.0


def unusual_labels(
    labels: LabelArray, spacing_mm: tuple[float, float, float], world: World = KITS_WORLD
) -> Iterator[Finding]:
    """Findings about a label map by itself.

    Args:
        labels: Label map, (slice, row, column).
        spacing_mm: Voxel size along the three axes.
        world: The scans that the networks know.
    """
    boxed = BoxedLabels.of(labels)
    yield from _kidneys(boxed, spacing_mm, world)
    yield from _parts(boxed, spacing_mm)
    yield from _cut(labels, spacing_mm)


def _kidneys(
    labels: BoxedLabels, spacing_mm: tuple[float, float, float], world: World
) -> Iterator[Finding]:
    organs = find_organs(labels, spacing_mm)
    if not organs:
        phase = " in the late arterial phase" if world.contrast == "late-arterial" else ""
        yield Finding(
            "no-kidney",
            f"No kidney was found; the networks know CT of adults' abdomens{phase}.",
        )
    if len(organs) == 1:
        yield Finding(
            "one-kidney",
            "One kidney was found and not two; the other may be absent, missed, outside the scan, "
            "or joined to this one.",
        )
    if len(organs) > 2:
        yield Finding(
            "kidney-parts",
            f"{len(organs)} separate kidneys were found and not two; one may be a transplant, or "
            "another organ.",
        )
    for organ in organs[:2]:
        whole_ml = organ.kidney_ml + organ.mass_ml
        if whole_ml < _LEAST_KIDNEY_ML or organ.kidney_ml > _MOST_KIDNEY_ML:
            shown = whole_ml if whole_ml < _LEAST_KIDNEY_ML else organ.kidney_ml
            yield Finding(
                "kidney-volume",
                f"A kidney has {shown:.0f} ml; an adult's usually has 80 to 350 ml without "
                "lesions, so it may be incomplete, shrunken, or hold other organs.",
            )
    if len(organs) > 1:
        apart_mm = abs(organs[0].column_mm - organs[1].column_mm)
        if apart_mm < _LEAST_APART_MM:
            yield Finding(
                "kidneys-on-one-side",
                f"The two kidneys lie {apart_mm:.0f} mm apart from right to left; usual are 100 to "
                "200 mm, so both are on one side, or one is in two parts.",
            )


def _parts(labels: BoxedLabels, spacing_mm: tuple[float, float, float]) -> Iterator[Finding]:
    kidneys = component_volumes_ml(labels, (Label.KIDNEY,), spacing_mm)
    parts = sum(volume_ml > _PART_ML for volume_ml in kidneys)
    if parts > _MOST_PARTS:
        yield Finding(
            "kidney-parts",
            f"Kidney was found in {parts} parts of more than {_PART_ML:.0f} ml; usual are two, or "
            "three where a lesion divides one.",
        )
    lesions = component_volumes_ml(labels, (Label.TUMOR, Label.CYST), spacing_mm)
    if lesions and lesions[0] > _MOST_LESION_ML:
        yield Finding(
            "lesion-volume",
            f"The largest lesion has {lesions[0] / 1000:.1f} litres; more than "
            f"{_MOST_LESION_ML / 1000:.0f} are rare, so it may hold other organs.",
        )
    count = sum(volume_ml > _LESION_ML for volume_ml in lesions)
    if count > _MOST_LESIONS:
        yield Finding(
            "many-lesions",
            f"{count} lesions of more than {_LESION_ML:.0f} ml were found; usual are one to six, "
            "so the kidneys may be polycystic, or the scan unlike those the networks learned from.",
        )


def _cut(labels: LabelArray, spacing_mm: tuple[float, float, float]) -> Iterator[Finding]:
    slice_mm, row_mm, column_mm = spacing_mm
    faces = (
        ("first slice", labels[0], row_mm * column_mm),
        ("last slice", labels[-1], row_mm * column_mm),
        ("front edge", labels[:, 0], slice_mm * column_mm),
        ("back edge", labels[:, -1], slice_mm * column_mm),
        ("right edge", labels[:, :, 0], slice_mm * row_mm),
        ("left edge", labels[:, :, -1], slice_mm * row_mm),
    )
    for place, face, pixel_mm2 in faces:
        area_mm2 = np.count_nonzero(face) * pixel_mm2
        if area_mm2 >= _CUT_MM2:
            yield Finding(
                "cut",
                f"A kidney or lesion reaches the scan's {place} with {area_mm2 / 100:.1f} cm2, so "
                "it is cut and its volume too small.",
            )
