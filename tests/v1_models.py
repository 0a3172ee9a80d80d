"""Untrained models of nnU-Net v1: its own network, in the layout of its exporter."""

import pickle
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("nnunet", reason="needs nnU-Net v1: pip install --no-deps nnunet==1.7.1")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # v1 imports scipy by names that are deprecated
    from nnunet.network_architecture.generic_UNet import Generic_UNet
    from nnunet.network_architecture.initialization import InitWeights_He

TRAINER = "nnUNetTrainerV2__nnUNetPlansv2.1"


def stage(spacing_mm, patch_size, pooling, kernels=None):
    """One entry of v1's ``plans_per_stage``, with numpy values where v1 has them."""
    return {
        "batch_size": 2,
        "num_pool_per_axis": [len(pooling)] * len(patch_size),
        "patch_size": np.array(patch_size),
        "median_patient_size_in_voxels": np.array([100, 90, 80]),
        "current_spacing": np.array(spacing_mm),
        "original_spacing": np.array([3.0, 0.8, 0.8]),
        "do_dummy_2D_data_aug": False,
        "pool_op_kernel_sizes": pooling,
        "conv_kernel_sizes": kernels or [[3] * len(patch_size)] * (len(pooling) + 1),
    }


TWO = [[2, 2, 2], [2, 2, 2]]
STAGES = {
    "3d_lowres": stage((2.0, 2.0, 2.0), (16, 16, 16), TWO),
    "3d_fullres": stage((1.0, 1.0, 1.0), (16, 16, 16), TWO),
    "anisotropic": stage(
        (3.0, 0.8, 0.8),
        (8, 32, 32),
        [[1, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]],
        [[1, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3], [3, 3, 3]],
    ),
    "deep": stage((1.0, 1.0, 1.0), (64, 64, 64), [[2, 2, 2]] * 5),
    "2d": stage((3.0, 0.8, 0.8), (32, 32), [[2, 2], [2, 2], [2, 2]]),
}


def v1_plans(stages, *, classes=3, features=4, convolutions=2):
    """The content of ``plans.pkl``."""
    properties = {
        "mean": np.float64(100.5),
        "median": np.float64(102.0),
        "sd": np.float64(70.25),
        "mn": np.float64(-900.0),
        "mx": np.float64(2000.0),
        "percentile_00_5": np.float64(-60.0),
        "percentile_99_5": np.float64(300.0),
    }
    return {
        "num_stages": len(stages),
        "num_modalities": 1,
        "modalities": {0: "CT"},
        "normalization_schemes": OrderedDict([(0, "CT")]),
        "dataset_properties": {"intensityproperties": OrderedDict([(0, properties)])},
        "list_of_npz_files": ["case_00000.npz"],
        "original_spacings": [np.array([3.0, 0.8, 0.9]), np.array([3.0, 0.8, 0.9])],
        "original_sizes": [(100, 512, 500), (100, 512, 500)],
        "num_classes": classes,
        "all_classes": np.arange(classes + 1),
        "base_num_features": features,
        "use_mask_for_norm": OrderedDict([(0, False)]),
        "transpose_forward": [2, 0, 1],
        "transpose_backward": [1, 2, 0],
        "plans_per_stage": dict(enumerate(stages)),
        "conv_per_stage": convolutions,
    }


def v1_network(plans, described, *, channels=1, seed=0):
    """v1's own network, as its ``nnUNetTrainerV2`` builds it."""
    torch.manual_seed(seed)
    axes = len(described["patch_size"])
    convolution = {2: torch.nn.Conv2d, 3: torch.nn.Conv3d}[axes]
    network = Generic_UNet(
        channels,
        plans["base_num_features"],
        plans["num_classes"] + 1,
        len(described["pool_op_kernel_sizes"]),
        plans["conv_per_stage"],
        2,
        convolution,
        {2: torch.nn.InstanceNorm2d, 3: torch.nn.InstanceNorm3d}[axes],
        {"eps": 1e-5, "affine": True},
        {2: torch.nn.Dropout2d, 3: torch.nn.Dropout3d}[axes],
        {"p": 0, "inplace": True},
        torch.nn.LeakyReLU,
        {"negative_slope": 1e-2, "inplace": True},
        True,
        False,
        lambda x: x,
        InitWeights_He(1e-2),
        described["pool_op_kernel_sizes"],
        described["conv_kernel_sizes"],
        False,
        True,
        True,
    )
    # weights of zero and one, as norms begin with, would hide that they were mixed up
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return network.eval()


def write_v1(root: Path, configuration, plans, network, *, task="Task135_KiTS2021", folds=(0,)):
    """Write a model as v1's trainer and exporter leave it."""
    folder = root / configuration / task / TRAINER
    for fold in folds:
        place = folder / f"fold_{fold}"
        place.mkdir(parents=True)
        content = {
            "epoch": 1000,
            "state_dict": network.state_dict(),
            "optimizer_state_dict": None,
            "lr_scheduler_state_dict": None,
            "plot_stuff": ([np.float64(0.5)], [np.float32(0.25)], [], [np.array([0.5, 0.7])]),
            "best_stuff": (np.float64(0.1), np.float64(0.2), None),
        }
        torch.save(content, place / "model_final_checkpoint.model")
        info = {"init": (), "name": "nnUNetTrainerV2", "class": "<class>", "plans": plans}
        (place / "model_final_checkpoint.model.pkl").write_bytes(pickle.dumps(info))
        (place / "debug.json").write_text("{}")
    (folder / "plans.pkl").write_bytes(pickle.dumps(plans))
    (folder / "postprocessing.json").write_text("{}")
    return folder


def zip_folder(folder: Path, path: Path) -> Path:
    """As v1's exporter zips its results."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return path
