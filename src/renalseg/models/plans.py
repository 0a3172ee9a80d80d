"""The paper's plan, and any other fixed plan, as a plain nnU-Net v2 plans file.

nnU-Net's arrays are SimpleITK's: for a scan stored I-P-L their axes are (column, row, slice).
A plan here is written in the same order.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Triple = tuple[float, float, float]
Shape = tuple[int, int, int]

PLANS_NAME = "nnUNetPlans"
LINEAR = "resample_torch_fornnunet"
FULLRES = "3d_fullres"
LOWRES = "3d_lowres"
CASCADE = "3d_cascade_fullres"


class Resolution(BaseModel):
    """One resolution that networks are trained at.

    Attributes:
        spacing_mm: Voxel size that scans are resampled to, nnU-Net's axis order.
        patch_size: Voxels of one training patch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spacing_mm: Triple
    patch_size: Shape


class Intensity(BaseModel):
    """How HU become network input: clip, subtract the mean, divide by the standard deviation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clip_hu: tuple[float, float]
    mean_hu: float
    std_hu: float = Field(gt=0)


class Plan(BaseModel):
    """What nnU-Net's planner would otherwise choose.

    Attributes:
        fullres: Resolution of single-stage networks and of the second stage of a cascade.
        lowres: Resolution of the first stage of a cascade.
        batch_size: Patches per iteration.
        features: Feature maps per stage; one down-sampling by two lies between two stages.
        convolutions: Convolutions per stage, in the encoder and the decoder.
        intensity: Normalisation.
        resampling: ``spline`` is nnU-Net's default (third order for images); ``linear`` its torch
            version, many times faster.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fullres: Resolution
    lowres: Resolution
    batch_size: int = Field(default=2, ge=1)
    features: tuple[int, ...] = Field(min_length=3)
    convolutions: int = Field(default=2, ge=1)
    intensity: Intensity
    resampling: Literal["spline", "linear"] = "spline"

    @property
    def downsamplings(self) -> int:
        """How often the encoder halves the resolution."""
        return len(self.features) - 1

    @model_validator(mode="after")
    def _patches_divide(self) -> "Plan":
        factor = 2**self.downsamplings
        for resolution in (self.fullres, self.lowres):
            if any(size % factor for size in resolution.patch_size):
                raise ValueError(
                    f"patch size {resolution.patch_size} must be divisible by {factor}, "
                    f"as {len(self.features)} stages halve it {self.downsamplings} times"
                )
        return self


#: What nnU-Net v1 determined for KiTS21 (Golts et al. 2021, sections 2.1-2.3).
PAPER_PLAN = Plan(
    fullres=Resolution(spacing_mm=(0.78, 0.78, 0.78), patch_size=(128, 128, 128)),
    lowres=Resolution(spacing_mm=(1.99, 1.99, 1.99), patch_size=(128, 128, 128)),
    batch_size=2,
    features=(32, 64, 128, 256, 320, 320),
    intensity=Intensity(clip_hu=(-62.0, 310.0), mean_hu=104.9, std_hu=75.3),
)


def nnunet_plans(
    plan: Plan, dataset: str, spacings_mm: list[Triple], shapes: list[Shape]
) -> dict[str, Any]:
    """Write a fixed plan as nnU-Net v2 writes its own.

    Args:
        plan: The plan.
        dataset: Name of the nnU-Net data set, e.g. ``Dataset021_KiTS``.
        spacings_mm: Voxel size of each training case, nnU-Net's axis order.
        shapes: Shape of each training case, nnU-Net's axis order.

    Returns:
        The content of ``nnUNetPlans.json``.
    """
    spacing = [_median([s[axis] for s in spacings_mm]) for axis in range(3)]
    shape = [round(_median([float(s[axis]) for s in shapes])) for axis in range(3)]
    lowres = _configuration(plan, LOWRES, plan.lowres, spacing, shape)
    fullres = _configuration(plan, FULLRES, plan.fullres, spacing, shape)
    return {
        "dataset_name": dataset,
        "plans_name": PLANS_NAME,
        "original_median_spacing_after_transp": spacing,
        "original_median_shape_after_transp": shape,
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {
            LOWRES: {**lowres, "batch_dice": False, "next_stage": CASCADE},
            FULLRES: {**fullres, "batch_dice": True},
            CASCADE: {"inherits_from": FULLRES, "previous_stage": LOWRES},
        },
        "experiment_planner_used": "renalseg",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": intensity_properties(plan.intensity),
    }


def intensity_properties(intensity: Intensity) -> dict[str, dict[str, float]]:
    """Write a normalisation as nnU-Net's fingerprint of channel 0."""
    low, high = intensity.clip_hu
    return {
        "0": {
            "mean": intensity.mean_hu,
            "median": intensity.mean_hu,
            "std": intensity.std_hu,
            "min": low,
            "max": high,
            "percentile_00_5": low,
            "percentile_99_5": high,
        }
    }


def read_plan(plans: Mapping[str, Any]) -> Plan:
    """Read back the settings that matter from any nnU-Net v2 plans file.

    Raises:
        KeyError: If the plans lack a 3D configuration.
    """
    configurations = plans["configurations"]
    fullres = configurations[FULLRES]
    lowres = configurations.get(LOWRES, fullres)
    network = fullres["architecture"]["arch_kwargs"]
    channel = plans["foreground_intensity_properties_per_channel"]["0"]
    return Plan(
        fullres=Resolution(spacing_mm=fullres["spacing"], patch_size=fullres["patch_size"]),
        lowres=Resolution(spacing_mm=lowres["spacing"], patch_size=lowres["patch_size"]),
        batch_size=fullres["batch_size"],
        features=network["features_per_stage"],
        convolutions=network["n_conv_per_stage"][0],
        intensity=Intensity(
            clip_hu=(channel["percentile_00_5"], channel["percentile_99_5"]),
            mean_hu=channel["mean"],
            std_hu=channel["std"],
        ),
        resampling="linear" if fullres["resampling_fn_data"] == LINEAR else "spline",
    )


def _configuration(
    plan: Plan, name: str, resolution: Resolution, spacing: list[float], shape: list[int]
) -> dict[str, Any]:
    stages = len(plan.features)
    return {
        "data_identifier": f"{PLANS_NAME}_{name}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": plan.batch_size,
        "patch_size": list(resolution.patch_size),
        "median_image_size_in_voxels": [
            float(round(n * old / new))
            for n, old, new in zip(shape, spacing, resolution.spacing_mm, strict=True)
        ],
        "spacing": list(resolution.spacing_mm),
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        **_resampling(plan),
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": stages,
                "features_per_stage": list(plan.features),
                "conv_op": "torch.nn.modules.conv.Conv3d",
                "kernel_sizes": [[3, 3, 3]] * stages,
                "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
                "n_conv_per_stage": [plan.convolutions] * stages,
                "n_conv_per_stage_decoder": [plan.convolutions] * (stages - 1),
                "conv_bias": True,
                "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }


def _resampling(plan: Plan) -> dict[str, Any]:
    """nnU-Net's names of the functions that bring images, labels and scores to another grid."""
    if plan.resampling == "linear":
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


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
