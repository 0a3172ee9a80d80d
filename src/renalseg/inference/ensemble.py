"""An ensemble run on a scan: the members' softmax scores are averaged on the scan's grid."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from renalseg.inference.network import Network
from renalseg.inference.scan import Scan
from renalseg.models.ensemble import Ensemble
from renalseg.types import AnyArray, LabelArray


@dataclass(frozen=True)
class LoadedMember:
    """One model in memory: a single network, or the two stages of a cascade."""

    name: str
    networks: tuple[Network, ...]

    @classmethod
    def load(
        cls, name: str, stages: Sequence[Path], folds: Sequence[int], device: str = "cpu"
    ) -> "LoadedMember":
        """Load the model folders of a member, first stage first."""
        networks = tuple(Network.load(folder, tuple(folds), device) for folder in stages)
        return cls(name, networks)

    def probabilities(self, scan: Scan) -> AnyArray:
        """Softmax scores on the scan's grid, (class, slice, row, column)."""
        scores = self.networks[0].probabilities(scan)
        for network in self.networks[1:]:
            scores = network.probabilities(scan, to_labels(scores))
        return scores


def load_members(ensemble: Ensemble, device: str = "cpu") -> tuple[LoadedMember, ...]:
    """Load all members of an ensemble folder."""
    return tuple(
        LoadedMember.load(
            member.name, [ensemble.folder / stage for stage in member.stages], member.folds, device
        )
        for member in ensemble.manifest.members
    )


def combine(members: Iterable[LoadedMember], scan: Scan) -> AnyArray:
    """Mean softmax scores of several models, (class, slice, row, column)."""
    total, count = None, 0
    for member in members:
        scores = member.probabilities(scan)
        total = scores if total is None else np.add(total, scores, out=total)
        count += 1
    if total is None:
        raise ValueError("an ensemble needs at least one member")
    return total / np.float32(count)


def predict_sets(
    members: Mapping[str, LoadedMember], sets: Mapping[str, Sequence[str]], scan: Scan
) -> dict[str, LabelArray]:
    """Label maps of several, possibly overlapping ensembles; every member runs once.

    Args:
        members: The models by name.
        sets: For each result its members' names.
        scan: The scan.

    Returns:
        For each set a label map, uint8, canonical.
    """
    totals: dict[str, AnyArray] = {}
    results: dict[str, LabelArray] = {}
    needed = dict.fromkeys(name for names in sets.values() for name in names)
    for member in needed:
        scores = members[member].probabilities(scan)
        for result, names in sets.items():
            if member not in names:
                continue
            if len(names) == 1:
                results[result] = to_labels(scores)
            elif result in totals:
                totals[result] += scores
            else:
                totals[result] = scores.copy()
    return results | {name: to_labels(total) for name, total in totals.items()}


def to_labels(scores: AnyArray) -> LabelArray:
    """The most probable class per voxel; ties go to the lower label."""
    labels: LabelArray = scores.argmax(0).astype(np.uint8)
    return labels
