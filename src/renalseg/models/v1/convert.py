"""A trained model of nnU-Net v1 as a folder that nnU-Net v2 and renalseg take."""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from renalseg.errors import ModelError
from renalseg.files import write_json
from renalseg.models.checkpoints import FINAL, save_checkpoint
from renalseg.models.networks import build_network
from renalseg.models.plans import CASCADE, FULLRES, LOWRES, PLANAR
from renalseg.models.v1.plans import v2_plans
from renalseg.models.v1.unpickle import read_pickle, read_weights
from renalseg.models.v1.weights import fill

PLANS = "plans.pkl"
WEIGHTS = "model_final_checkpoint.model"


@dataclass(frozen=True)
class V1Model:
    """A model in v1's layout, ``CONFIGURATION/TASK/TRAINER__PLANS``.

    Attributes:
        folder: The innermost folder; it holds ``plans.pkl`` and ``fold_N``.
        task: Such as ``Task135_KiTS2021``.
        configuration: ``3d_fullres``, ``3d_lowres``, ``3d_cascade_fullres`` or ``2d``.
    """

    folder: Path
    task: str
    configuration: str

    @property
    def dataset(self) -> str:
        """v2's name of the data set, e.g. ``Dataset135_KiTS2021``."""
        return re.sub(r"^Task(\d+)_", r"Dataset\1_", self.task)


def find_v1(folder: Path) -> list[V1Model]:
    """Every v1 model below a folder, or the folder itself if it is one.

    Raises:
        ModelError: If one stands in folders of other names than v1's.
    """
    found = []
    for plans in sorted(folder.resolve().rglob(PLANS)):
        parts = plans.parent.parts[-3:]
        if len(parts) < 3 or parts[0] not in (FULLRES, LOWRES, CASCADE, PLANAR):
            raise ModelError(
                f"{plans}: its folders should be CONFIGURATION/TASK/TRAINER__PLANS as nnU-Net v1 "
                f"leaves them, got {'/'.join(parts)}"
            )
        found.append(V1Model(plans.parent, task=parts[1], configuration=parts[0]))
    return found


def convert_v1(model: V1Model, target: Path, labels: Sequence[str] | None = None) -> Path:
    """Write a v1 model as a plain nnU-Net v2 model folder whose networks compute the same.

    Args:
        model: The v1 model.
        target: The new folder; it must not stand.
        labels: Names of the classes from 1 on; v1 keeps none with a model, so that they are
            ``class_1`` and so on where none are given.

    Returns:
        ``target``.

    Raises:
        ModelError: If a file is missing, damaged or hostile, or the network is not v1's plain
            U-Net.
    """
    plans = read_pickle(model.folder / PLANS)
    folds = sorted(path.parent for path in model.folder.glob(f"fold_*/{WEIGHTS}")) or sorted(
        path.parent for path in model.folder.glob(f"all/{WEIGHTS}")
    )
    if not folds:
        raise ModelError(
            f"{model.folder}: no fold_N/{WEIGHTS}; the model was not trained to its end"
        )
    try:
        classes = int(plans["num_classes"])
        channels = int(plans["num_modalities"])
        convolutions = int(plans.get("conv_per_stage", 2))
        converted = v2_plans(plans, model.configuration, model.dataset)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ModelError(
            f"{model.folder / PLANS}: not a plan of nnU-Net v1 ({type(error).__name__}: {error})"
        ) from error
    names = list(labels or (f"class_{label}" for label in range(1, classes + 1)))
    if len(names) != classes:
        raise ModelError(
            f"{model.folder}: expected {len(names)} classes ({', '.join(names)}), got {classes}"
        )
    dataset = {
        "channel_names": {str(i): _channel(plans, i) for i in range(channels)},
        "labels": {"background": 0} | {name: i for i, name in enumerate(names, 1)},
        "numTraining": len(plans.get("list_of_npz_files", ())),
        "file_ending": ".nii.gz",
    }
    beside = target.with_name(f".{target.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    write_json(converted, beside / "plans.json")
    write_json(dataset, beside / "dataset.json")
    network = build_network(converted, dataset, model.configuration)
    axes = len(converted["configurations"][_own(model.configuration)]["patch_size"])
    for fold in folds:
        weights = read_weights(fold / WEIGHTS)
        try:
            fill(network, weights, convolutions)
        except ValueError as error:
            raise ModelError(
                f"{fold / WEIGHTS}: not the plain U-Net that its plan describes ({error}); only "
                "networks of v1's own trainer with instance normalisation can be converted"
            ) from error
        checkpoint = {
            "network_weights": network.state_dict(),
            "trainer_name": "nnUNetTrainer",
            "init_args": {"configuration": model.configuration},
            "inference_allowed_mirroring_axes": tuple(range(axes)),
        }
        place = beside / (fold.name if fold.name.startswith("fold_") else "fold_all")
        place.mkdir()
        save_checkpoint(checkpoint, place / FINAL)
    os.replace(beside, target)
    return target


def _own(configuration: str) -> str:
    return FULLRES if configuration == CASCADE else configuration


def _channel(plans: Any, number: int) -> str:
    return str(plans.get("modalities", {}).get(number, f"channel_{number}"))
