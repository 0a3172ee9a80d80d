import json

import nibabel
import numpy as np
import pytest
from pydantic import ValidationError

from models import TINY_PLAN
from renalseg.models.medians import with_medians
from renalseg.models.plans import (
    CASCADE,
    FULLRES,
    LOWRES,
    PAPER_PLAN,
    PLANAR,
    Plan,
    nnunet_plans,
    residual_configuration,
)
from renalseg.training.preprocess import make_plans


def paper_plans():
    return nnunet_plans(PAPER_PLAN, "Dataset021_KiTS", [(3.0, 0.78, 0.78)], [(109, 512, 512)])


def test_paper_plan_is_the_papers():
    """Golts et al. 2021, sections 2.1 and 2.3."""
    assert PAPER_PLAN.fullres.spacing_mm == (0.78, 0.78, 0.78)
    assert PAPER_PLAN.lowres.spacing_mm == (1.99, 1.99, 1.99)
    assert PAPER_PLAN.fullres.patch_size == PAPER_PLAN.lowres.patch_size == (128, 128, 128)
    assert PAPER_PLAN.batch_size == 2
    assert PAPER_PLAN.downsamplings == 5
    assert PAPER_PLAN.intensity.clip_hu == (-62, 310)
    assert (PAPER_PLAN.intensity.mean_hu, PAPER_PLAN.intensity.std_hu) == (104.9, 75.3)


#: Three scans whose medians are those of the paper's cohort (sections 2.3, 2.3.1 and 2.3.2).
SPACINGS_MM = [(1.0, 0.7, 0.9), (3.0, 0.78, 0.78), (5.0, 0.9, 0.7)]
SHAPES = [(412, 512, 512), (90, 512, 512), (109, 512, 512)]


def medians(plans):
    own = plans["configurations"]
    return {n: own[n]["median_image_size_in_voxels"] for n in own if "spacing" in own[n]}


def test_median_shapes_are_those_of_the_resampled_cases():
    """By hand: slices of 0.78 mm are 528.2, 346.2 and 698.7; of 1.99 mm 207.0, 135.7, 273.9.

    The median shape, 109 slices, at the median spacing of 3 mm would be 419 and 164.
    """
    plans = nnunet_plans(PAPER_PLAN, "Dataset021_KiTS", SPACINGS_MM, SHAPES)
    assert plans["original_median_spacing_after_transp"] == [3.0, 0.78, 0.78]
    assert plans["original_median_shape_after_transp"] == [109, 512, 512]
    found = medians(plans)
    assert found[FULLRES] == [528, 512, 512]
    assert found[LOWRES] == [207, 201, 201]
    assert found[PLANAR] == [512, 512]


def test_of_an_even_number_of_cases_the_middle_two_count():
    plans = nnunet_plans(PAPER_PLAN, "Dataset021_KiTS", SPACINGS_MM[:2], SHAPES[:2])
    assert medians(plans)[FULLRES][0] == round((528.2 + 346.2) / 2)


@pytest.mark.parametrize("forward", [[2, 1, 0], [0, 1, 2], [1, 0, 2]])
def test_plans_that_are_taken_over_have_the_other_cohorts_medians(forward):
    """Whatever the order of the plans' axes; SimpleITK's own are column, row, slice."""
    plans = nnunet_plans(PAPER_PLAN, "Dataset021_KiTS", [(1.0, 1.0, 1.0)], [(100, 100, 100)])
    taken = with_medians({**plans, "transpose_forward": forward}, SPACINGS_MM, SHAPES)
    whole = [[512, 512, 528][axis] for axis in forward]
    assert medians(taken)[FULLRES] == whole
    assert medians(taken)[PLANAR] == whole[1:]
    assert taken["original_median_shape_after_transp"] == [
        [512, 512, 109][axis] for axis in forward
    ]
    assert taken["configurations"][CASCADE] == plans["configurations"][CASCADE]


def test_the_cohort_at_hand_gives_them_also_to_what_is_pretrained(tmp_path):
    """From the files' headers."""
    fractions = {"KiTS": (1.0, 2.0, 3.0), "Liver": (2.0, 4.0, 2.0)}
    plan = TINY_PLAN
    for dataset, slices_mm in fractions.items():
        images, target = tmp_path / "raw" / dataset / "imagesTr", tmp_path / dataset
        images.mkdir(parents=True)
        target.mkdir()
        for number, (slice_mm, count) in enumerate(zip(slices_mm, (60, 24, 21), strict=True)):
            affine = np.array(
                [[0, 0, -2.0, 0], [0, -3.0, 0, 0], [-slice_mm, 0, 0, 0], [0, 0, 0, 1.0]]
            )
            image = nibabel.Nifti1Image(np.zeros((count, 10, 15), np.int16), affine)
            nibabel.save(image, images / f"case_{number}_0000.nii.gz")
        plan = make_plans(tmp_path / "raw" / dataset, target, plan)
        # KiTS: 60, 48 and 63 mm; liver: 120, 96 and 42 mm; 30 mm rows and columns
        slices = {"KiTS": (20, 12), "Liver": (32, 19)}[dataset]
        written = json.loads((target / "nnUNetPlans.json").read_text())
        assert medians(written)[FULLRES] == [slices[0], 10, 10]
        assert medians(written)[LOWRES] == [slices[1], 6, 6]


def build(configuration):
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    settings = PlansManager(paper_plans()).get_configuration(configuration)
    network = get_network_from_plans(
        settings.network_arch_class_name,
        settings.network_arch_init_kwargs,
        settings.network_arch_init_kwargs_req_import,
        1,
        4,
        allow_init=False,
        deep_supervision=True,
    )
    return settings, network


def test_nnunet_reads_the_plans_and_builds_the_papers_network():
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    _, network = build(FULLRES)
    widths = [stage[0].convs[0].conv.out_channels for stage in network.encoder.stages]
    assert widths == [32, 64, 128, 256, 320, 320]
    assert len(network.decoder.seg_layers) == 5
    manager = PlansManager(paper_plans())
    assert manager.get_configuration(CASCADE).previous_stage_name == LOWRES
    assert manager.get_configuration(LOWRES).next_stage_names == [CASCADE]


@pytest.mark.parametrize(
    ("network", "patch", "last_stride"),
    [
        ("resenc-m", [128, 128, 128], [2, 2, 2]),
        ("resenc-l", [160, 224, 192], [2, 2, 2]),
        ("resenc-xl", [192, 256, 256], [1, 2, 2]),
    ],
)
def test_residual_networks_are_nnunets_presets(network, patch, last_stride):
    """What nnUNetPlannerResEncM, L and XL of nnU-Net 2.8.1 choose for KiTS21's median scan."""
    settings, built = build(residual_configuration(network))
    assert (settings.patch_size, settings.batch_size) == (patch, 2)
    assert type(built).__name__ == "ResidualEncoderUNet"
    kwargs = settings.network_arch_init_kwargs
    assert kwargs["strides"][-1] == last_stride
    assert kwargs["n_blocks_per_stage"] == [1, 3, 4, 6, 6, 6, 6][: kwargs["n_stages"]]
    assert settings.data_identifier == "nnUNetPlans_3d_fullres"


def test_planar_network_is_nnunets():
    settings, built = build(PLANAR)
    assert (settings.patch_size, settings.batch_size) == ([512, 512], 12)
    assert settings.spacing == [0.78, 0.78]
    widths = [stage[0].convs[0].conv.out_channels for stage in built.encoder.stages]
    assert widths == [32, 64, 128, 256, 512, 512, 512, 512]


def test_plan_refuses_a_patch_that_cannot_be_halved_often_enough():
    content = PAPER_PLAN.model_dump() | {
        "fullres": {"spacing_mm": (1, 1, 1), "patch_size": (100, 128, 128)}
    }
    with pytest.raises(ValidationError, match="must be divisible by 32"):
        Plan.model_validate(content)
