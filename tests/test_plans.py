import pytest
from pydantic import ValidationError

from renalseg.models.plans import (
    CASCADE,
    FULLRES,
    LOWRES,
    PAPER_PLAN,
    Plan,
    nnunet_plans,
    read_plan,
)


def paper_plans():
    return nnunet_plans(PAPER_PLAN, "Dataset021_KiTS", [(0.78, 0.78, 3.0)], [(512, 512, 109)])


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
    """512 x 512 x 109 voxels become 512 x 512 x 419 and about 201 x 201 x 164."""
    configurations = paper_plans()["configurations"]
    assert configurations[FULLRES]["median_image_size_in_voxels"] == [512, 512, 419]
    assert configurations[LOWRES]["median_image_size_in_voxels"] == [201, 201, 164]


def test_nnunet_reads_the_plans_and_builds_the_papers_network():
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(paper_plans())
    fullres = manager.get_configuration(FULLRES)
    network = get_network_from_plans(
        fullres.network_arch_class_name,
        fullres.network_arch_init_kwargs,
        fullres.network_arch_init_kwargs_req_import,
        1,
        4,
        allow_init=False,
        deep_supervision=True,
    )
    widths = [stage[0].convs[0].conv.out_channels for stage in network.encoder.stages]
    assert widths == [32, 64, 128, 256, 320, 320]
    assert len(network.decoder.seg_layers) == 5
    assert manager.get_configuration(CASCADE).previous_stage_name == LOWRES
    assert manager.get_configuration(LOWRES).next_stage_names == [CASCADE]


def test_read_plan_gives_back_what_was_written():
    assert read_plan(paper_plans()) == PAPER_PLAN


def test_plan_refuses_a_patch_that_cannot_be_halved_often_enough():
    content = PAPER_PLAN.model_dump() | {
        "fullres": {"spacing_mm": (1, 1, 1), "patch_size": (100, 128, 128)}
    }
    with pytest.raises(ValidationError, match="must be divisible by 32"):
        Plan.model_validate(content)
