"""What a plans file says of all its configurations, and how these inherit from one another."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from renalseg.models.unet_settings import Finite, OldUNetSettings

_PER_CHANNEL = "foreground_intensity_properties_per_channel"
_PER_CHANNEL_OLD = "foreground_intensity_properties_by_modality"


class _Checked(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Intensities(_Checked):
    """The fingerprint of one channel."""

    mean: Finite
    std: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    percentile_00_5: Finite
    percentile_99_5: Finite

    @model_validator(mode="after")
    def _in_order(self) -> "Intensities":
        if self.percentile_00_5 >= self.percentile_99_5:
            raise ValueError("percentile_00_5 must be below percentile_99_5")
        return self


class Plans(_Checked):
    """A whole plans file."""

    transpose_forward: list[int]
    transpose_backward: list[int]
    label_manager: Literal["LabelManager"] = "LabelManager"
    configurations: dict[str, dict[str, Any]]
    foreground_intensity_properties_per_channel: dict[str, Intensities]

    @model_validator(mode="before")
    @classmethod
    def _old_name(cls, content: dict[str, Any]) -> dict[str, Any]:
        if _PER_CHANNEL in content or _PER_CHANNEL_OLD not in content:
            return content
        return {**content, _PER_CHANNEL: content[_PER_CHANNEL_OLD]}

    @model_validator(mode="after")
    def _permute(self) -> "Plans":
        there, back = self.transpose_forward, self.transpose_backward
        if sorted(there) != [0, 1, 2] or [there.index(axis) for axis in range(3)] != back:
            raise ValueError(
                "transpose_forward and transpose_backward must be orders of three axes that undo "
                "each other"
            )
        return self


def check_inheritance(configurations: Mapping[str, Mapping[str, Any]], name: str) -> None:
    """Refuse a configuration that inherits from none that there is, or from itself.

    Raises:
        ValueError: It does, or it describes no network.
    """
    way: list[str] = []
    own: dict[str, Any] = {}
    current: Any = name
    while current is not None:
        if not isinstance(current, str) or current not in configurations:
            known = ", ".join(configurations)
            raise ValueError(f"no configuration {current!r}; it has {known}")
        if current in way:
            raise ValueError(f"configuration {current!r} inherits from itself")
        way.append(current)
        own = {**configurations[current], **own}
        current = configurations[current].get("inherits_from")
    if "architecture" not in own:
        OldUNetSettings.model_validate(own)
