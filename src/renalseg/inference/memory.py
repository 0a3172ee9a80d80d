"""How much memory a prediction takes, worked out before it runs, and what to do if it is too much.

What grows with a scan is the rows of scores in the making: a patch's depth of them, over the whole
width and height of what is computed. Too large a region is cut in two along its width or height;
both halves take the tiles of the whole scan that reach into them, so a cut costs nothing but time.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from renalseg.errors import ModelError
from renalseg.inference.forward import first_features
from renalseg.inference.grid import Box
from renalseg.inference.scan import Scan

if TYPE_CHECKING:
    from renalseg.inference.network import Network

#: Python with torch and the other libraries.
BASE_BYTES = 950_000_000
#: Copies of a network's first feature maps that are alive at once, skips and concatenation among
#: them: measured on the paper's network.
_ALIVE = 8
_GB = 1e9


def network_bytes(network: "Network") -> int:
    """Weights, twice where a back-end keeps its own, and the activations of a batch of patches."""
    weights = sum(p.numel() for n in network.model.networks for p in n.parameters()) * 4
    voxels = int(np.prod(network.patch)) * network.forward.batch
    features = first_features(network.model.networks[0]) * network.forward.folds
    return 2 * weights + _ALIVE * features * voxels * 4


def region_bytes(network: "Network", scan: Scan, region: Box) -> int:
    """Rows of scores and of the image while a network runs over a region."""
    depth, height, width = (stop - start for start, stop in network.tiles(scan, region).box)
    plane, rows = height * width, min(depth, network.patch[0])
    scores = network.model.classes * network.forward.parts
    size = 2 if network.how.rounds else 4
    tile = int(np.prod(network.patch)) * scores * 4 * (network.forward.batch + 2)
    return (
        plane * rows * ((scores + 1) * size + network.model.inputs * 4 * 2)
        + (plane * 32 * network.model.classes * 4)
        + tile
    )


def scan_bytes(scan: Scan, results: int) -> int:
    """The scan, label maps of it, and numbered components of one (two copies of 32 bits)."""
    voxels = int(np.prod(scan.volume.shape))
    return scan.volume.array.nbytes + voxels * (results + 1 + 8)


def fitting_regions(
    networks: Sequence["Network"], scan: Scan, region: Box, fixed: int, limit_gb: float | None
) -> list[Box]:
    """Cut a region until its parts fit the memory.

    Args:
        networks: What runs over the region, side by side.
        scan: The scan.
        region: Counted from the crop's first voxel.
        fixed: Bytes that are needed whatever the region.
        limit_gb: The bound; None cuts nothing.

    Raises:
        ModelError: If no part is small enough.
    """
    pending, done = [region], []
    while pending:
        part = pending.pop()
        needed = fixed + sum(region_bytes(network, scan, part) for network in networks)
        if limit_gb is None or needed <= limit_gb * _GB:
            done.append(part)
            continue
        halves = _halves(part, scan.volume.spacing_mm)
        tiles = [network.tiles(scan, part) for network in networks]
        if halves is None or all(len(t.starts[1]) * len(t.starts[2]) == 1 for t in tiles):
            raise ModelError(
                f"--memory {limit_gb:g}: at least {needed / _GB:.1f} GB are needed for this scan "
                "and model; allow more, or use fewer members (--member, --profile fast)"
            )
        pending += halves
    return sorted(done)


def _halves(box: Box, spacing_mm: Sequence[float]) -> list[Box] | None:
    """Both halves along the longer of rows and columns."""
    lengths = [(stop - start) * mm for (start, stop), mm in zip(box, spacing_mm, strict=True)]
    axis = 1 if lengths[1] >= lengths[2] else 2
    start, stop = box[axis]
    if stop - start < 2:
        return None
    middle = (start + stop) // 2
    return [
        (box[0], (start, middle), box[2]) if axis == 1 else (box[0], box[1], (start, middle)),
        (box[0], (middle, stop), box[2]) if axis == 1 else (box[0], box[1], (middle, stop)),
    ]
