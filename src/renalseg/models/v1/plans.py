"""nnU-Net v1's ``plans.pkl`` as v2's ``plans.json``."""

from collections.abc import Mapping, Sequence
from typing import Any

from renalseg.errors import ModelError
from renalseg.models.architecture import resampling_functions, unet_architecture
from renalseg.models.plans import CASCADE, FULLRES, LOWRES, PLANAR, PLANS_NAME, V1_PLANNER

_SCHEMES = {
    "CT": "CTNormalization",
    "nonCT": "ZScoreNormalization",
    "noNorm": "NoNormalization",
}
_MOST_FEATURES = {3: 320, 2: 480}  # of Generic_UNet


def v2_plans(plans: Mapping[str, Any], configuration: str, dataset: str) -> dict[str, Any]:
    """Convert the plan of one v1 model.

    The network sees the same scans: axes, voxel size, patch, normalisation and resampling are kept.
    v2 normalises before it resamples, v1 after: intensities beyond the clip differ next to edges.

    Args:
        plans: Content of ``plans.pkl``.
        configuration: Which of v1's models it belongs to; v2 has the same names.
        dataset: v2's name of the data set, e.g. ``Dataset135_KiTS2021``.

    Raises:
        KeyError: If the plan lacks something.
        ModelError: If v2 has no counterpart.
    """
    stages = {int(number): stage for number, stage in plans["plans_per_stage"].items()}
    last = max(stages)
    if configuration == PLANAR:
        configurations = {PLANAR: _configuration(plans, stages[0], PLANAR)}
    elif configuration == LOWRES:
        lowres = _configuration(plans, stages[0], LOWRES)
        configurations = {LOWRES: lowres}
    else:
        configurations = {FULLRES: _configuration(plans, stages[last], FULLRES)}
        if configuration == CASCADE:
            lowres = _configuration(plans, stages[0], LOWRES)
            configurations[LOWRES] = {**lowres, "next_stage": CASCADE}
            configurations[CASCADE] = {"inherits_from": FULLRES, "previous_stage": LOWRES}
    spacing = _median(plans["original_spacings"])
    shape = _median(plans["original_sizes"])
    forward = [int(axis) for axis in plans["transpose_forward"]]
    return {
        "dataset_name": dataset,
        "plans_name": PLANS_NAME,
        "original_median_spacing_after_transp": [spacing[axis] for axis in forward],
        "original_median_shape_after_transp": [round(shape[axis]) for axis in forward],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": forward,
        "transpose_backward": [int(axis) for axis in plans["transpose_backward"]],
        "configurations": configurations,
        "experiment_planner_used": V1_PLANNER,
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": _intensities(plans),
    }


def _configuration(plans: Mapping[str, Any], stage: Mapping[str, Any], name: str) -> dict[str, Any]:
    axes = len(stage["patch_size"])
    pooling = [[int(n) for n in step] for step in stage["pool_op_kernel_sizes"]]
    features = [int(plans["base_num_features"])]
    for _ in pooling:
        features.append(min(2 * features[-1], _MOST_FEATURES[axes]))
    convolutions = int(plans.get("conv_per_stage", 2))
    spacing_mm = [float(mm) for mm in stage["current_spacing"]]
    return {
        "data_identifier": f"{PLANS_NAME}_{name}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": int(stage["batch_size"]),
        "patch_size": [int(n) for n in stage["patch_size"]],
        "median_image_size_in_voxels": [
            float(n) for n in stage["median_patient_size_in_voxels"][-axes:]
        ],
        "spacing": spacing_mm[-axes:],
        "normalization_schemes": [_scheme(s) for s in _in_order(plans["normalization_schemes"])],
        "use_mask_for_norm": [bool(mask) for mask in _in_order(plans["use_mask_for_norm"])],
        "batch_dice": name != LOWRES,
        **resampling_functions("spline"),
        "architecture": unet_architecture(
            features,
            kernel_sizes=_kernels([[int(n) for n in size] for size in stage["conv_kernel_sizes"]]),
            strides=[[1] * axes, *pooling],
            blocks=[convolutions] * len(features),
            decoder_convolutions=convolutions,
        ),
    }


def _kernels(v1: list[list[int]]) -> list[list[int]]:
    """Kernels that hold both v1's encoder and its decoder.

    In v1 a stage of the decoder has the kernel of the encoder's next coarser stage, in v2 that of
    the same one. Where they differ the smaller one is padded with zeros, which changes nothing.
    """
    coarser = [*v1[1:], v1[-1]]
    return [
        [max(pair) for pair in zip(*sizes, strict=True)] for sizes in zip(v1, coarser, strict=True)
    ]


def _scheme(name: str) -> str:
    if name not in _SCHEMES:
        raise ModelError(
            f"plans.pkl: nnU-Net v2 has no normalisation like v1's {name!r}; "
            f"expected one of {', '.join(_SCHEMES)}"
        )
    return _SCHEMES[name]


def _intensities(plans: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    properties = plans["dataset_properties"].get("intensityproperties") or {}
    names = {"mean": "mean", "median": "median", "std": "sd", "min": "mn", "max": "mx"}
    names |= {"percentile_00_5": "percentile_00_5", "percentile_99_5": "percentile_99_5"}
    return {
        str(channel): {new: float(values[old]) for new, old in names.items()}
        for channel, values in properties.items()
    }


def _in_order(channels: Mapping[Any, Any]) -> list[Any]:
    return [channels[key] for key in sorted(channels, key=int)]


def _median(rows: Sequence[Sequence[float]]) -> list[float]:
    import numpy as np

    return [float(n) for n in np.median(np.asarray(rows, dtype=float), axis=0)]
