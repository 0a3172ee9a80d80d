"""The parts of a plans file that nnU-Net v2 looks up in its own code: networks and resampling."""

from collections.abc import Sequence
from typing import Any, Literal

#: nnU-Net's resampling by torch.
LINEAR = "resample_torch_fornnunet"


def unet_architecture(
    features: Sequence[int],
    *,
    kernel_sizes: Sequence[Sequence[int]],
    strides: Sequence[Sequence[int]],
    blocks: Sequence[int],
    decoder_convolutions: int,
    residual: bool = False,
) -> dict[str, Any]:
    """A U-Net as nnU-Net's planner writes it.

    Args:
        features: Feature maps per stage.
        kernel_sizes: Of each stage, per axis.
        strides: Of each stage's first convolution, per axis.
        blocks: Convolutions of each stage of the encoder, or residual blocks.
        decoder_convolutions: Of each stage of the decoder.
        residual: Whether the encoder is residual.
    """
    stages, axes = len(features), len(kernel_sizes[0])
    network = "ResidualEncoderUNet" if residual else "PlainConvUNet"
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{network}",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(features),
            "conv_op": f"torch.nn.modules.conv.Conv{axes}d",
            "kernel_sizes": [list(size) for size in kernel_sizes],
            "strides": [list(steps) for steps in strides],
            "n_blocks_per_stage" if residual else "n_conv_per_stage": list(blocks),
            "n_conv_per_stage_decoder": [decoder_convolutions] * (stages - 1),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{axes}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def resampling_functions(kind: Literal["spline", "linear"]) -> dict[str, Any]:
    """nnU-Net's names of the functions that bring images, labels and scores to another grid."""
    if kind == "linear":
        function = LINEAR
        common: dict[str, Any] = {"force_separate_z": False, "memefficient_seg_resampling": False}
        image, linear = {**common, "is_seg": False}, {**common, "is_seg": False}
    else:
        function = "resample_data_or_seg_to_shape"
        common = {"order_z": 0, "force_separate_z": None}
        image = {**common, "is_seg": False, "order": 3}
        linear = {**common, "is_seg": False, "order": 1}
    return {
        "resampling_fn_data": function,
        "resampling_fn_data_kwargs": image,
        "resampling_fn_seg": function,
        "resampling_fn_seg_kwargs": {**linear, "is_seg": True},
        "resampling_fn_probabilities": function,
        "resampling_fn_probabilities_kwargs": linear,
    }
