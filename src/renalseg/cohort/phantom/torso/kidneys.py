"""Kidneys in a torso: real ones, bent; synthetic ones; those that are not as in the book."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from renalseg.cohort.phantom.grid import Box, is_empty
from renalseg.cohort.phantom.kidneys import Kidney, draw_kidneys
from renalseg.cohort.phantom.lesions import draw_lesions
from renalseg.cohort.phantom.patient import Patient
from renalseg.cohort.phantom.shapes import ellipsoid
from renalseg.cohort.phantom.torso import kernels
from renalseg.cohort.phantom.torso.bank import SCALE, ShapeBank, Unit
from renalseg.cohort.phantom.torso.config import VARIANTS
from renalseg.cohort.phantom.torso.stage import Region, Shape, Stage
from renalseg.labels import Label
from renalseg.types import AnyArray


@dataclass(frozen=True, eq=False)
class Organ:
    """One kidney on the stage.

    Attributes:
        box: Where it lies.
        whole: Signed distance of the kidney with all that grows on it.
        bean: The same closed over its sinus.
        lesions: Label and signed distance of each.
        hilum: Where vessels enter (down, back, left), mm.
        dilated: How far its collecting system is dilated, 0 to 1.
    """

    box: Box
    whole: AnyArray
    bean: AnyArray
    hilum: AnyArray
    lesions: list[tuple[Label, AnyArray]] = field(default_factory=list)
    dilated: float = 0.0


def draw_organs(
    stage: Stage,
    rng: np.random.Generator,
    p: Patient,
    bank: ShapeBank | None,
    pelvis_down: float,
) -> tuple[str, list[Organ]]:
    """Draw a torso's kidneys; also the name of the variant."""
    variant = str(rng.choice(list(VARIANTS), p=list(VARIANTS.values())))
    if stage.config.variant is not None:
        variant = stage.config.variant
    elif not stage.config.has("variants"):
        variant = "usual"
    kidneys = draw_kidneys(rng, p)
    while len(kidneys) < 2:
        kidneys = draw_kidneys(rng, p)
    kidneys = _vary(variant, kidneys, rng, pelvis_down)
    real = (
        bank is not None
        and variant not in ("horseshoe",)
        and rng.random() < stage.config.real_share
    )
    if real and bank is not None:
        organs = _real(stage, rng, kidneys, bank)
    else:
        organs = _synthetic(stage, rng, kidneys)
    if variant == "horseshoe":
        ends = [k.to_patient(np.array([0.8 * k.radii[0], 0, 0])) for k in kidneys]
        bridge = [ends[0], (ends[0] + ends[1]) / 2 + [6, -6, 0], ends[1]]
        region = stage.region(Shape().tube(bridge, [16, 11, 16]))
        if region is not None:
            organs.append(Organ(region.box, region.distance, region.distance, bridge[1]))
    if stage.config.has("variants"):
        for number, organ in enumerate(organs):
            if rng.random() < 0.1:
                organs[number] = _dilate(stage, rng, organ)
    return variant, [organ for organ in organs if (organ.whole < 0).any()]


def _vary(
    variant: str, kidneys: list[Kidney], rng: np.random.Generator, pelvis_down: float
) -> list[Kidney]:
    which = int(rng.integers(2))
    chosen, other = kidneys[which], kidneys[1 - which]
    if variant == "one":
        return [replace(chosen, radii=chosen.radii * rng.uniform(1.05, 1.25))]
    if variant == "low":
        chosen = replace(chosen, center=chosen.center + np.array([rng.uniform(20, 60), -5, 0]))
    elif variant == "small":
        chosen = replace(chosen, radii=chosen.radii * rng.uniform(0.45, 0.75))
    elif variant == "turned":
        chosen = _faced(chosen, float(rng.uniform(0, 2 * np.pi)))
    elif variant == "ectopic":
        center = np.array(
            [pelvis_down - rng.uniform(55, 95), -14, rng.uniform(10, 40) * chosen.side]
        )
        chosen = _faced(replace(chosen, center=center, radii=chosen.radii * 0.9), np.pi / 2)
    elif variant == "crossed":
        shift = [rng.uniform(70, 95), -8, -0.25 * other.center[2]]
        chosen = replace(chosen, center=other.center + shift, side=other.side)
        chosen = _faced(chosen, np.pi / 2)
    elif variant == "horseshoe":
        return [_leaning(kidney, rng) for kidney in kidneys]
    return [chosen, other] if which == 0 else [other, chosen]


def _faced(kidney: Kidney, turn: float) -> Kidney:
    """The same kidney with its hilum facing another way around its axis."""
    axis = kidney.frame[0]
    inward = np.array([0.0, -np.sin(turn), -kidney.side * np.cos(turn)])
    inward -= axis * (inward @ axis)
    inward /= np.linalg.norm(inward)
    return replace(kidney, frame=np.stack([axis, inward, np.cross(axis, inward)]))


def _leaning(kidney: Kidney, rng: np.random.Generator) -> Kidney:
    """Low, the lower pole toward the middle, the hilum in front."""
    side = kidney.side
    center = np.array([rng.uniform(35, 60), -6.0, side * rng.uniform(44, 54)])
    axis = np.array([1.0, -0.25, -side * rng.uniform(0.3, 0.5)])
    axis /= np.linalg.norm(axis)
    return _faced(replace(kidney, center=center, frame=np.stack([axis] * 3)), np.pi / 2.4)


def _synthetic(stage: Stage, rng: np.random.Generator, kidneys: list[Kidney]) -> list[Organ]:
    # The parenchyma of real patients (KiTS) is a third more than that of kidneys drawn so.
    kidneys = [replace(k, radii=k.radii * rng.uniform(1.02, 1.2)) for k in kidneys]
    lesions = draw_lesions(rng, kidneys, (10.0, 110.0))
    if rng.random() < 0.3:
        lesions = [lesion for lesion in lesions if lesion.kind == "cyst"]
    organs = []
    for number, kidney in enumerate(kidneys):
        own = [lesion for lesion in lesions if lesion.kidney == number]
        reach = 1.3 * float(kidney.radii[0])
        low = np.min([kidney.center - reach, *(s.center - s.radii - 8 for s in own)], axis=0)
        high = np.max([kidney.center + reach, *(s.center + s.radii + 8 for s in own)], axis=0)
        box = stage.box(low, high, 6)
        if is_empty(box):
            continue
        down, back, left = stage.at[(slice(None), *box)]
        local = kidney.local((down, back, left))
        blank = Region(box, np.zeros(down.shape, np.float32))
        lobes = stage.texture(blank, rng, 24) * np.float32(rng.uniform(0.4, 2.2))
        whole, bean, _ = kidney.shapes(local, lobes)
        bounds = _bounds(stage, box)
        whole, bean = np.maximum(whole, bounds), np.maximum(bean, bounds)
        shapes: list[tuple[Label, AnyArray]] = []
        for lesion in own:
            radius = float(lesion.radii.mean())
            bumps = stage.texture(blank, rng, float(np.clip(1.2 * radius, 7, 30)))
            shape = ellipsoid((down, back, left), lesion.center, lesion.radii)
            shape = np.maximum(shape + np.float32(lesion.lobed) * bumps, bounds)
            if (shape < 0).any():
                whole = np.minimum(whole, shape)
                shapes.append((Label.TUMOR if lesion.kind == "tumor" else Label.CYST, shape))
        hilum = kidney.to_patient(np.array([0.0, 0.6 * kidney.radii[1], 0.0]))
        organs.append(Organ(box, whole, bean, hilum, shapes))
    return organs


def _real(
    stage: Stage, rng: np.random.Generator, kidneys: list[Kidney], bank: ShapeBank
) -> list[Organ]:
    bent = stage.config.has("deformation")
    units = _partners(rng, bank, kidneys, mixed=bent)
    organs = []
    for kidney, unit in zip(kidneys, units, strict=True):
        matrix = np.eye(3)
        if bent:
            size = float(rng.uniform(0.88, 1.12)) * (0.6 if kidney.radii[0] < 40 else 1.0)
            matrix = _turn(rng, 9.0) @ np.diag(size * rng.uniform(0.93, 1.07, 3))
            matrix = _facing(kidney) @ matrix
        matrix = np.diag([1.0, 1.0, float(unit.side * kidney.side)]) @ np.linalg.inv(matrix)
        cells = np.concatenate([matrix / 2.0, unit.center[:, None]], axis=1)
        center = kidney.center.copy()
        if unit.across_mm and abs(center[2]) > 45:
            center[2] = kidney.side * (0.6 * unit.across_mm + 0.4 * abs(center[2]))
        organ = _sampled(stage, rng, unit, center, cells, np.linalg.inv(matrix), bent=bent)
        if organ is not None:
            organs.append(organ)
    return organs


def _partners(
    rng: np.random.Generator, bank: ShapeBank, kidneys: Sequence[Kidney], *, mixed: bool
) -> list[Unit]:
    """A real kidney for each place: of one patient, or of two where shapes are mixed.

    Every patient of KiTS has a tumor; where shapes are mixed, one in five torsos has none.
    """
    if mixed and rng.random() < 0.2:
        sound = [unit for unit in bank.units if Label.TUMOR not in unit.lesions]
        if sound:
            return [sound[int(rng.integers(len(sound)))] for _ in kidneys]
    first = bank.units[int(rng.integers(len(bank.units)))]
    own = [unit for unit in bank.units if unit.case == first.case]
    units = []
    for kidney in kidneys:
        match = [unit for unit in own if unit.side == kidney.side]
        if (mixed and rng.random() < 0.5) or not match:
            units.append(bank.units[int(rng.integers(len(bank.units)))])
        else:
            units.append(match[0])
    return units


def _turn(rng: np.random.Generator, degrees: float) -> AnyArray:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_rotvec(np.deg2rad(rng.normal(0, degrees, 3))).as_matrix())


def _facing(kidney: Kidney) -> AnyArray:
    """The rotation about the long axis that a kidney which faces elsewhere needs."""
    from scipy.spatial.transform import Rotation

    usual = np.array([0.0, -np.sin(0.66), -kidney.side * np.cos(0.66)])
    now = kidney.frame[1]
    angle = np.arctan2(now[1], now[2]) - np.arctan2(usual[1], usual[2])
    angle = (angle + np.pi) % (2 * np.pi) - np.pi
    if abs(angle) < 0.5:
        return np.eye(3)
    # From the axis "left" to the axis "back": a negative turn about "down".
    return np.asarray(Rotation.from_rotvec([-angle, 0, 0]).as_matrix())


def _sampled(
    stage: Stage,
    rng: np.random.Generator,
    unit: Unit,
    center: AnyArray,
    cells: AnyArray,
    back_to_mm: AnyArray,
    *,
    bent: bool,
) -> Organ | None:
    size = np.array(unit.distances.shape[1:])
    corners = np.array([[z, y, x] for z in (0, 1) for y in (0, 1) for x in (0, 1)]) * (size - 1)
    spread = (corners - unit.center) @ (2.0 * back_to_mm.T)
    # Of a few places near by, the first that is free of spine and wall, or else the best.
    tries: list[tuple[float, AnyArray, Box, AnyArray]] = []
    for back, inward in ((0, 0), (-3, 6), (-6, -6), (-10, 0), (-8, 12)):
        moved = center + np.array([0.0, back, -inward * np.sign(center[2])])
        box = stage.box(moved + spread.min(0), moved + spread.max(0))
        if is_empty(box):
            continue
        whole = _read(stage, unit, 0, box, cells, moved)
        inside = whole < 0
        out = float((inside & (_bounds(stage, box) > 0)).sum() / max(inside.sum(), 1))
        tries.append((out, moved, box, whole))
        if out < 0.015:
            break
    if not tries:
        return None
    _, center, box, whole = min(tries, key=lambda one: one[0])
    region = Region(box, whole)
    bean = _read(stage, unit, 1, box, cells, center)
    lesions = [
        (Label(kind), _read(stage, unit, 2 + n, box, cells, center))
        for n, kind in enumerate(unit.lesions)
    ]
    if bent:
        bumps = stage.texture(region, rng, 45) * np.float32(rng.uniform(0.3, 2.4))
        whole, bean = whole + bumps, bean + bumps
        lesions = [(label, shape + bumps) for label, shape in lesions]
    bounds = _bounds(stage, box)
    whole, bean = np.maximum(whole, bounds), np.maximum(bean, bounds)
    lesions = [(label, np.maximum(shape, bounds)) for label, shape in lesions]
    side = np.sign(center[2])
    return Organ(region.box, whole, bean, center + np.array([0.0, -12.0, -16.0 * side]), lesions)


def _read(
    stage: Stage, unit: Unit, number: int, box: Box, cells: AnyArray, center: AnyArray
) -> AnyArray:
    """One of a unit's distances over a box of the stage."""
    start = np.array([s.start for s in box])
    shape = np.array([s.stop - s.start for s in box])
    found = kernels.sample(unit.distances[number], stage.at, start, shape, cells, center, SCALE)
    return np.asarray(found)


def _bounds(stage: Stage, box: Box) -> AnyArray:
    """Where a kidney must keep within: the belly, beside the spine."""
    _, back, left = stage.at[(slice(None), *box)]
    spine = ellipsoid((back, left), (10, 0), (24, 26))
    return np.asarray(np.maximum(stage.belly[box] + np.float32(1.5), -spine))


def _dilate(stage: Stage, rng: np.random.Generator, organ: Organ) -> Organ:
    """Widen the collecting system: it presses on the parenchyma from within."""
    grade = float(rng.uniform(0.25, 1.0))
    sinus = np.maximum(organ.bean + 3, -organ.whole)
    clubs = stage.texture(Region(organ.box, organ.whole), rng, 22)
    wide = np.maximum(
        sinus - np.float32(9 * grade) + 3 * clubs, organ.bean + np.float32(12 - 8 * grade)
    )
    return replace(organ, whole=np.maximum(organ.whole, -wide), dilated=grade)
