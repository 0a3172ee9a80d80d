"""The sliding window: tiles over a box, and their scores put together row by row.

Tiles lie as nnU-Net lays them, and are weighted by its Gaussian. They are worked through from the
first row on; rows that no later tile touches are complete and leave at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product, repeat
from typing import TYPE_CHECKING

from renalseg.inference.forward import MeanForward
from renalseg.inference.tiles import Tiles, gaussian

if TYPE_CHECKING:
    from torch import Tensor

#: An image this close to the floor of its normalisation is air; a spline is no closer to it.
_AIR_TOLERANCE = 1e-3
_ROWS_AT_ONCE = 16
_SLICES_IN_CACHE = 4

#: Of one tile, one by one the folds' or their mean: (class, row, ...) each.
Scores = tuple["Tensor", ...]


@dataclass
class Count:
    """Tiles that were computed and that were not, as they hold air alone."""

    computed: int = 0
    skipped: int = 0


def score_rows(
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
    """Scores over a box, complete rows in their order: (class, row, ...), float32.

    They are what the network's mean is: logits, or softmax scores.

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
    weights = gaussian(patch, device, single=forward.average == "softmax").to(dtype)
    as_float = weights.float()
    scorer = _Scorer(forward, patch, floor)
    totals: list[Tensor] = []
    weight = torch.zeros(1, patch[0], height, width, device=device, dtype=dtype)
    for number, first in enumerate(starts[0]):
        block = rows(box[0][0] + first, box[0][0] + first + patch[0])
        for (row, column), found, is_air in scorer(block, product(starts[1], starts[2])):
            if not totals:
                shape = (len(found[0]), *weight.shape[1:])
                totals = [torch.zeros(shape, device=device, dtype=dtype) for _ in found]
            place = (slice(row, row + patch[1]), slice(column, column + patch[2]))
            for total, scores in zip(totals, found, strict=True):
                _add_weighted(total[:, :, *place], scores.to(device), as_float)
            weight[:, :, *place] += weights
            count.computed += not is_air
            count.skipped += is_air
            on_tile()
        done = (starts[0][number + 1] if number + 1 < len(starts[0]) else depth) - first
        for start in range(0, done, _ROWS_AT_ONCE):
            part = slice(start, min(start + _ROWS_AT_ONCE, done))
            yield _mean([total[:, part] / weight[:, part] for total in totals])
        for plane in (plane for whole in (*totals, weight) for plane in whole):
            plane[: patch[0] - done] = plane[done:].clone()
            plane[patch[0] - done :] = 0


def _add_weighted(total: "Tensor", scores: "Tensor", weights: "Tensor") -> None:
    """``total += scores * weights``, computed in single precision and then rounded to the total's.

    On a CPU a few slices at a time, which stay in its cache: PyTorch's own sum of two types takes
    four times as long.
    """
    step = _SLICES_IN_CACHE if total.device.type == "cpu" else total.shape[1]
    for start in range(0, total.shape[1], step):
        part = slice(start, start + step)
        total[:, part] = (scores[:, part] * weights[part]).add_(total[:, part].float())


@dataclass
class _Scorer:
    """The folds' scores of a row of tiles; those of air alone are computed once."""

    forward: MeanForward
    patch: tuple[int, ...]
    floor: float
    air: "Scores | None" = None

    def __call__(
        self, block: "Tensor", corners: "Iterable[tuple[int, int]]"
    ) -> "Iterator[tuple[tuple[int, int], Scores, bool]]":
        """Corner, scores (class, row, ...), and whether it is air, of each tile: air last."""
        import torch

        tiles: dict[tuple[int, int], Tensor] = {}
        of_air: dict[tuple[int, int], Tensor] = {}
        for row, column in corners:
            tile = block[:, :, row : row + self.patch[1], column : column + self.patch[2]]
            is_air = bool(tile[0].amax() <= self.floor + _AIR_TOLERANCE) and not tile[1:].any()
            (of_air if is_air else tiles)[row, column] = tile
        places, patches = list(tiles), list(tiles.values())
        for n in range(0, len(places), self.forward.batch):
            batch = slice(n, n + self.forward.batch)
            found = zip(*self.forward(torch.stack(patches[batch])), strict=True)
            yield from zip(places[batch], found, repeat(False), strict=False)
        for corner, tile in of_air.items():
            if self.air is None:
                self.air = tuple(scores[0] for scores in self.forward(tile[None]))
            yield corner, self.air, True


def _mean(parts: "Sequence[Tensor]") -> "Tensor":
    """The mean of the folds, added up one after the other as nnU-Net does; float32."""
    total = parts[0].clone()
    for other in parts[1:]:
        total += other
    return (total / len(parts)).float()


def region_rows(
    scores: "Iterator[Tensor]",
    needs: Sequence[tuple[int, int]],
    way_back: "Callable[[int, Tensor], Tensor]",
) -> "Iterator[Tensor]":
    """Rows on the scan's grid, one after the other, as soon as what they are made of is there.

    Args:
        scores: Complete rows on the network's grid, in order.
        needs: For each row of the scan the first row of the network that it needs, and the stop.
        way_back: Makes a row of the scan of those.
    """
    import torch

    kept: Tensor | None = None
    start = 0
    for number, (first, stop) in enumerate(needs):
        while kept is None or start + kept.shape[1] < stop:
            new = next(scores)
            if kept is None:
                kept = new
                continue
            passed = min(max(0, first - start), kept.shape[1])
            kept, start = torch.cat([kept[:, passed:], new], 1), start + passed
        yield way_back(number, kept[:, first - start : stop - start])
