"""The arguments that plans may give to nnU-Net's resampling functions."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Resampling = Literal[
    "resample_data_or_seg_to_shape", "resample_torch_fornnunet", "no_resampling_hack"
]


class _Options(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    is_seg: bool = False
    force_separate_z: bool | None = None
    separate_z_anisotropy_threshold: float = Field(default=3, gt=0, allow_inf_nan=False)


class _Spline(_Options):
    order: int = Field(default=3, ge=0, le=5)
    order_z: int = Field(default=0, ge=0, le=5)


class _Torch(_Options):
    num_threads: int = Field(default=4, ge=1, le=64)
    memefficient_seg_resampling: bool = False
    mode: Literal["linear"] = "linear"
    aniso_axis_mode: Literal["nearest-exact"] = "nearest-exact"


class _Nothing(BaseModel):
    model_config = ConfigDict(extra="forbid")


_OPTIONS: dict[str, type[BaseModel]] = {
    "resample_data_or_seg_to_shape": _Spline,
    "resample_torch_fornnunet": _Torch,
    "no_resampling_hack": _Nothing,
}


def check_options(function: Resampling, options: dict[str, Any], *, of_labels: bool) -> None:
    """Refuse arguments that a resampling function does not take.

    Args:
        function: Its name in nnU-Net.
        options: Keyword arguments.
        of_labels: Whether it resamples label maps; an image resampled as one, value by value, would
            take days.

    Raises:
        ValueError: One is unknown or out of its bounds.
    """
    checked = _OPTIONS[function].model_validate(options)
    if getattr(checked, "is_seg", of_labels) is not of_labels:
        raise ValueError(f"is_seg of {function} must be {of_labels} here")
