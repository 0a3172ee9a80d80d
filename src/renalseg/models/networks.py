"""Networks built from nnU-Net v2's plans."""

from collections.abc import Mapping
from typing import Any

from renalseg.errors import ModelError

_HARMLESS = ("dynamic_network_architectures.", "torch.nn.")


def build_network(plans: Mapping[str, Any], dataset: Mapping[str, Any], configuration: str) -> Any:
    """Build the network of a configuration, with random weights.

    Args:
        plans: Content of ``plans.json``.
        dataset: Content of ``dataset.json``.
        configuration: One of the plans'.

    Returns:
        The module; it puts out logits at full resolution alone.

    Raises:
        ModelError: If the plans name anything but nnU-Net's architectures and torch's layers:
            nnU-Net would import and call it.
    """
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(dict(plans))
    settings = manager.get_configuration(configuration)
    kwargs = settings.network_arch_init_kwargs
    imported = (kwargs.get(name) for name in settings.network_arch_init_kwargs_req_import)
    for name in (settings.network_arch_class_name, *imported):
        if name is not None and not str(name).startswith(_HARMLESS):
            raise ModelError(
                f"plans.json: its network would load {name}; expected one of nnU-Net's own "
                "architectures, do not use this model"
            )
    return get_network_from_plans(
        settings.network_arch_class_name,
        kwargs,
        settings.network_arch_init_kwargs_req_import,
        determine_num_input_channels(manager, settings, dict(dataset)),
        manager.get_label_manager(dict(dataset)).num_segmentation_heads,
        deep_supervision=False,
    )
