"""Small untrained models for tests, written as nnU-Net v2 writes trained ones."""

import json
from pathlib import Path

import torch

from renalseg.models.checkpoints import save_checkpoint
from renalseg.models.plans import CASCADE, FULLRES, Intensity, Plan, Resolution, nnunet_plans

TINY_PLAN = Plan(
    fullres=Resolution(spacing_mm=(3.0, 3.0, 3.0), patch_size=(16, 16, 16)),
    lowres=Resolution(spacing_mm=(5.0, 5.0, 5.0), patch_size=(16, 16, 16)),
    features=(4, 8, 8),
    convolutions=1,
    intensity=Intensity(clip_hu=(-62, 310), mean_hu=104.9, std_hu=75.3),
)


def write_model(
    folder: Path, configuration: str = FULLRES, folds=(0, 1), mirror=None, plan: Plan = TINY_PLAN
) -> Path:
    """Write a model folder with random weights."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans = nnunet_plans(plan, "Dataset021_KiTS", [(3.0, 3.0, 3.0)], [(40, 40, 20)])
    labels = {"background": 0, "kidney": 1, "tumor": 2, "cyst": 3}
    dataset = {
        "channel_names": {"0": "CT"},
        "labels": labels,
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    folder.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    settings = PlansManager(plans).get_configuration(configuration)
    channels = 4 if configuration == CASCADE else 1
    for fold in folds:
        torch.manual_seed(fold)
        network = get_network_from_plans(
            settings.network_arch_class_name,
            settings.network_arch_init_kwargs,
            settings.network_arch_init_kwargs_req_import,
            channels,
            4,
            deep_supervision=True,
        )
        checkpoint = {
            "network_weights": network.state_dict(),
            "trainer_name": "nnUNetTrainer",
            "init_args": {"configuration": configuration},
            "inference_allowed_mirroring_axes": mirror,
        }
        (folder / f"fold_{fold}").mkdir()
        save_checkpoint(checkpoint, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder
