"""Training on torsos that are made while a network trains: it meets each for a few patches."""

from dataclasses import replace
from typing import Any

import numpy as np
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetBaseDataset

from renalseg.cohort.phantom.torso import TorsoConfig, make_torso
from renalseg.labels import FOREGROUND
from renalseg.models.plans import Intensity
from renalseg.training.feed import Feed
from renalseg.types import AnyArray

#: So many torsos are at hand at a time, so that the patches of a batch show several patients.
POOL = 4
#: Numbers of torsos that are drawn from.
_MANY = 2**31 - 1


class TorsoDataset(nnUNetBaseDataset):  # type: ignore[misc]
    """nnU-Net's data set of torsos; the case that is asked for is drawn, whatever its name."""

    def __init__(
        self, config: TorsoConfig, feed: Feed, intensity: Intensity, *, changes: bool
    ) -> None:
        """Make nothing yet.

        Args:
            config: What torsos are to be.
            feed: How much of them.
            intensity: How HU become network input.
            changes: Whether torsos are replaced by new ones; the others are those numbered from 0.
        """
        super().__init__("", ["torso"])
        self.config, self._feed, self._intensity = config, feed, intensity
        self._changes = changes
        self._pool: list[tuple[Any, Any, Any, dict[str, Any]]] = []
        self._uses: list[int] = []

    def load_case(self, _: str) -> tuple[Any, Any, Any, dict[str, Any]]:
        """Give one of the torsos at hand: image, labels, nothing of a previous stage, locations."""
        place = int(np.random.randint(POOL))
        if place >= len(self._pool):
            place = len(self._pool)
            self._pool.append(self._make(place))
            self._uses.append(0)
        elif self._changes and self._uses[place] >= self._feed.uses:
            self._pool[place] = self._make(place)
            self._uses[place] = 0
        self._uses[place] += 1
        return self._pool[place]

    def forget(self) -> None:
        """Drop the torsos at hand, where they change."""
        if self._changes:
            self._pool, self._uses = [], []

    def _make(self, place: int) -> tuple[Any, Any, Any, dict[str, Any]]:
        number = int(np.random.randint(_MANY)) if self._changes else place
        slices = self._feed.shape[0]
        if self._feed.least_slices is not None:
            own = np.random.default_rng([self.config.seed, number])
            slices = int(own.integers(self._feed.least_slices, slices + 1))
        config = replace(self.config, shape=(slices, *self._feed.shape[1:]))
        torso = make_torso(config, number)
        labels = torso.labels[None].astype(np.int8)
        locations = DefaultPreprocessor._sample_foreground_locations(
            labels, [int(label) for label in FOREGROUND]
        )
        image = normalized(torso.image, self._intensity)[None]
        return image, labels, None, {"class_locations": locations}

    @staticmethod
    def save_case(*_: Any) -> None:
        """Torsos are made, not kept."""
        raise NotImplementedError

    @staticmethod
    def get_identifiers(_: str) -> list[str]:
        """One name stands for all."""
        return ["torso"]


class TorsoSource:
    """Gives a training torsos, and other ones to validate with."""

    needs_bending = False

    def __init__(self, config: TorsoConfig, feed: Feed, intensity: Intensity) -> None:
        """Take what torsos are to be, except for their shape and what is left out."""
        config = replace(config, shape=feed.shape, around=feed.around)
        config = replace(config, real_share=feed.real_share, leave_out=frozenset(feed.leave_out))
        self.training = TorsoDataset(config, feed, intensity, changes=True)
        others = replace(config, seed=config.seed + 1)
        self.validation = TorsoDataset(others, feed, intensity, changes=False)

    def datasets(self, _: Any) -> tuple[TorsoDataset, TorsoDataset]:
        """Both data sets; what compiles does so before loaders start processes of their own."""
        make_torso(replace(self.training.config, shape=(32, 32, 32)), 0)
        return self.training, self.validation

    def begin_epoch(self) -> None:
        """Start with no torso at hand."""
        self.training.forget()


def normalized(image: AnyArray, intensity: Intensity) -> AnyArray:
    """HU as network input: clipped, centred and scaled (nnU-Net's CTNormalization)."""
    low, high = intensity.clip_hu
    array = np.clip(image, low, high).astype(np.float32)
    array -= np.float32(intensity.mean_hu)
    array /= np.float32(intensity.std_hu)
    return array
