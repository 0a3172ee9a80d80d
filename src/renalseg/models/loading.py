"""A plain nnU-Net v2 model folder in memory, once everything in it is known to agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renalseg.errors import ModelError
from renalseg.models.dataset import ModelDataset, read_dataset
from renalseg.models.documents import read_object, shown
from renalseg.models.folds import Fold, read_fold
from renalseg.models.networks import make_network
from renalseg.models.settings import Configuration, read_settings
from renalseg.models.supported import check_supported

if TYPE_CHECKING:
    from torch import nn

PLANS = "plans.json"
DATASET = "dataset.json"
_PER_CHANNEL = "foreground_intensity_properties_per_channel"


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """The networks of one model folder.

    Attributes:
        folder: Where they came from.
        configuration: Its name in the plans.
        plans: Content of ``plans.json``, old names of its entries replaced by new ones.
        dataset: Content of ``dataset.json``, likewise.
        manager: nnU-Net's ``PlansManager``.
        settings: The configuration, checked.
        networks: One per fold, on the CPU, in evaluation mode.
        mirror_axes: Axes along which inference may mirror.
        inputs: Channels that a network takes: images, and of a second stage a mask of each class
            that the first stage found.
        channels: Images per scan.
        classes: Classes that it puts out, background among them.
    """

    folder: Path
    configuration: str
    plans: dict[str, Any]
    dataset: dict[str, Any]
    manager: Any
    settings: Configuration
    networks: "tuple[nn.Module, ...]"
    mirror_axes: tuple[int, ...]
    inputs: int
    channels: int
    classes: int

    @property
    def is_second_stage(self) -> bool:
        """Whether it needs the label map of a previous stage."""
        return self.settings.previous_stage is not None


def load_networks(folder: Path, folds: Sequence[int | str]) -> LoadedModel:
    """Load folds of a model folder without running any code that it may carry.

    Args:
        folder: A plain nnU-Net v2 model folder.
        folds: Numbers of its folds, or ``"all"``.

    Raises:
        ModelError: If a file is missing or damaged, asks for what no model needs, or files do not
            agree with one another.
    """
    if not folds:
        raise ModelError(f"{folder}: expected at least one fold, got none; name one")
    plans, dataset = read_object(folder / PLANS), read_object(folder / DATASET)
    check_supported(plans, dataset, folder)
    described = read_dataset(dataset, folder / DATASET)
    read = [read_fold(folder, fold) for fold in folds]
    first = read[0]
    manager, settings = read_settings(plans, described, first.configuration, folder / PLANS)
    for fold in read:
        _check_fold(fold, first, len(settings.patch_size))
    return LoadedModel(
        folder=folder,
        configuration=first.configuration,
        plans=plans | {_PER_CHANNEL: manager.foreground_intensity_properties_per_channel},
        dataset=dataset | {"channel_names": described.channel_names},
        manager=manager,
        settings=settings,
        networks=tuple(_network(settings, described, fold, folder / PLANS) for fold in read),
        mirror_axes=first.mirror_axes,
        inputs=settings.inputs(described),
        channels=described.channels,
        classes=described.classes,
    )


def _check_fold(fold: Fold, first: Fold, axes: int) -> None:
    if fold.configuration != first.configuration or fold.mirror_axes != first.mirror_axes:
        raise ModelError(
            f"{fold.path}: expected {first.configuration} mirrored along {first.mirror_axes} as "
            f"{first.path}, got {shown(fold.configuration)} along {fold.mirror_axes}; copy the "
            "model again"
        )
    if any(axis >= axes for axis in fold.mirror_axes):
        raise ModelError(
            f"{fold.path}: expected mirror axes below {axes}, got {fold.mirror_axes}; copy it again"
        )


def _network(settings: Configuration, dataset: ModelDataset, fold: Fold, plans: Path) -> Any:
    import torch

    from renalseg.models.weights import fill

    with torch.device("meta"):
        network = make_network(settings, dataset, plans)
    fill(network, fold.weights, fold.path)
    return network.eval()


def load_stages(folders: Sequence[Path], folds: Sequence[int | str]) -> tuple[LoadedModel, ...]:
    """Load a single-stage model, or the two stages of a cascade.

    Args:
        folders: Model folders, first stage first.
        folds: As for :func:`load_networks`.

    Raises:
        ModelError: As for :func:`load_networks`, and if a folder is not the stage that its place
            says, or stages have other classes than one another.
    """
    stages = tuple(load_networks(folder, folds) for folder in folders)
    for number, stage in enumerate(stages, 1):
        if stage.is_second_stage and number == 1:
            raise ModelError(
                f"{stage.folder}: second stage of a cascade; give the ensemble with both stages"
            )
        if not stage.is_second_stage and number > 1:
            raise ModelError(
                f"{stage.folder}: expected the second stage of a cascade, got {stage.configuration}"
                ", which stands alone; list it as a model of its own"
            )
        if (stage.classes, stage.channels) != (stages[0].classes, stages[0].channels):
            raise ModelError(
                f"{stage.folder}: expected {stages[0].classes} classes of {stages[0].channels} "
                f"channels as its first stage, got {stage.classes} of {stage.channels}"
            )
    return stages
