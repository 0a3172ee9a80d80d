"""HU values that shapes are painted on, one over the other."""

from dataclasses import dataclass

import numpy as np

from renalseg.cohort.phantom.grid import Box, Grid, Place, SmoothField, is_empty
from renalseg.types import AnyArray


@dataclass(frozen=True, eq=False)
class Canvas:
    """HU values on a grid.

    Attributes:
        grid: The grid.
        place: Where the patient lies in it.
        hu: The values, float32.
        rng: Draws what the painted texture needs.
    """

    grid: Grid
    place: Place
    hu: AnyArray
    rng: np.random.Generator

    @property
    def edge_mm(self) -> float:
        """The width over which two tissues share voxels."""
        return max(self.grid.spacing_mm[1], 0.8)

    def blend(self, box: Box, shape: AnyArray, hu: AnyArray | float) -> None:
        """Paint a signed distance; voxels at its border are shared (partial volume)."""
        if is_empty(box):
            return
        share = np.clip(np.float32(0.5) - shape * np.float32(1 / self.edge_mm), 0, 1)
        self.mix(box, share, hu)

    def mix(self, box: Box, share: AnyArray, hu: AnyArray | float) -> None:
        """Give each voxel a share of a tissue."""
        view = self.hu[box]
        view += share * (hu - view)

    def field(self, knot_mm: float) -> SmoothField:
        """A new random field over the whole grid; not finer than the grid can show."""
        return SmoothField.draw(self.grid, self.rng, max(knot_mm, 1.6 * self.grid.spacing_mm[1]))

    def texture(self, box: Box, knot_mm: float) -> AnyArray:
        """A new random field in a box."""
        knot_mm = max(knot_mm, 1.6 * self.grid.spacing_mm[1])
        return SmoothField.draw(self.grid, self.rng, knot_mm, box).on(box)

    def vessels(self, box: Box, knot_mm: float, radius_mm: float) -> AnyArray:
        """Signed distance of winding, branching tubes: where two random fields both vanish."""
        a, b = self.texture(box, knot_mm), self.texture(box, knot_mm)
        return np.asarray(np.sqrt(a * a + b * b) * np.float32(knot_mm * 0.75) - radius_mm)
