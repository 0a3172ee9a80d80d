"""Networks built from nnU-Net v2's plans."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from renalseg.errors import ModelError
from renalseg.models.dataset import ModelDataset, read_dataset
from renalseg.models.documents import reason
from renalseg.models.layers import find_layer, find_network
from renalseg.models.settings import Configuration, read_settings

_LAYERS = ("conv_op", "norm_op", "dropout_op", "nonlin", "block")


def build_network(plans: Mapping[str, Any], dataset: Mapping[str, Any], configuration: str) -> Any:
    """Build the network of a configuration, with random weights.

    Args:
        plans: Content of ``plans.json``.
        dataset: Content of ``dataset.json``.
        configuration: One of the plans'.

    Returns:
        The module; it puts out logits at full resolution alone.

    Raises:
        ModelError: If the plans or the data set are not what they should be, or the plans name
            anything but nnU-Net's architectures and torch's layers.
    """
    described = read_dataset(dataset)
    _, settings = read_settings(plans, described, configuration)
    return make_network(settings, described)


def make_network(
    settings: Configuration, dataset: ModelDataset, path: Path | str = "plans.json"
) -> Any:
    """Build a network; with torch's meta device as the default it takes no memory.

    Args:
        settings: The configuration, checked.
        dataset: Channels and classes, checked.
        path: The plans file, named in errors.

    Raises:
        ModelError: If the plans name anything but nnU-Net's architectures and torch's layers, or
            give arguments that these do not take.
    """
    architecture, axes = settings.architecture, len(settings.patch_size)
    arguments = architecture.arch_kwargs.model_dump(exclude_unset=True)
    for role in _LAYERS:
        if role in arguments:
            arguments[role] = find_layer(role, arguments[role], axes, path)
    network = find_network(architecture.network_class_name, path)
    try:
        return network(
            input_channels=settings.inputs(dataset),
            num_classes=dataset.classes,
            **{**arguments, "deep_supervision": False},
        )
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise ModelError(
            f"{path}: nnU-Net makes no network of it ({reason(error)}); copy the model again"
        ) from None
