"""The paper's plan, and any other fixed plan, as a plain nnU-Net v2 plans file.

nnU-Net's arrays are SimpleITK's: for a scan stored I-P-L their axes are (column, row, slice). The
plans turn them, so that networks see (slice, row, column), and a 2D network axial slices. A plan is
written in that order too.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from renalseg.models.architecture import resampling_functions, unet_architecture
from renalseg.models.medians import median_of_axes, median_shape

Triple = tuple[float, float, float]
Shape = tuple[int, int, int]

PLANS_NAME = "nnUNetPlans"
#: Planner that plans converted from nnU-Net v1 name.
V1_PLANNER = "nnU-Net v1"
FULLRES = "3d_fullres"
LOWRES = "3d_lowres"
CASCADE = "3d_cascade_fullres"
PLANAR = "2d"

#: nnU-Net's presets with a residual encoder (Isensee et al. 2024, "nnU-Net Revisited").
Residual = Literal["resenc-m", "resenc-l", "resenc-xl"]
_RESIDUAL_BLOCKS = (1, 3, 4, 6, 6, 6, 6)


class Resolution(BaseModel):
    """One resolution that networks are trained at.

    Attributes:
        spacing_mm: Voxel size that scans are resampled to, nnU-Net's axis order.
        patch_size: Voxels of one training patch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spacing_mm: Triple
    patch_size: Shape


class Budget(BaseModel):
    """What a network trains on at a time, where that is not the plan's own.

    Attributes:
        patch_size: Voxels of one training patch: three sizes, or two for a 2D network.
        batch_size: Patches per iteration.
        features: Feature maps per stage; the plan's when absent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    patch_size: tuple[int, ...] = Field(min_length=2, max_length=3)
    batch_size: int = Field(ge=1)
    features: tuple[int, ...] | None = Field(default=None, min_length=3)


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
        budgets: Patches and batches of larger networks, and of a 2D one, at full resolution. Where
            one is absent, a residual network takes those of the plain one, and a 2D network its
            axial extent and six times its batch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fullres: Resolution
    lowres: Resolution
    batch_size: int = Field(default=2, ge=1)
    features: tuple[int, ...] = Field(min_length=3)
    convolutions: int = Field(default=2, ge=1)
    intensity: Intensity
    resampling: Literal["spline", "linear"] = "spline"
    budgets: Mapping[Residual | Literal["2d"], Budget] = {}

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


#: What nnU-Net v1 determined for KiTS21 (Golts et al. 2021, sections 2.1-2.3). The budgets are what
#: the planners of nnU-Net 2.8.1 choose at this voxel size for KiTS21's median scan.
PAPER_PLAN = Plan(
    fullres=Resolution(spacing_mm=(0.78, 0.78, 0.78), patch_size=(128, 128, 128)),
    lowres=Resolution(spacing_mm=(1.99, 1.99, 1.99), patch_size=(128, 128, 128)),
    batch_size=2,
    features=(32, 64, 128, 256, 320, 320),
    intensity=Intensity(clip_hu=(-62.0, 310.0), mean_hu=104.9, std_hu=75.3),
    budgets={
        "resenc-l": Budget(patch_size=(160, 224, 192), batch_size=2),
        "resenc-xl": Budget(
            patch_size=(192, 256, 256), batch_size=2, features=(32, 64, 128, 256, 320, 320, 320)
        ),
        "2d": Budget(
            patch_size=(512, 512),
            batch_size=12,
            features=(32, 64, 128, 256, 512, 512, 512, 512),
        ),
    },
)


def residual_configuration(network: str) -> str:
    """The nnU-Net configuration of a residual network."""
    return f"{FULLRES}_{network.replace('-', '_')}"


def preprocessed_as(configuration: str) -> str:
    """The configuration whose preprocessed files another one trains on."""
    return FULLRES if configuration.startswith((FULLRES, CASCADE)) else configuration


def nnunet_plans(
    plan: Plan, dataset: str, spacings_mm: list[Triple], shapes: list[Shape]
) -> dict[str, Any]:
    """Write a fixed plan as nnU-Net v2 writes its own.

    The median shapes are the cohort's (:mod:`renalseg.models.medians`).

    Args:
        plan: The plan.
        dataset: Name of the nnU-Net data set, e.g. ``Dataset021_KiTS``.
        spacings_mm: Voxel size of each training case: slice, row, column.
        shapes: Shape of each training case in the same order.

    Returns:
        The content of ``nnUNetPlans.json``.
    """

    def configuration(
        name: str,
        mm: tuple[float, ...],
        budget: Budget,
        blocks: tuple[int, ...] | None = None,
    ) -> dict[str, Any]:
        return {
            "data_identifier": f"{PLANS_NAME}_{preprocessed_as(name)}",
            "preprocessor_name": "DefaultPreprocessor",
            "batch_size": budget.batch_size,
            "patch_size": list(budget.patch_size),
            "median_image_size_in_voxels": median_shape(spacings_mm, shapes, mm),
            "spacing": list(mm),
            "normalization_schemes": ["CTNormalization"],
            "use_mask_for_norm": [False],
            "batch_dice": name != LOWRES,
            **resampling_functions(plan.resampling),
            "architecture": _architecture(plan, budget, blocks),
        }

    fullres, lowres = plan.fullres, plan.lowres
    plain = Budget(patch_size=fullres.patch_size, batch_size=plan.batch_size)
    coarse = Budget(patch_size=lowres.patch_size, batch_size=plan.batch_size)
    planar = plan.budgets.get("2d") or Budget(
        patch_size=fullres.patch_size[1:], batch_size=6 * plan.batch_size
    )
    residual = {
        residual_configuration(name): configuration(
            residual_configuration(name),
            fullres.spacing_mm,
            plan.budgets.get(name, plain),
            _RESIDUAL_BLOCKS,
        )
        for name in get_args(Residual)
    }
    turn = [2, 1, 0]  # from SimpleITK's (column, row, slice)
    return {
        "dataset_name": dataset,
        "plans_name": PLANS_NAME,
        "original_median_spacing_after_transp": median_of_axes(spacings_mm),
        "original_median_shape_after_transp": [round(n) for n in median_of_axes(shapes)],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": turn,
        "transpose_backward": turn,
        "configurations": {
            PLANAR: configuration(PLANAR, fullres.spacing_mm[1:], planar),
            LOWRES: {**configuration(LOWRES, lowres.spacing_mm, coarse), "next_stage": CASCADE},
            FULLRES: configuration(FULLRES, fullres.spacing_mm, plain),
            CASCADE: {"inherits_from": FULLRES, "previous_stage": LOWRES},
            **residual,
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


def _architecture(plan: Plan, budget: Budget, blocks: tuple[int, ...] | None) -> dict[str, Any]:
    """A network as nnU-Net's planner writes it; ``blocks`` per stage make it a residual one."""
    features = budget.features or plan.features
    stages, axes = len(features), len(budget.patch_size)
    return unet_architecture(
        features,
        kernel_sizes=[[3] * axes] * stages,
        strides=_strides(plan, budget.patch_size, stages),
        blocks=[plan.convolutions] * stages if blocks is None else blocks[:stages],
        decoder_convolutions=plan.convolutions if blocks is None else 1,
        residual=blocks is not None,
    )


def _strides(plan: Plan, patch_size: tuple[int, ...], stages: int) -> list[list[int]]:
    """Halve an axis as long as it keeps nnU-Net's least edge of 4, or the plan's own if smaller."""
    sizes = (*plan.fullres.patch_size, *plan.lowres.patch_size)
    edge = min(4, *(size // 2**plan.downsamplings for size in sizes))
    left, strides = list(patch_size), [[1] * len(patch_size)]
    for _ in range(stages - 1):
        strides.append([2 if n % 2 == 0 and n // 2 >= edge else 1 for n in left])
        left = [n // step for n, step in zip(left, strides[-1], strict=True)]
    return strides
