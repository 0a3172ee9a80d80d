"""What a model's ``dataset.json`` must say: channels and classes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from renalseg.errors import ModelError
from renalseg.models.documents import reason

_MOST_CHANNELS = 64
_MOST_CLASSES = 255
_IGNORE = "ignore"


class ModelDataset(BaseModel):
    """The data set that a model was trained on.

    Attributes:
        channel_names: By number, from ``"0"`` on.
        labels: Class names and voxel values; nnU-Net's ``ignore`` is no class.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    channel_names: dict[str, Any] = Field(min_length=1, max_length=_MOST_CHANNELS)
    labels: dict[str, int] = Field(min_length=2, max_length=_MOST_CLASSES)

    @model_validator(mode="before")
    @classmethod
    def _old_name(cls, content: dict[str, Any]) -> dict[str, Any]:
        if "channel_names" in content or "modality" not in content:
            return content
        return {**content, "channel_names": content["modality"]}

    @model_validator(mode="after")
    def _count(self) -> "ModelDataset":
        if set(self.channel_names) != {str(number) for number in range(len(self.channel_names))}:
            raise ValueError("channel_names must be numbered from 0 on")
        values = [value for name, value in self.labels.items() if name != _IGNORE]
        last = [value for name, value in self.labels.items() if name == _IGNORE]
        if sorted(values) + last != list(range(len(self.labels))):
            raise ValueError("labels must be whole numbers from 0 on, each once")
        if self.labels.get("background") != 0:
            raise ValueError("labels must have background as 0")
        return self

    @property
    def channels(self) -> int:
        """Images per scan."""
        return len(self.channel_names)

    @property
    def class_labels(self) -> dict[str, int]:
        """Names and values of the classes, background among them."""
        return {name: value for name, value in self.labels.items() if name != _IGNORE}

    @property
    def classes(self) -> int:
        """Classes, background among them."""
        return len(self.class_labels)


def read_dataset(content: Mapping[str, Any], path: Path | str = "dataset.json") -> ModelDataset:
    """Check the content of ``dataset.json``.

    Args:
        content: The file's.
        path: The file, named in errors.

    Raises:
        ModelError: If channels or labels are missing or not what they should be; labels that
            overlap (nnU-Net's regions) are refused too; ``supported`` does so with reasons.
    """
    try:
        return ModelDataset.model_validate(dict(content))
    except ValueError as error:
        raise ModelError(
            f"{path}: not the data set of a model of plain labels ({reason(error)}); copy the "
            "model again, or give another"
        ) from None
