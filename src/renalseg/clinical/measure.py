"""Everything that is measured of a segmentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from renalseg import __version__
from renalseg.clinical.anatomy import Anatomy, kidney_anatomy
from renalseg.clinical.contact import contact_mm2
from renalseg.clinical.diameters import largest_diameters, point_at
from renalseg.clinical.instances import Instance, Kidney, find_kidneys, lesions_mask
from renalseg.clinical.intervals import kidney_intervals, lesion_intervals
from renalseg.clinical.nephrometry import nephrometry
from renalseg.clinical.position import sinus_distance_mm
from renalseg.clinical.records import (
    Intensity,
    KidneyRecord,
    LesionRecord,
    Measurements,
    Vector,
)
from renalseg.clinical.size import points_by_line
from renalseg.clinical.surfaces import face_middles, to_world
from renalseg.errors import VolumeError
from renalseg.labels import DiameterLine, Label
from renalseg.provenance import NOTICE
from renalseg.types import Affine, AnyArray, LabelArray, MaskArray
from renalseg.volume import Volume
from renalseg.volume.boxes import Box, part_of

#: A lesion farther than this from the parenchyma of its kidney is worth a note.
_FAR_MM = 10.0


def measure(
    labels: Volume,
    ct: Volume | None = None,
    members: Sequence[LabelArray] = (),
    *,
    diameter: str = DiameterLine.AXIAL,
) -> Measurements:
    """Measure kidneys and lesions, and score tumors.

    Args:
        labels: Label map: 1 kidney, 2 tumor, 3 cyst.
        ct: The scan in HU, on the same grid: for intensities and the sinus's fat.
        members: Label maps of an ensemble's members on the same grid: how they differ.
        diameter: The line that scores take for a tumor's largest diameter: ``axial``, as
            radiologists read it, ``coronal``, ``sagittal`` or ``3d``.

    Raises:
        RenalsegError: If there is no such line.
        VolumeError: If the CT or a member lies on another grid.
    """
    line = DiameterLine.named(diameter)
    if ct is not None and not ct.same_grid(labels):
        raise VolumeError(
            f"the CT and the label map lie on different grids, shapes {ct.shape} and "
            f"{labels.shape}; give the CT that was segmented"
        )
    if any(member.shape != labels.shape for member in members):
        raise VolumeError(f"expected members' label maps of shape {labels.shape}")
    kidneys = find_kidneys(labels)
    several = members if len(members) > 1 else ()  # one alone differs from nobody
    theirs = [find_kidneys(labels.like(member)) for member in several]
    records, found = [], []
    for kidney in kidneys:
        here = _Here(kidney, labels, ct)
        if kidney.mask.any():
            records.append(_kidney(here, kidney_intervals(kidney, theirs, labels.affine)))
        anatomy = kidney_anatomy(kidney, labels.affine, here.hu) if kidney.lesions else None
        for lesion in kidney.lesions:
            intervals = lesion_intervals(lesion, theirs, labels.affine)
            found.append(_lesion(here, lesion, anatomy, intervals, line))
    found.sort(key=lambda lesion: -lesion.volume_ml)
    lesions = tuple(one.model_copy(update={"number": n}) for n, one in enumerate(found, 1))
    return Measurements(
        notice=NOTICE,
        renalseg=__version__,
        spacing_mm=labels.spacing_mm,
        kidneys=tuple(records),
        lesions=lesions,
        notes=(*_notes(kidneys, labels), *_line_notes(lesions)),
    )


@dataclass(frozen=True, eq=False)
class _Here:
    """A kidney and the volumes that it lies in."""

    kidney: Kidney
    labels: Volume
    ct: Volume | None

    @property
    def hu(self) -> AnyArray | None:
        return None if self.ct is None else self.ct.array[self.kidney.box]

    @property
    def voxel_ml(self) -> float:
        return abs(float(np.linalg.det(self.labels.affine[:3, :3]))) / 1000

    def intensity(self, mask: MaskArray, box: Box) -> Intensity | None:
        """Statistics of the CT within a mask."""
        if self.ct is None:
            return None
        values = self.ct.array[box][mask].astype(np.float64)
        p5, median, p95 = np.percentile(values, [5, 50, 95])
        return Intensity(
            mean_hu=float(values.mean()),
            sd_hu=float(values.std()),
            median_hu=float(median),
            p5_hu=float(p5),
            p95_hu=float(p95),
        )


def _kidney(here: _Here, intervals: dict[str, Any]) -> KidneyRecord:
    import cc3d

    kidney, affine = here.kidney, here.labels.affine
    whole = kidney.mask | lesions_mask(kidney)
    corner = np.array([side.start for side in kidney.box], float)
    axis = _long_axis(np.argwhere(kidney.mask), affine)
    along = to_world(face_middles(kidney.mask) + corner, affine) @ np.array(axis)
    return KidneyRecord(
        side=kidney.side,
        volume_ml=float(whole.sum()) * here.voxel_ml,
        parenchyma_ml=float(kidney.mask.sum()) * here.voxel_ml,
        length_mm=float(np.ptp(along)),
        centroid=point_at(np.argwhere(whole).mean(axis=0) + corner, affine),
        orientation=axis,
        components=int(cc3d.connected_components(whole, connectivity=26).max()),
        intensity=here.intensity(kidney.mask, kidney.box),
        intervals=intervals,
    )


def _lesion(
    here: _Here,
    lesion: Instance,
    anatomy: Anatomy | None,
    intervals: dict[str, Any],
    line: DiameterLine,
) -> LesionRecord:
    affine = here.labels.affine
    diameters, short = largest_diameters(lesion.mask, lesion.box, affine)
    axial, in_space = diameters[DiameterLine.AXIAL], diameters[DiameterLine.IN_3D]
    voxels = np.argwhere(lesion.mask)
    corner = np.array([side.start for side in lesion.box], float)
    sinus = None if anatomy is None else anatomy.sinus
    is_tumor = lesion.label is Label.TUMOR
    place = part_of(lesion.box, here.kidney.box)
    around = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in place)
    own = np.zeros_like(here.kidney.mask)
    own[place] = lesion.mask
    return LesionRecord(
        number=0,
        label="tumor" if is_tumor else "cyst",
        side=here.kidney.side,
        volume_ml=float(lesion.mask.sum()) * here.voxel_ml,
        largest_axial_diameter_mm=axial.length_mm,
        axial_diameter=axial,
        short_axis_mm=short.length_mm,
        short_axis=short,
        largest_3d_diameter_mm=in_space.length_mm,
        diameter_3d=in_space,
        orientation=_long_axis(voxels, affine),
        centroid=point_at(voxels.mean(axis=0) + corner, affine),
        components=1,
        contact_mm2=contact_mm2(own[around], here.kidney.mask[around], here.labels.spacing_mm),
        sinus_distance_mm=_sinus_distance_mm(anatomy, lesion, affine),
        sinus_from=None if sinus is None else sinus.source,
        intensity=here.intensity(lesion.mask, lesion.box),
        intervals=intervals,
        scores=nephrometry(anatomy, lesion, line, diameters)
        if is_tumor and anatomy is not None
        else (),
    )


def _sinus_distance_mm(anatomy: Anatomy | None, lesion: Instance, affine: Affine) -> float | None:
    """Least distance from a lesion to the sinus; 0 where they touch, to within a voxel."""
    distance = None if anatomy is None else sinus_distance_mm(anatomy, lesion)
    if distance is None:
        return None
    touching = float(np.linalg.norm(affine[:3, :3], axis=0).max())
    return 0.0 if distance < touching else distance


def _long_axis(voxels: AnyArray, affine: Affine) -> Vector:
    """Unit vector of the longest principal axis, to the head; voxels count as boxes."""
    world = affine[:3, :3]
    centred = (voxels - voxels.mean(axis=0)) @ world.T
    spread = centred.T @ centred / len(centred) + world @ world.T / 12
    axis = np.linalg.eigh(spread)[1][:, -1]
    x, y, z = axis if axis[2] >= 0 else -axis
    return float(x), float(y), float(z)


def _notes(kidneys: Sequence[Kidney], labels: Volume) -> list[str]:
    """What a reader should know."""
    notes = []
    with_tissue = [kidney for kidney in kidneys if kidney.mask.any()]
    if not with_tissue:
        notes.append("No kidney was found; lesions take their side from the half of the volume.")
    elif len(with_tissue) == 1:
        notes.append(
            f"One kidney only; {with_tissue[0].side} by the half of the volume that it lies in."
        )
    if any(kidney.is_divided for kidney in kidneys):
        notes.append("One kidney reaches from side to side; it was divided in its middle.")
    for kidney in kidneys:
        for lesion in kidney.lesions:
            distance = _distance_mm(kidney, lesion, labels.spacing_mm)
            if distance is not None and distance > _FAR_MM:
                title = lesion.label.title
                notes.append(
                    f"A {title} lies {distance:.0f} mm from the {kidney.side} kidney, the nearest."
                )
    specks = sum(kidney.specks for kidney in kidneys)
    if specks:
        notes.append(f"Pieces of tumor or cyst under 0.03 ml, left out: {specks}.")
    return notes


def _line_notes(lesions: Sequence[LesionRecord]) -> list[str]:
    """Where another line than the one that was taken would change the points of a score."""
    return [
        f"{one.label.capitalize()} {one.number}, {text}."
        for one in lesions
        for text in points_by_line(one)
    ]


def _distance_mm(
    kidney: Kidney, lesion: Instance, spacing_mm: tuple[float, float, float]
) -> float | None:
    """From a lesion to the parenchyma, between voxels' centres."""
    from scipy.spatial import cKDTree

    if not kidney.mask.any():
        return None
    corner = np.array([side.start for side in part_of(lesion.box, kidney.box)], float)
    tree = cKDTree(face_middles(kidney.mask) * spacing_mm)
    surface = (face_middles(lesion.mask) + corner) * spacing_mm
    return float(tree.query(surface)[0].min())
