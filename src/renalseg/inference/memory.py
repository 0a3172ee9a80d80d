"""How much memory a prediction takes, worked out before it runs, and what to do if it is too much.

What grows with a scan is the rows of scores in the making: a patch's depth of them, over the whole
width and height of what is computed. Too large a box is cut in two along its width or height; each
half looks beyond the cut, so that both agree there.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from renalseg.errors import ModelError
from renalseg.inference.grid import Box
from renalseg.inference.scan import Scan

if TYPE_CHECKING:
    from renalseg.inference.network import Network

#: Python with torch and the other libraries.
BASE_BYTES = 700_000_000
#: Copies of a network's first feature maps that are alive at once, skips and concatenation among
#: them: measured on the paper's network.
_ALIVE = 8
_GB = 1e9


def network_bytes(network: "Network") -> int:
    """Weights, twice where a back-end keeps its own, and the activations of a batch of patches."""
    weights = sum(p.numel() for n in network.model.networks for p in n.parameters()) * 4
    voxels = int(np.prod(network.patch)) * network.forward.batch
    features = next(p for p in network.model.networks[0].parameters() if p.ndim > 2).shape[0]
    return 2 * weights + _ALIVE * features * voxels * 4


def box_bytes(network: "Network", scan: Scan, around: Box) -> int:
    """Rows of scores and of the image while a network runs over a box."""
    depth, height, width = (
        stop - start for start, stop in network.grid(scan).box_for(around, network.patch)
    )
    plane, rows = height * width, min(depth, network.patch[0])
    scores = network.model.classes * network.forward.parts
    size = 2 if network.how.like_nnunet else 4
    tile = int(np.prod(network.patch)) * scores * 4 * (network.forward.batch + 2)
    return (
        plane * rows * ((scores + 1) * size + network.model.inputs * 4 * 2)
        + (plane * 32 * network.model.classes * 4)
        + tile
    )


def scan_bytes(scan: Scan, results: int) -> int:
    """The scan, label maps of it, and what reading and writing needs."""
    voxels = int(np.prod(scan.volume.shape))
    return scan.volume.array.nbytes + voxels * (results + 1)


def fitting_boxes(
    networks: Sequence["Network"],
    scan: Scan,
    box: Box,
    within: Box,
    fixed: int,
    limit_gb: float | None,
) -> list[tuple[Box, Box]]:
    """Cut a box until its parts fit the memory.

    Args:
        networks: What runs over the box, side by side.
        scan: The scan.
        box: What is to be filled, counted from the crop's first voxel.
        within: What may be looked at.
        fixed: Bytes that are needed whatever the box.
        limit_gb: The bound; None cuts nothing.

    Returns:
        For each part the box that it fills, and the larger one that it looks at.

    Raises:
        ModelError: If no part is small enough.
    """
    pending, done = [box], []
    while pending:
        part = pending.pop()
        around = _with_context(networks, scan, part, within)
        needed = fixed + sum(box_bytes(network, scan, around) for network in networks)
        if limit_gb is None or needed <= limit_gb * _GB:
            done.append((part, around))
            continue
        halves = _halves(part, scan.volume.spacing_mm)
        smallest = all(
            tuple(stop - start for start, stop in n.grid(scan).box_for(around, n.patch)[1:])
            == n.patch[1:]
            for n in networks
        )
        if halves is None or smallest:
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


def _with_context(networks: Sequence["Network"], scan: Scan, part: Box, within: Box) -> Box:
    """A part and a quarter of the largest patch around it, as far as another box allows.

    So no voxel of the part is seen by the rims of tiles alone.
    """
    sides = []
    for axis, ((start, stop), (low, high)) in enumerate(zip(part, within, strict=True)):
        mm = max(n.grid(scan).spacing_mm[axis] * n.patch[axis] / 4 for n in networks)
        voxels = int(np.ceil(mm / scan.volume.spacing_mm[axis]))
        sides.append((max(low, start - voxels), min(high, stop + voxels)))
    first, second, third = sides
    return first, second, third
