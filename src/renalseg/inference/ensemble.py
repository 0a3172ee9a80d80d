"""An ensemble run on a scan in one pass.

All members go through the scan side by side, row of tiles by row of tiles. As soon as a row of the
scan is complete in each of them, their softmax scores are averaged and the most probable class is
taken; neither a member's scores nor their mean ever stand in memory as a whole.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING

import numpy as np

from renalseg.inference.body import body_box
from renalseg.inference.grid import Box
from renalseg.inference.memory import (
    BASE_BYTES,
    fitting_regions,
    network_bytes,
    region_bytes,
    scan_bytes,
)
from renalseg.inference.network import How, Network
from renalseg.inference.profiles import Profile, Roi
from renalseg.inference.region import agreed, joined, kidney_region, widened
from renalseg.inference.scan import Scan
from renalseg.inference.sliding import Count
from renalseg.inference.uncertainty import entropy
from renalseg.models.ensemble import Ensemble
from renalseg.models.loading import load_stages
from renalseg.types import AnyArray, LabelArray

if TYPE_CHECKING:
    from torch import Tensor

#: A network whose voxels are so many times as long as the finest finds where the kidneys are.
_COARSER = 1.3
#: It need not be sure: such a chance of kidney or mass is enough for a closer look.
_SUSPECTED = 0.2
_WIDENINGS = 3


@dataclass(frozen=True)
class LoadedMember:
    """One model in memory: a single network, or the two stages of a cascade.

    Attributes:
        name: Its name.
        networks: One, or those of both stages.
        finds: Whether it only finds where the kidneys are.
    """

    name: str
    networks: tuple[Network, ...]
    finds: bool = False

    @classmethod
    def load(
        cls,
        name: str,
        stages: Sequence[Path],
        folds: Sequence[int],
        how: How | None = None,
        *,
        finds: bool = False,
    ) -> "LoadedMember":
        """Load the model folders of a member, first stage first.

        Raises:
            ModelError: If a file is missing or damaged, weights do not fit their plans, or the
                folders are not the stages of one model.
        """
        models = load_stages(stages, folds)
        networks = tuple(Network.of(model, folds, how or How()) for model in models)
        return cls(name, networks, finds)

    @property
    def files(self) -> list[Path]:
        """The files that it was loaded from."""
        return [path for network in self.networks for path in network.files]


def load_members(ensemble: Ensemble, how: How, profile: Profile) -> tuple[LoadedMember, ...]:
    """Load the members of an ensemble folder that a profile uses.

    Of a few it takes cascades first: their first stage runs in any case, to find the kidneys. Those
    that only find are not counted.
    """
    segmenting = [member for member in ensemble.manifest.members if not member.finds]
    segmenting.sort(key=lambda member: -len(member.stages))
    names = {member.name for member in segmenting[: profile.members]}
    return tuple(
        LoadedMember.load(
            member.name,
            [ensemble.folder / stage for stage in member.stages],
            member.folds[: profile.folds],
            how,
            finds=bool(member.finds),
        )
        for member in ensemble.manifest.members
        if member.finds or member.name in names
    )


def segmenting(members: Iterable[LoadedMember]) -> list[LoadedMember]:
    """The members whose scores count."""
    return [member for member in members if not member.finds]


@dataclass
class Watch:
    """Sees tiles go by.

    Attributes:
        on_tile: Called after every tile with done and all tiles; it may raise to stop the work.
        count: Tiles computed and skipped.
        total: Tiles that are known to be needed.
    """

    on_tile: Callable[[int, int], None] = lambda _done, _total: None
    count: Count = field(default_factory=Count)
    total: int = 0

    def tile(self) -> None:
        """A tile has been done."""
        self.on_tile(self.count.computed + self.count.skipped, self.total)


@dataclass
class Found:
    """What an ensemble found in a scan.

    Attributes:
        labels: A label map of each set, on the scan's grid.
        boxes: What of the scan was computed at full resolution.
        notes: What was unusual about the search for the kidneys.
        entropy: Of the first set's mean scores, 0 to 1, if it was asked for; 0 outside the boxes.
        votes: The label map of each member, if they were asked for.
    """

    labels: dict[str, LabelArray]
    boxes: tuple[Box, ...]
    notes: tuple[str, ...]
    entropy: AnyArray | None = None
    votes: dict[str, LabelArray] = field(default_factory=dict)


def run_ensemble(
    members: Sequence[LoadedMember],
    scan: Scan,
    sets: Mapping[str, Sequence[str]],
    *,
    roi: Roi = "off",
    margin_mm: float = 20.0,
    watch: Watch | None = None,
    uncertainty: bool = False,
    memory_gb: float | None = None,
) -> Found:
    """Segment a scan with several, possibly overlapping ensembles; every member runs once.

    Args:
        members: The models.
        scan: The scan.
        sets: For each result its members' names.
        roi: ``auto`` looks closely only where a network of low resolution finds kidneys, if there
            is one; ``off`` looks everywhere.
        margin_mm: How far around the kidneys ``auto`` looks.
        watch: Told of every tile.
        uncertainty: Whether to keep entropy and votes.
        memory_gb: A bound of the memory; boxes that need more are cut.

    Raises:
        ModelError: If no cut brings the memory below its bound.
    """
    watch = watch or Watch()
    counted = segmenting(members)
    finder = find_finder(members) if roi == "auto" else None
    search = _clipped(body_box(scan.volume), scan.crop) if finder else scan.crop
    previous = {}
    firsts = {m.name: m.networks[0] for m in counted if len(m.networks) > 1}
    fixed = fixed_bytes(members, scan, len(sets))
    suspected = np.zeros(scan.volume.shape, np.uint8)
    for network in dict.fromkeys([*firsts.values(), *([finder] if finder else [])]):
        previous[network] = np.zeros(scan.volume.shape, np.uint8)
        also = suspected if network is finder else None
        region = _within(search, scan.crop)
        for part in fitting_regions([network], scan, region, fixed, memory_gb):
            _label_region(network, scan, part, previous[network], also, watch)

    def tiles_of(box: Box) -> int:
        region = _within(box, scan.crop)
        return sum(member.networks[-1].tiles(scan, region).count for member in counted)

    spacing_mm = scan.volume.spacing_mm
    boxes, notes = [search], []
    if finder:
        kidneys = kidney_region(suspected, previous[finder], spacing_mm, search, margin_mm)
        boxes, notes = joined(kidneys.boxes, tiles_of), list(kidneys.notes)
    shape = scan.volume.shape
    found = Found({name: np.zeros(shape, np.uint8) for name in sets}, (), ())
    if uncertainty:
        found.entropy = np.zeros(shape, np.float32)
        found.votes = {member.name: np.zeros(shape, np.uint8) for member in counted}

    def run_box(box: Box) -> None:
        finest = [member.networks[-1] for member in counted]
        for part in fitting_regions(finest, scan, _within(box, scan.crop), fixed, memory_gb):
            _run_region(counted, scan, part, sets, previous, firsts, found, watch)

    must_agree = any(finder in member.networks for member in members if member.finds)

    def kept(labels: LabelArray, place: tuple[slice, ...] | EllipsisType) -> LabelArray:
        if not must_agree or finder is None:
            return labels[place]
        return agreed(labels[place], previous[finder][place], float(np.prod(spacing_mm)) / 1000)

    def run_until_inside(box: Box) -> Box:
        run_box(box)
        for _ in range(_WIDENINGS):
            wider = box
            for labels in found.labels.values():
                inside = kept(labels, tuple(slice(*side) for side in wider))
                wider = widened(inside, wider, 2 * margin_mm, spacing_mm, search)
            if wider == box:
                break
            notes.append("a finding reached the border of its region, which was widened")
            box = wider
            run_box(box)
        return box

    found.boxes = tuple(run_until_inside(box) for box in boxes)
    found.labels = {name: kept(labels, ...) for name, labels in found.labels.items()}
    scan.forget()
    found.notes = tuple(dict.fromkeys(notes))
    return found


def find_finder(members: Iterable[LoadedMember]) -> Network | None:
    """The network that finds the kidneys: the coarsest of several resolutions, or None."""
    alone = [n for member in members for n in member.networks if not n.is_second_stage]
    sizes = {network: float(np.prod(network.spacing_mm[-2:])) for network in alone}
    if not sizes:
        return None
    others = [float(np.prod(m.networks[-1].spacing_mm[-2:])) for m in segmenting(members)]
    coarsest = max(alone, key=sizes.__getitem__)
    return coarsest if sizes[coarsest] > _COARSER**2 * min(others) else None


def fixed_bytes(members: Sequence[LoadedMember], scan: Scan, results: int) -> int:
    """What is needed whatever part of the scan is computed."""
    networks = {network for member in members for network in member.networks}
    return BASE_BYTES + sum(map(network_bytes, networks)) + scan_bytes(scan, results)


def expected_gb(members: Sequence[LoadedMember], scan: Scan, memory_gb: float | None) -> float:
    """The most memory that a prediction of the scan takes, in 10^9 bytes.

    Raises:
        ModelError: If it cannot be brought below the bound.
    """
    fixed = fixed_bytes(members, scan, 1)
    finest = [member.networks[-1] for member in segmenting(members)]
    parts = fitting_regions(finest, scan, scan.whole, fixed, memory_gb)
    return max(fixed + sum(region_bytes(n, scan, part) for n in finest) for part in parts) / 1e9


def _label_region(
    network: Network,
    scan: Scan,
    region: Box,
    labels: LabelArray,
    suspected: LabelArray | None,
    watch: Watch,
) -> None:
    """Fill a region of a label map by one network alone, and of a map of what may be foreground."""
    watch.total += network.tiles(scan, region).count
    place = _place(region, scan.crop)
    rows = network.probability_rows(scan, region, None, watch.count, watch.tile)
    for number, scores in enumerate(rows):
        labels[place][number] = _most_probable(scores)
        if suspected is not None:
            suspected[place][number] = (scores[0] < 1 - _SUSPECTED).cpu().numpy()


def _run_region(
    members: Sequence[LoadedMember],
    scan: Scan,
    region: Box,
    sets: Mapping[str, Sequence[str]],
    previous: Mapping[Network, LabelArray],
    firsts: Mapping[str, Network],
    found: Found,
    watch: Watch,
) -> None:
    """Run all members over one region, side by side."""
    watch.total += sum(member.networks[-1].tiles(scan, region).count for member in members)
    place = _place(region, scan.crop)
    streams = [
        member.networks[-1].probability_rows(
            scan,
            region,
            previous[firsts[member.name]] if member.name in firsts else None,
            watch.count,
            watch.tile,
        )
        for member in members
    ]
    names = [member.name for member in members]
    first = next(iter(sets))
    for number, scores in enumerate(zip(*streams, strict=True)):
        by_name = dict(zip(names, scores, strict=True))
        for result, chosen in sets.items():
            mean = _mean([by_name[name] for name in chosen])
            found.labels[result][place][number] = _most_probable(mean)
            if found.entropy is not None and result == first:
                found.entropy[place][number] = entropy(mean).cpu().numpy()
        for name, votes in found.votes.items():
            votes[place][number] = _most_probable(by_name[name])


def _mean(scores: "Sequence[Tensor]") -> "Tensor":
    total = scores[0]
    for other in scores[1:]:
        total = total + other
    return total / len(scores)


def _most_probable(scores: "Tensor") -> LabelArray:
    """The most probable class per voxel; ties go to the lower label."""
    import torch

    best = scores[0]
    labels = torch.zeros(best.shape, dtype=torch.uint8, device=best.device)
    for label in range(1, len(scores)):  # many times as fast as argmax over a few classes
        labels.masked_fill_(scores[label] > best, label)
        best = torch.maximum(best, scores[label])
    array: LabelArray = labels.cpu().numpy()
    return array


def _clipped(box: Sequence[slice], crop: Box) -> Box:
    """A box within the crop; the crop where they do not meet."""
    first, second, third = (
        (max(side.start, low), min(side.stop, high))
        for side, (low, high) in zip(box, crop, strict=True)
    )
    meets = all(start < stop for start, stop in (first, second, third))
    return (first, second, third) if meets else crop


def _place(region: Box, crop: Box) -> tuple[slice, slice, slice]:
    """A region of the crop as a part of the scan."""
    first, second, third = (
        slice(start + low, stop + low) for (start, stop), (low, _) in zip(region, crop, strict=True)
    )
    return first, second, third


def _within(box: Box, crop: Box) -> Box:
    """A box of the scan counted from the crop's first voxel."""
    first, second, third = (
        (start - low, stop - low) for (start, stop), (low, _) in zip(box, crop, strict=True)
    )
    return first, second, third
