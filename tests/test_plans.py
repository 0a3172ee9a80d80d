import pytest
from pydantic import ValidationError

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


def test_paper_plan_gives_the_papers_median_shapes():
    """109 x 512 x 512 voxels become 419 x 512 x 512 and about 164 x 201 x 201."""
    configurations = paper_plans()["configurations"]
    assert configurations[FULLRES]["median_image_size_in_voxels"] == [419, 512, 512]
    assert configurations[LOWRES]["median_image_size_in_voxels"] == [164, 201, 201]


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
