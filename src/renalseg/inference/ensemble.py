"""An ensemble run on a scan in one pass.

All members go through the scan side by side, row of tiles by row of tiles. As soon as a row of the
scan is complete in each of them, their softmax scores are averaged and the most probable class is
taken; neither a member's scores nor their mean ever stand in memory as a whole.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import EllipsisType
from typing import TYPE_CHECKING

import numpy as np

from renalseg.inference.body import body_box
from renalseg.inference.grid import Box
from renalseg.inference.members import LoadedMember, find_finder, fixed_bytes, segmenting
from renalseg.inference.memory import fitting_regions
from renalseg.inference.network import Network
from renalseg.inference.profiles import Roi
from renalseg.inference.region import agreed, joined, kidney_region, largest_ml, widened
from renalseg.inference.scan import Scan
from renalseg.inference.sliding import Count
from renalseg.inference.uncertainty import entropy
from renalseg.types import AnyArray, LabelArray

if TYPE_CHECKING:
    from torch import Tensor

#: It need not be sure: such a chance of kidney or mass is enough for a closer look.
_SUSPECTED = 0.2
_WIDENINGS = 3
#: What is large is looked at again with voxels so many times as long.
_LONGER = 4 / 3


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
    large_ml: float | None = None,
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
        large_ml: A region with a larger finding is run once more with longer voxels, as a tile of
            the usual ones lies within such a finding and sees no edge of it. What the first run
            left empty is filled from the second.
        watch: Told of every tile.
        uncertainty: Whether to keep entropy and votes.
        memory_gb: A bound of the memory; boxes that need more are cut.

    Raises:
        ModelError: If no cut brings the memory below its bound.
    """
    counted = segmenting(members)
    finder = find_finder(members) if roi == "auto" else None
    search = _clipped(body_box(scan.volume), scan.crop) if finder else scan.crop
    firsts = {m.name: m.networks[0] for m in counted if len(m.networks) > 1}
    fixed = fixed_bytes(members, scan, len(sets))
    work = _Work(scan, sets, firsts, fixed, memory_gb, watch or Watch())
    suspected = np.zeros(scan.volume.shape, np.uint8)
    for network in dict.fromkeys([*firsts.values(), *([finder] if finder else [])]):
        work.label(network, search, suspected if network is finder else None)
    spacing_mm = scan.volume.spacing_mm
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    boxes: Sequence[Box] = [search]
    notes: list[str] = []
    if finder:
        kidneys = kidney_region(suspected, work.labels[finder], spacing_mm, search, margin_mm)
        boxes = joined(kidneys.boxes, lambda box: work.tiles(counted, box))
        notes += kidneys.notes
    found = _nothing(scan, sets, counted if uncertainty else ())
    must_agree = any(finder in member.networks for member in members if member.finds)

    def kept(labels: LabelArray, place: tuple[slice, ...] | EllipsisType) -> LabelArray:
        if not must_agree or finder is None:
            return labels[place]
        return agreed(labels[place], work.labels[finder][place], voxel_ml)

    done = []
    for first_box in boxes:
        box = first_box
        work.segment(counted, box, found)
        for _ in range(_WIDENINGS):
            wider = box
            for labels in found.labels.values():
                inside = kept(labels, _slices(wider))
                wider = widened(inside, wider, 2 * margin_mm, spacing_mm, search)
            if wider == box:
                break
            notes.append("a finding reached the border of its region, which was widened")
            box = wider
            work.segment(counted, box, found)
        done.append(box)
        findings = [kept(labels, _slices(box)) for labels in found.labels.values()]
        if large_ml is not None and any(largest_ml(f, voxel_ml) > large_ml for f in findings):
            notes.append(f"a finding of more than {large_ml:g} ml was looked at twice")
            work.fill([member.with_longer_voxels(_LONGER) for member in counted], box, found)
    found.labels = {name: kept(labels, ...) for name, labels in found.labels.items()}
    scan.forget()
    found.boxes, found.notes = tuple(done), tuple(dict.fromkeys(notes))
    return found


@dataclass
class _Work:
    """One scan on its way through the networks.

    Attributes:
        scan: The scan.
        sets: For each result its members' names.
        firsts: The first stages of cascades, by member.
        fixed: Bytes that are needed whatever part is computed.
        memory_gb: A bound of the memory.
        watch: Told of every tile.
        labels: What single networks found, on the scan's grid.
    """

    scan: Scan
    sets: Mapping[str, Sequence[str]]
    firsts: Mapping[str, Network]
    fixed: int
    memory_gb: float | None
    watch: Watch
    labels: dict[Network, LabelArray] = field(default_factory=dict)

    def tiles(self, members: Sequence[LoadedMember], box: Box) -> int:
        """How many tiles a box of the scan takes."""
        region = _within(box, self.scan.crop)
        return sum(member.networks[-1].tiles(self.scan, region).count for member in members)

    def label(self, network: Network, box: Box, suspected: LabelArray | None) -> None:
        """Keep the label map of one network alone, and say what may be foreground."""
        labels = self.labels[network] = np.zeros(self.scan.volume.shape, np.uint8)
        for region in self._regions([network], box):
            self.watch.total += network.tiles(self.scan, region).count
            place = _place(region, self.scan.crop)
            rows = network.probability_rows(
                self.scan, region, None, self.watch.count, self.watch.tile
            )
            for number, scores in enumerate(rows):
                labels[place][number] = _most_probable(scores)
                if suspected is not None:
                    suspected[place][number] = (scores[0] < 1 - _SUSPECTED).cpu().numpy()

    def segment(self, members: Sequence[LoadedMember], box: Box, found: Found) -> None:
        """Run all members over a box of the scan, side by side."""
        for region in self._regions([member.networks[-1] for member in members], box):
            self._segment_region(members, region, found)

    def fill(self, members: Sequence[LoadedMember], box: Box, found: Found) -> None:
        """Fill what is empty in a box of the scan with what these members find there."""
        other = _nothing(self.scan, self.sets, members if found.votes else ())
        self.segment(members, box, other)
        place = _slices(box)
        for maps, fillers in ((found.labels, other.labels), (found.votes, other.votes)):
            for name, labels in maps.items():
                labels[place] = np.where(labels[place] > 0, labels[place], fillers[name][place])

    def _regions(self, networks: Sequence[Network], box: Box) -> list[Box]:
        region = _within(box, self.scan.crop)
        return fitting_regions(networks, self.scan, region, self.fixed, self.memory_gb)

    def _segment_region(self, members: Sequence[LoadedMember], region: Box, found: Found) -> None:
        scan, watch = self.scan, self.watch
        watch.total += sum(member.networks[-1].tiles(scan, region).count for member in members)
        place = _place(region, scan.crop)
        streams = [
            member.networks[-1].probability_rows(
                scan,
                region,
                self.labels[self.firsts[member.name]] if member.name in self.firsts else None,
                watch.count,
                watch.tile,
            )
            for member in members
        ]
        names = [member.name for member in members]
        first = next(iter(self.sets))
        for number, scores in enumerate(zip(*streams, strict=True)):
            by_name = dict(zip(names, scores, strict=True))
            for result, chosen in self.sets.items():
                mean = _mean([by_name[name] for name in chosen])
                found.labels[result][place][number] = _most_probable(mean)
                if found.entropy is not None and result == first:
                    found.entropy[place][number] = entropy(mean).cpu().numpy()
            for name, votes in found.votes.items():
                votes[place][number] = _most_probable(by_name[name])


def _nothing(
    scan: Scan, sets: Mapping[str, Sequence[str]], voters: Sequence[LoadedMember]
) -> Found:
    """Empty results; with a map of entropy and votes where there are voters."""
    shape = scan.volume.shape
    return Found(
        labels={name: np.zeros(shape, np.uint8) for name in sets},
        boxes=(),
        notes=(),
        entropy=np.zeros(shape, np.float32) if voters else None,
        votes={member.name: np.zeros(shape, np.uint8) for member in voters},
    )


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


def _slices(box: Box) -> tuple[slice, ...]:
    return tuple(slice(*side) for side in box)


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
