"""What a plans file must say, and within which bounds, before a network is made of it."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from renalseg.errors import ModelError
from renalseg.models.dataset import ModelDataset
from renalseg.models.documents import reason, shown
from renalseg.models.plans_file import Plans, check_inheritance
from renalseg.models.resampling_options import Resampling, check_options
from renalseg.models.supported import INSTEAD
from renalseg.models.unet_settings import UNetSettings

Scheme = Literal[
    "CTNormalization",
    "ZScoreNormalization",
    "NoNormalization",
    "RescaleTo01Normalization",
    "RGBTo01Normalization",
]


class _Checked(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Architecture(_Checked):
    """A network by name, and its arguments."""

    network_class_name: str
    arch_kwargs: UNetSettings


class Configuration(_Checked):
    """One configuration, its inheritance resolved."""

    preprocessor_name: Literal["DefaultPreprocessor"]
    patch_size: list[Annotated[int, Field(ge=1, le=4096)]] = Field(min_length=2, max_length=3)
    spacing: list[Annotated[float, Field(ge=0.05, le=100, allow_inf_nan=False)]]
    normalization_schemes: list[Scheme]
    use_mask_for_norm: list[bool]
    resampling_fn_data: Resampling
    resampling_fn_data_kwargs: dict[str, Any]
    resampling_fn_seg: Resampling
    resampling_fn_seg_kwargs: dict[str, Any]
    resampling_fn_probabilities: Resampling
    resampling_fn_probabilities_kwargs: dict[str, Any]
    architecture: Architecture
    previous_stage: str | None = None

    @model_validator(mode="after")
    def _agree(self) -> "Configuration":
        if len(self.spacing) != len(self.patch_size):
            raise ValueError("spacing and patch_size must have the same axes")
        if len(self.use_mask_for_norm) != len(self.normalization_schemes):
            raise ValueError("use_mask_for_norm and normalization_schemes must have equal lengths")
        self.architecture.arch_kwargs.check_patch(self.patch_size)
        return self

    def inputs(self, dataset: ModelDataset) -> int:
        """Channels that its network takes; a second stage takes each class as one more."""
        return dataset.channels + (dataset.classes - 1 if self.previous_stage is not None else 0)


def read_settings(
    plans: Mapping[str, Any],
    dataset: ModelDataset,
    configuration: str,
    path: Path | str = "plans.json",
) -> tuple[Any, Configuration]:
    """Check plans and one of their configurations.

    Args:
        plans: Content of a plans file.
        dataset: What the model was trained on.
        configuration: The configuration's name.
        path: The file, named in errors.

    Returns:
        nnU-Net's ``PlansManager``, and the configuration.

    Raises:
        ModelError: If something that is relied on is missing, or is not what it should be.
    """
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    try:
        checked = Plans.model_validate(dict(plans))
        check_inheritance(checked.configurations, configuration)
        manager = PlansManager(dict(plans))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nnU-Net warns of plans that are older than its 2.4
            settings = manager.get_configuration(configuration).configuration
        found = Configuration.model_validate(settings)
        _check_resampling(found)
        _check_channels(found, checked, dataset)
    except ValueError as error:
        advice = INSTEAD if _is_unknown(error) else "copy the model again"
        raise ModelError(
            f"{path}: not a plan for {shown(repr(configuration))} ({reason(error)}); {advice}"
        ) from None
    return manager, found


def _is_unknown(error: ValueError) -> bool:
    """Whether a plan names something of nnU-Net's, or of its author's, that is not known here."""
    return isinstance(error, ValidationError) and error.errors()[0]["type"] == "literal_error"


def _check_resampling(settings: Configuration) -> None:
    for which in ("data", "seg", "probabilities"):
        function = getattr(settings, f"resampling_fn_{which}")
        options = getattr(settings, f"resampling_fn_{which}_kwargs")
        check_options(function, options, of_labels=which == "seg")


def _check_channels(settings: Configuration, plans: Plans, dataset: ModelDataset) -> None:
    schemes = settings.normalization_schemes
    if len(schemes) != dataset.channels:
        raise ValueError(
            f"expected {dataset.channels} normalization_schemes, as dataset.json has channels, got "
            f"{len(schemes)}"
        )
    for channel, scheme in enumerate(schemes):
        known = plans.foreground_intensity_properties_per_channel
        if scheme == "CTNormalization" and str(channel) not in known:
            raise ValueError(f"no foreground_intensity_properties of channel {channel}")
