"""What a torso is painted on: voxels, where the patient lies in them, shapes and materials."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from renalseg.cohort.phantom.grid import Box, Grid, is_empty
from renalseg.cohort.phantom.torso import kernels
from renalseg.cohort.phantom.torso.config import TorsoConfig
from renalseg.cohort.phantom.torso.tile import SIDE, noise_tile
from renalseg.types import AnyArray

Numbers = Sequence[float] | AnyArray
FAR = 1000.0


@dataclass
class Shape:
    """Parts joined, cut away or kept, in the patient's mm (down, back, left)."""

    parts: list[list[float]] = field(default_factory=list)
    reach: list[tuple[AnyArray, AnyArray]] = field(default_factory=list)

    def ball(
        self,
        center: Numbers,
        radii: Numbers | float,
        frame: AnyArray | None = None,
        *,
        op: int = 0,
        blend_mm: float = 4.0,
    ) -> "Shape":
        """Add an ellipsoid; the rows of ``frame`` are its axes."""
        middle = np.asarray(center, float)
        size = np.broadcast_to(np.asarray(radii, float), 3)
        axes = np.eye(3) if frame is None else frame
        rows = axes / size[:, None]
        self.parts.append([0, op, blend_mm, *middle, *rows.ravel()])
        extent = np.sqrt(((axes * size[:, None]) ** 2).sum(0))
        self.reach.append((middle - extent, middle + extent))
        return self

    def tube(
        self,
        path: Sequence[Numbers],
        radius: Numbers | float,
        *,
        op: int = 0,
        blend_mm: float = 4.0,
    ) -> "Shape":
        """Add a tube along points, its radius given at each of them or once."""
        points = np.asarray(path, float)
        radii = np.broadcast_to(np.asarray(radius, float), len(points))
        for a, b, r, s in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
            self.parts.append([1, op, blend_mm, *a, *(b - a), r, s, 0, 0, 0, 0])
            self.reach.append((np.minimum(a, b) - max(r, s), np.maximum(a, b) + max(r, s)))
        return self

    def plane(self, normal: Numbers, offset: float, *, op: int = 2) -> "Shape":
        """Keep (or cut away) where ``normal . position < offset``."""
        self.parts.append([2, op, 0, *normal, offset, *([0] * 8)])
        self.reach.append((np.full(3, np.nan), np.full(3, np.nan)))
        return self


@dataclass(frozen=True)
class Material:
    """HU and texture of what is painted; see `kernels.MATERIAL` and `kernels.paint`.

    Attributes:
        hu: Of the inside.
        fine_hu: Strength of the fine texture; ``fine_mm`` its grain.
        fine_mm: See there.
        coarse_hu: Strength of the coarse texture; below 0 it only brightens.
        coarse_mm: See there.
        shell_hu: Of the wall or cortex, where ``shell_mm`` is above 0.
        shell_mm: Its thickness.
        level: Gas fills what lies in front of this position (back, mm).
        gas_hu: Of gas.
        bubbles: Noise above this is gas; 9 for none.
        bubble_mm: Size of the bubbles.
        free: 1 to paint only where there is fat.
    """

    hu: float
    fine_hu: float = 0.0
    fine_mm: float = 6.0
    coarse_hu: float = 0.0
    coarse_mm: float = 30.0
    shell_hu: float = 0.0
    shell_mm: float = 0.0
    level: float = -FAR
    gas_hu: float = -950.0
    bubbles: float = 9.0
    bubble_mm: float = 6.0
    free: float = 0.0

    @property
    def row(self) -> AnyArray:
        """As the compiled loop takes it."""
        return np.array([getattr(self, name) for name in kernels.MATERIAL])


@dataclass(frozen=True, eq=False)
class Region:
    """Signed distances over a box of the stage."""

    box: Box
    distance: AnyArray

    @property
    def start(self) -> tuple[int, int, int]:
        """The first voxel."""
        return (self.box[0].start, self.box[1].start, self.box[2].start)


@dataclass(frozen=True, eq=False)
class Stage:
    """Voxels of one torso.

    Attributes:
        config: What is wanted.
        grid: The voxel grid.
        origin_mm: The patient's origin in the grid.
        rotation: Grid axes to patient axes.
        bend_mm: How far back the spine lies 10 cm above and below the loin.
        slack_mm: How far the warp may move things.
        at: Patient positions of all voxels, (3, slices, rows, columns) mm.
        hu: float32.
        belly: Signed distance of the belly.
        rng: Draws offsets of textures; painters have streams of their own.
    """

    config: TorsoConfig
    grid: Grid
    origin_mm: AnyArray
    rotation: AnyArray
    bend_mm: float
    slack_mm: float
    at: AnyArray
    hu: AnyArray
    belly: AnyArray

    @cached_property
    def edge_mm(self) -> float:
        """The width over which two tissues share voxels."""
        return max(float(np.mean(self.grid.spacing_mm)), 0.8)

    def box(self, low: AnyArray, high: AnyArray, margin_mm: float = 0.0) -> Box:
        """The voxels between two corners in the patient, warps allowed for."""
        center = (np.asarray(low, float) + high) / 2
        half = (np.asarray(high, float) - low) / 2
        ends = np.array([low[0], high[0]])
        bends = self.bend_mm * ((ends - 15) / 100) ** 2
        inner = 0.0 if ends[0] < 15 < ends[1] else float(bends.min())
        center[1] += (inner + bends.max()) / 2
        half[1] += (bends.max() - inner) / 2
        middle = self.rotation.T @ center + self.origin_mm
        reach = np.abs(self.rotation.T) @ half + margin_mm + self.slack_mm
        return self.grid.box(middle - reach, middle + reach)

    def region(self, shape: Shape, margin_mm: float = 6.0) -> Region | None:
        """Distances to a shape in the box that holds it; None where it is out of view."""
        solid = [r for r, part in zip(shape.reach, shape.parts, strict=True) if part[1] == 0]
        low = np.min([r[0] for r in solid], axis=0)
        high = np.max([r[1] for r in solid], axis=0)
        box = self.box(low, high, margin_mm)
        if is_empty(box):
            return None
        whole = [s for part in box for s in (part.start, part.stop)]
        boxes = []
        for (a, b), part in zip(shape.reach, shape.parts, strict=True):
            if part[1] == 2 or np.isnan(a[0]):
                boxes.append(whole)
                continue
            own = self.box(a, b, margin_mm)
            ends = []
            for s, t in zip(own, box, strict=True):
                start = min(max(s.start, t.start), t.stop)
                ends += [start, max(start, min(s.stop, t.stop))]
            boxes.append(ends)
        distance = np.full([s.stop - s.start for s in box], FAR, np.float32)
        region = Region(box, distance)
        kernels.add_parts(
            distance, np.array(region.start), self.at, np.array(shape.parts, float), np.array(boxes)
        )
        return region

    def bump(
        self, region: Region, rng: np.random.Generator, size_mm: float, feature_mm: float
    ) -> None:
        """Make a surface uneven."""
        kernels.bump(
            region.distance,
            np.array(region.start),
            self.at,
            noise_tile(),
            size_mm,
            max(feature_mm, self.edge_mm),
            rng.uniform(0, SIDE, 3),
            self._stride(feature_mm),
        )

    def within(self, region: Region, gap_mm: float) -> None:
        """Keep a shape within the belly."""
        kernels.keep_within(region.distance, np.array(region.start), self.belly, gap_mm)

    def paint(self, region: Region, rng: np.random.Generator, material: Material) -> None:
        """Paint a shape."""
        row = material.row
        for column in (2, 4, 10):
            row[column] = max(row[column], 1.2 * self.edge_mm)
        if not self.config.has("textures"):
            row[[1, 3]] = 0.0
        kernels.paint(
            self.hu,
            region.distance,
            np.array(region.start),
            self.at,
            noise_tile(),
            self.edge_mm,
            row,
            rng.uniform(0, SIDE, 3),
        )

    def draw(
        self,
        shape: Shape,
        rng: np.random.Generator,
        material: Material,
        *,
        within_mm: float | None = None,
        bumps: tuple[float, float] | None = None,
    ) -> Region | None:
        """Shape, bump, keep within the belly, paint: what most organs need."""
        margin = 1 + 0.5 * self.edge_mm + (0 if bumps is None else 3 * bumps[0])
        region = self.region(shape, margin)
        if region is None:
            return None
        if bumps is not None:
            self.bump(region, rng, *bumps)
        if within_mm is not None:
            self.within(region, within_mm)
        self.paint(region, rng, material)
        return region

    def texture(self, region: Region, rng: np.random.Generator, feature_mm: float) -> AnyArray:
        """A random field over a region."""
        out = np.zeros_like(region.distance)
        kernels.bump(
            out,
            np.array(region.start),
            self.at,
            noise_tile(),
            1.0,
            max(feature_mm, 1.2 * self.edge_mm),
            rng.uniform(0, SIDE, 3),
            self._stride(feature_mm),
        )
        return out

    def _stride(self, feature_mm: float) -> int:
        """At how many voxels of a row smooth noise is looked up: half a cell of its tile."""
        return max(1, int(feature_mm / (8 * self.grid.spacing_mm[2])))
