"""The models of an ensemble in memory, and what they need of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from renalseg.inference.memory import (
    BASE_BYTES,
    fitting_regions,
    network_bytes,
    region_bytes,
    scan_bytes,
)
from renalseg.inference.network import How, Network
from renalseg.inference.profiles import Profile
from renalseg.inference.scan import Scan
from renalseg.models.ensemble import Ensemble
from renalseg.models.loading import load_stages

#: A network whose voxels are so many times as long as the finest finds where the kidneys are.
_COARSER = 1.3


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

    def with_longer_voxels(self, times: float) -> "LoadedMember":
        """The same networks, which see the scan at voxels so many times as long."""
        networks = tuple(
            replace(network, longer=network.longer * times) for network in self.networks
        )
        return replace(self, networks=networks)

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
