"""The bounds of a U-Net that plans may ask for.

They lie far beyond any network for CT, and keep a damaged or hostile plan from taking all of a
machine's memory or time.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_MOST_STAGES = 12
#: Numbers in the largest feature map; nnU-Net's largest preset has a quarter of it.
_MOST_NUMBERS = 1 << 31

Finite = Annotated[float, Field(allow_inf_nan=False)]
PerAxis = Annotated[list[Annotated[int, Field(ge=1, le=15)]], Field(min_length=2, max_length=3)]
Counts = list[Annotated[int, Field(ge=1, le=64)]]
Features = list[Annotated[int, Field(ge=1, le=4096)]]
Options = dict[str, bool | int | Finite | str]


class UNetSettings(BaseModel):
    """The keyword arguments of nnU-Net's U-Nets, as plans write them."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    n_stages: int = Field(ge=2, le=_MOST_STAGES)
    features_per_stage: Features
    conv_op: str
    kernel_sizes: list[PerAxis]
    strides: list[PerAxis]
    n_conv_per_stage: Counts | None = None
    n_blocks_per_stage: Counts | None = None
    n_conv_per_stage_decoder: Counts
    conv_bias: bool = False
    norm_op: str | None = None
    norm_op_kwargs: Options | None = None
    dropout_op: str | None = None
    dropout_op_kwargs: Options | None = None
    nonlin: str | None = None
    nonlin_kwargs: Options | None = None
    nonlin_first: bool = False
    deep_supervision: bool = False
    block: str | None = None
    bottleneck_channels: Features | None = None
    stem_channels: int | None = Field(default=None, ge=1, le=4096)

    @model_validator(mode="after")
    def _agree(self) -> "UNetSettings":
        per_stage: dict[str, Sequence[object] | None] = {
            "features_per_stage": self.features_per_stage,
            "kernel_sizes": self.kernel_sizes,
            "strides": self.strides,
            "n_conv_per_stage": self.n_conv_per_stage,
            "n_blocks_per_stage": self.n_blocks_per_stage,
            "bottleneck_channels": self.bottleneck_channels,
            "n_conv_per_stage_decoder": [*self.n_conv_per_stage_decoder, None],  # one less
        }
        for name, values in per_stage.items():
            if values is not None and len(values) != self.n_stages:
                raise ValueError(f"{name} does not fit {self.n_stages} stages")
        if any(size % 2 == 0 for sizes in self.kernel_sizes for size in sizes):
            raise ValueError("kernel_sizes must be odd")
        if any(step != 1 for step in self.strides[0]):
            raise ValueError("the first stage must not have strides")
        return self

    def check_patch(self, patch_size: Sequence[int]) -> None:
        """Refuse a patch that does not fit.

        Raises:
            ValueError: It has other axes, is not divided by the strides, leaves one voxel at the
                coarsest stage, or its feature maps are larger than any machine's memory.
        """
        axes = len(patch_size)
        if any(len(sizes) != axes for sizes in (*self.kernel_sizes, *self.strides)):
            raise ValueError(f"kernel_sizes and strides must have {axes} axes as patch_size")
        left = list(patch_size)
        for features, steps in zip(self.features_per_stage, self.strides, strict=True):
            if any(size % step for size, step in zip(left, steps, strict=True)):
                raise ValueError(f"patch_size {list(patch_size)} is not divided by the strides")
            left = [size // step for size, step in zip(left, steps, strict=True)]
            if features * math.prod(left) > _MOST_NUMBERS:
                raise ValueError(
                    f"patch_size {list(patch_size)} makes feature maps of more than "
                    f"{_MOST_NUMBERS} numbers"
                )
        if math.prod(left) < 2:
            raise ValueError(f"patch_size {list(patch_size)} leaves one voxel at the last stage")


class OldUNetSettings(BaseModel):
    """What plans before nnU-Net 2.4 say of a network; nnU-Net turns it into the arguments above."""

    model_config = ConfigDict(strict=True, frozen=True)

    UNet_class_name: Literal["PlainConvUNet", "ResidualEncoderUNet"]
    UNet_base_num_features: int = Field(ge=1, le=4096)
    unet_max_num_features: int = Field(ge=1, le=4096)
    n_conv_per_stage_encoder: Counts = Field(max_length=_MOST_STAGES)
    n_conv_per_stage_decoder: Counts
    num_pool_per_axis: list[int]
    pool_op_kernel_sizes: list[PerAxis]
    conv_kernel_sizes: list[PerAxis]
    patch_size: list[int] = Field(min_length=2, max_length=3)
