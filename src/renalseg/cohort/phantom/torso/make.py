"""One torso from beginning to end."""

from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from renalseg.cohort.phantom.contrast import Contrast, Phase
from renalseg.cohort.phantom.grid import Grid
from renalseg.cohort.phantom.patient import Patient
from renalseg.cohort.phantom.torso import kernels, layers
from renalseg.cohort.phantom.torso.bank import shape_bank
from renalseg.cohort.phantom.torso.bowel import paint_bowel
from renalseg.cohort.phantom.torso.build import FIRST_MM, STEP_MM, draw_build, profile
from renalseg.cohort.phantom.torso.config import GENERATOR, TorsoConfig
from renalseg.cohort.phantom.torso.findings import paint_fluid, paint_masses, paint_metal
from renalseg.cohort.phantom.torso.kidneys import Organ, draw_organs
from renalseg.cohort.phantom.torso.outside import paint_outside
from renalseg.cohort.phantom.torso.pelvis import Pelvis, paint_bones, paint_pelvic_organs
from renalseg.cohort.phantom.torso.scanner import Acquisition, scan
from renalseg.cohort.phantom.torso.spine import paint_muscles, paint_spine
from renalseg.cohort.phantom.torso.stage import Stage
from renalseg.cohort.phantom.torso.tile import SIDE, noise_tile
from renalseg.cohort.phantom.torso.timing import draw_contrast
from renalseg.cohort.phantom.torso.urinary import (
    paint_capsule,
    paint_kidney,
    paint_lesions,
    paint_neighbours,
    paint_stones,
)
from renalseg.cohort.phantom.torso.vessels import (
    paint_great_vessels,
    paint_renal_vessels,
    paint_ureter,
)
from renalseg.cohort.phantom.torso.viscera import (
    paint_heart,
    paint_liver,
    paint_pancreas,
    paint_spleen,
    paint_stomach,
)
from renalseg.labels import MERGE_ORDER, Label
from renalseg.types import AnyArray, ImageArray, LabelArray

AIR = -1000.0

Streams = Callable[[str], np.random.Generator]


@dataclass(frozen=True, eq=False)
class Torso:
    """A synthetic scan and its labels.

    Attributes:
        image: HU, int16, I-P-L.
        labels: 1 kidney, 2 tumor, 3 cyst, uint8.
        affine: Voxel to world (RAS+, mm).
        phase: The contrast phase.
        variant: What its kidneys are; see `config.VARIANTS`.
    """

    image: ImageArray
    labels: LabelArray
    affine: AnyArray
    phase: Phase
    variant: str


def make_torso(config: TorsoConfig, index: int) -> Torso:
    """Make one torso, from the lungs' bases to the thighs as far as the grid reaches.

    Args:
        config: What it is to be.
        index: Its number.

    Returns:
        The torso; the same one for the same configuration and number.

    Raises:
        CohortError: If real shapes are asked for and cannot be read.
    """

    def stream(concept: str) -> np.random.Generator:
        return np.random.default_rng([GENERATOR, config.seed, index, crc32(concept.encode())])

    bank = None if config.shapes is None else shape_bank(config.shapes)
    patient = draw_build(stream("build"), varied=config.has("builds"))
    contrast = draw_contrast(stream("contrast"), any_time=config.has("timing"))
    pelvis = Pelvis.draw(stream("pelvis"), patient)
    stage = _stage(config, stream("place"), patient)
    _paint_layers(stage, stream("layers"), patient, contrast)
    _paint_belly(stage, stream, patient, contrast, pelvis)
    variant, organs = draw_organs(stage, stream("kidneys"), patient, bank, pelvis.hip[0])
    _paint_urinary(stage, stream, patient, contrast, organs, pelvis)
    if config.has("outside"):
        paint_outside(stage, stream("outside"), patient, contrast)
    draw = stream("scanner")
    thick = config.spacing_mm[0]
    acquisition = Acquisition.draw(draw, patient, thick, flawed=config.has("artefacts"))
    labels = _labels(stage, organs)
    labels[:, acquisition.outside(stage.grid)] = 0
    return Torso(
        image=scan(stage, draw, acquisition),
        labels=labels,
        affine=stage.grid.affine,
        phase=contrast.phase,
        variant=variant,
    )


def _stage(config: TorsoConfig, rng: np.random.Generator, p: Patient) -> Stage:
    """Lay the patient into the grid: shifted, turned, tilted, bent and warped."""
    grid = Grid(config.shape, config.spacing_mm)
    tall, deep, wide = np.array(grid.shape) * grid.spacing_mm
    if config.around == "kidneys":
        above = float(rng.uniform(85, max(90.0, min(tall - 95, 210))))
        shift = np.clip(rng.normal(0, 12, 2), -30, 30)
    else:
        above = tall / 2 - float(rng.uniform(-190, 290))
        shift = np.array([rng.uniform(-0.5, 0.5) * max(20, 260 - deep / 2)])
        shift = np.append(shift, rng.uniform(-0.5, 0.5) * max(20, 380 - wide / 2))
    origin = np.array([above, deep / 2 - p.middle + shift[0], wide / 2 + shift[1]])
    rotation = np.eye(3)
    for (a, b), degrees in (((0, 1), 3.0), ((0, 2), 2.5), ((1, 2), 5.0)):
        angle = np.deg2rad(rng.normal(0, degrees))
        one = np.eye(3)
        one[[a, b], [a, b]] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ one
    bend, warp = float(rng.uniform(0, 9)), float(rng.uniform(1.0, 4.0))
    at = kernels.coordinates(
        noise_tile(),
        np.array(grid.shape),
        np.array(grid.spacing_mm),
        origin,
        rotation,
        bend,
        warp,
        float(rng.uniform(90, 140)),
        rng.uniform(0, SIDE, (3, 3)),
    )
    hu = np.full(grid.shape, AIR, np.float32)
    return Stage(
        config, grid, origin, rotation, bend, 2.5 * warp, at, hu, np.empty(grid.shape, np.float32)
    )


def _paint_layers(stage: Stage, rng: np.random.Generator, p: Patient, contrast: Contrast) -> None:
    textured, layered = stage.config.has("textures"), stage.config.has("muscles")
    paint = {
        "fat_hu": contrast.fat,
        "muscle_hu": contrast.hu["muscle"],
        "skin_hu": float(rng.uniform(0, 45)),
        "lung_hu": float(rng.uniform(-900, -740)),
        "stranding": textured * float(rng.choice([4, 8, 20], p=[0.5, 0.35, 0.15])),
        "marbling": textured * float(rng.uniform(2, 9) + 22 * (1 - p.lean) ** 2),
        "layering": layered * float(rng.uniform(0.1, 0.5)),
        "dome": p.dome,
        "half_width": p.half_width,
        "lumps": float(rng.uniform(0.03, 0.2)),
        "bone_hu": p.bone,
        "cortex_hu": float(rng.uniform(220, 560)),
        "last_rib": -1.9 * p.vertebra + float(rng.uniform(-8, 8)),
        "rib_slope": float(rng.uniform(60, 95)),
        "thigh_top": 245.0,
        "planes": layered * float(rng.uniform(0.1, 0.5)),
        "effusion": 0.0,
    }
    if stage.config.has("findings") and rng.random() < 0.1:
        paint["effusion"] = float(rng.uniform(5, 60))
    layers.lay(
        stage.hu,
        stage.belly,
        stage.at,
        noise_tile(),
        stage.edge_mm,
        profile(p, rng),
        FIRST_MM,
        STEP_MM,
        np.array([paint[name] for name in layers.PAINT]),
        rng.uniform(0, SIDE, 3),
    )


def _paint_belly(
    stage: Stage, stream: Streams, p: Patient, contrast: Contrast, pelvis: Pelvis
) -> None:
    has = stage.config.has
    paint_heart(stage, stream("heart"), p, contrast)
    paint_liver(stage, stream("liver"), p, contrast)
    paint_spleen(stage, stream("spleen"), p, contrast)
    paint_stomach(stage, stream("stomach"), p, contrast)
    paint_pancreas(stage, stream("pancreas"), p, contrast)
    if has("pelvis"):
        paint_pelvic_organs(stage, stream("pelvic organs"), pelvis, contrast)
    if has("bowel"):
        paint_bowel(stage, stream("bowel"), p, contrast)
    if has("findings"):
        paint_fluid(stage, stream("fluid"), p)


def _paint_urinary(
    stage: Stage,
    stream: Streams,
    p: Patient,
    contrast: Contrast,
    organs: list[Organ],
    pelvis: Pelvis,
) -> None:
    has, rng = stage.config.has, stream("urinary")
    for organ in organs:
        paint_capsule(stage, rng, p, organ, contrast)
    if has("contact"):
        for number, organ in enumerate(organs):
            paint_neighbours(stage, stream(f"neighbours {number}"), organ, contrast)
    if has("muscles"):
        paint_muscles(stage, stream("muscles"), p, contrast)
    if has("pelvis"):
        paint_bones(stage, stream("bones"), pelvis, contrast.fat)
    paint_spine(stage, stream("spine"), p, contrast)
    if has("findings"):
        paint_masses(stage, stream("masses"), p, contrast)
    paint_great_vessels(stage, stream("vessels"), contrast)
    for number, organ in enumerate(organs):
        own = stream(f"kidney {number}")
        paint_renal_vessels(stage, own, contrast, organ.hilum)
        stented = has("findings") and own.random() < (0.3 if organ.dilated else 0.03)
        wide = 2.0 + 4.0 * organ.dilated * float(own.random())
        end = (pelvis.hip[0] + 8, pelvis.hip[1] - 6)
        paint_ureter(stage, own, contrast, organ.hilum, end, wide_mm=wide, stent=stented)
    for number, organ in enumerate(organs):
        own = stream(f"parenchyma {number}")
        paint_kidney(stage, own, organ, contrast)
        paint_lesions(stage, own, organ, contrast)
        if has("findings") and own.random() < 0.14:
            paint_stones(stage, own, organ)
    if has("findings"):
        paint_metal(stage, stream("metal"), p)


def _labels(stage: Stage, organs: list[Organ]) -> LabelArray:
    labels = np.zeros(stage.grid.shape, np.uint8)
    for wanted in MERGE_ORDER:
        for organ in organs:
            if wanted is Label.KIDNEY:
                labels[organ.box][organ.whole < 0] = wanted
            for label, shape in organ.lesions:
                if label is wanted:
                    labels[organ.box][shape < 0] = wanted
    return labels
