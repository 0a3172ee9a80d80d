"""The sliding window: tiles over a box, and their scores put together row by row.

Tiles lie as nnU-Net lays them, and are weighted by its Gaussian. They are worked through from the
first row on; rows that no later tile touches are complete and leave at once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from renalseg.inference.forward import MeanForward
from renalseg.inference.tiles import Tiles, gaussian

if TYPE_CHECKING:
    from torch import Tensor

#: An image this close to the floor of its normalisation is air; a spline is no closer to it.
_AIR_TOLERANCE = 1e-3
_ROWS_AT_ONCE = 16


@dataclass
class Count:
    """Tiles that were computed and that were not, as they hold air alone."""

    computed: int = 0
    skipped: int = 0


def logit_rows(
    rows: "Callable[[int, int], Tensor]",
    floor: float,
    forward: MeanForward,
    tiles: Tiles,
    count: Count,
    on_tile: Callable[[], None],
    *,
    half: bool = False,
    device: str = "cpu",
) -> "Iterator[Tensor]":
    """Logits over a box, complete rows in their order: (class, row, ...), float32.

    Args:
        rows: The network's input within the box, first row to stop.
        floor: What air is in the first channel; tiles of nothing else are computed once.
        forward: The network.
        tiles: Where.
        count: Told of every tile.
        on_tile: Called after every tile.
        half: Whether to add up in half precision, as nnU-Net does.
        device: Where scores are put together.
    """
    import torch

    box, starts, patch = tiles.box, tiles.starts, tiles.patch
    depth, height, width = (stop - start for start, stop in box)
    dtype = torch.float16 if half else torch.float32
    weights = gaussian(patch, device).to(dtype)
    total: Tensor | None = None
    weight = torch.zeros(1, patch[0], height, width, device=device, dtype=dtype)
    air: Tensor | None = None
    for number, first in enumerate(starts[0]):
        last = first + patch[0]
        block = rows(box[0][0] + first, box[0][0] + last)
        places: list[tuple[int, int]] = []
        air_places: list[tuple[int, int]] = []
        for row, column in product(starts[1], starts[2]):
            tile = block[:, :, row : row + patch[1], column : column + patch[2]]
            is_air = bool(tile[0].amax() <= floor + _AIR_TOLERANCE) and not tile[1:].any()
            (air_places if is_air else places).append((row, column))
        batches = [places[n : n + forward.batch] for n in range(0, len(places), forward.batch)]
        if air_places:
            batches.append(air_places)
        for batch in batches:
            if batch is air_places:
                if air is None:
                    row, column = batch[0]
                    tile = block[:, :, row : row + patch[1], column : column + patch[2]]
                    air = forward(tile[None])[0].to(device) * weights
                scored = [air] * len(batch)
            else:
                patches = torch.stack(
                    [block[:, :, r : r + patch[1], c : c + patch[2]] for r, c in batch]
                )
                scored = list(forward(patches).to(device) * weights)
            if total is None:
                size = (scored[0].shape[0], patch[0], height, width)
                total = torch.zeros(size, device=device, dtype=dtype)
            for (row, column), values in zip(batch, scored, strict=True):
                place = (slice(row, row + patch[1]), slice(column, column + patch[2]))
                total[:, :, *place] += values
                weight[:, :, *place] += weights
                if batch is air_places:
                    count.skipped += 1
                else:
                    count.computed += 1
                on_tile()
        done = (starts[0][number + 1] if number + 1 < len(starts[0]) else depth) - first
        assert total is not None  # every row of tiles has one
        for start in range(0, done, _ROWS_AT_ONCE):
            part = slice(start, min(start + _ROWS_AT_ONCE, done))
            parts = (total[:, part] / weight[:, part]).chunk(forward.parts)
            logits = parts[0].clone()
            for other in parts[1:]:
                logits += other
            yield (logits / len(parts)).float()
        for plane in (*total, *weight):
            plane[: patch[0] - done] = plane[done:].clone()
            plane[patch[0] - done :] = 0


def region_rows(
    logits: "Iterator[Tensor]",
    needs: Sequence[tuple[int, int]],
    way_back: "Callable[[int, Tensor], Tensor]",
) -> "Iterator[Tensor]":
    """Rows on the scan's grid, one after the other, as soon as what they are made of is there.

    Args:
        logits: Complete rows on the network's grid, in order.
        needs: For each row of the scan the first row of the network that it needs, and the stop.
        way_back: Makes a row of the scan of those.
    """
    import torch

    kept: Tensor | None = None
    start = 0
    for number, (first, stop) in enumerate(needs):
        while kept is None or start + kept.shape[1] < stop:
            new = next(logits)
            if kept is None:
                kept = new
                continue
            passed = min(max(0, first - start), kept.shape[1])
            kept, start = torch.cat([kept[:, passed:], new], 1), start + passed
        yield way_back(number, kept[:, first - start : stop - start])
