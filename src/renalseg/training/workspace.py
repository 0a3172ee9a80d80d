"""Where a training keeps its files: nnU-Net's own three folders under one root."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from renalseg.models.plans import PLANS_NAME

TRAINER = "RenalTrainer"


@dataclass(frozen=True)
class Workspace:
    """One root; below it nnU-Net's raw, preprocessed and result folders.

    Every recipe has a result folder of its own, in which nnU-Net's layout is kept.
    """

    root: Path

    @property
    def raw(self) -> Path:
        """``nnUNet_raw``."""
        return self.root / "nnUNet_raw"

    @property
    def preprocessed(self) -> Path:
        """``nnUNet_preprocessed``."""
        return self.root / "nnUNet_preprocessed"

    def results(self, run: str) -> Path:
        """``nnUNet_results`` of one recipe."""
        return self.root / "nnUNet_results" / run

    def model(self, run: str, dataset: str, configuration: str) -> Path:
        """The nnU-Net model folder of one stage of one recipe."""
        return self.results(run) / dataset / f"{TRAINER}__{PLANS_NAME}__{configuration}"

    def images(self, dataset: str, configuration: str) -> Path:
        """The preprocessed images of one configuration."""
        return self.preprocessed / dataset / f"{PLANS_NAME}_{configuration}"

    def labels(self, dataset: str, configuration: str, variant: str) -> Path:
        """The preprocessed labels of one variant; the images are shared."""
        return self.preprocessed / dataset / "variants" / variant / configuration

    @contextmanager
    def environment(self, run: str = "none", *, on_gpu: bool = False) -> Iterator[None]:
        """Point nnU-Net's environment variables here while the block runs.

        Without a GPU the network is the bottleneck and every core belongs to it: batches are then
        made in the same process.
        """
        wanted = {
            "nnUNet_raw": str(self.raw),
            "nnUNet_preprocessed": str(self.preprocessed),
            "nnUNet_results": str(self.results(run)),
        }
        if not on_gpu:
            wanted["nnUNet_n_proc_DA"] = "0"
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
