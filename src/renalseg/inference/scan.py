"""A scan, and what networks see of it, made once for all that want the same."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from renalseg.inference.grid import Box, NetworkGrid, network_grid, nonzero_box
from renalseg.inference.rows import Intensity, Window, image_rows
from renalseg.volume import Volume


@dataclass
class Scan:
    """A canonical volume in HU, and its grids and rows as they are asked for."""

    volume: Volume
    _grids: dict[str, NetworkGrid] = field(default_factory=dict, repr=False)
    _windows: dict[Any, Window] = field(default_factory=dict, repr=False)

    @cached_property
    def crop(self) -> Box:
        """The box that is not zero: nnU-Net looks at nothing else."""
        return nonzero_box(self.volume.array)

    @property
    def whole(self) -> Box:
        """All of the crop, counted from its first voxel."""
        first, second, third = ((0, stop - start) for start, stop in self.crop)
        return first, second, third

    def grid(self, settings: Mapping[str, Any], axes: Sequence[int]) -> NetworkGrid:
        """The grid of a configuration; configurations that resample alike share one."""
        wanted = {k: v for k, v in settings.items() if k.startswith(("resampling", "spacing"))}
        key = json.dumps([wanted, list(axes)], sort_keys=True, default=str)
        if key not in self._grids:
            self._grids[key] = network_grid(self.crop, self.volume.spacing_mm, settings, axes)
        return self._grids[key]

    def rows(self, grid: NetworkGrid, box: Box, intensity: Intensity, device: str) -> Window:
        """The image within a box; networks that look at the same box share its rows."""
        key = (id(grid), box, intensity, device)
        if key not in self._windows:
            self._windows[key] = image_rows(self.volume.array, grid, box, intensity, device)
        return self._windows[key]

    def forget(self) -> None:
        """Let go of all rows."""
        self._windows.clear()
