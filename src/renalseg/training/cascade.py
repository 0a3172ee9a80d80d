"""What lies between the stages of a cascade: the first stage's predictions of held-out cases."""

import io
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from renalseg.models.checkpoints import FINAL
from renalseg.models.manifest import FoldAverage
from renalseg.models.plans import CASCADE, FULLRES, LOWRES
from renalseg.training.recipe import Recipe
from renalseg.training.run import make_trainer
from renalseg.training.workspace import Workspace


class ScaledSoftmax(nn.Module):
    """Softmax scores times 500, which nnU-Net can add up in half precision.

    Of scores below 1 nothing would be left in a tile's corners, whose weights are as small as the
    smallest number of half precision. Up to eight tiles that nearly coincide, with weights up to
    10, lie over a voxel: above 65504 / 80 their sum would be infinite. The best class stays the
    same.
    """

    FACTOR = 500

    def forward(self, logits: Tensor) -> Tensor:
        """Turn logits (batch, class, ...) into scaled scores."""
        return self.FACTOR * logits.softmax(1)


def next_stage_folder(workspace: Workspace, dataset: str, recipe: Recipe) -> Path:
    """Where nnU-Net's second stage looks for the first stage's predictions."""
    return workspace.model(recipe.name, dataset, LOWRES) / "predicted_next_stage" / CASCADE


def predict_next_stage(
    workspace: Workspace,
    dataset: str,
    recipe: Recipe,
    fold: int,
    device: str = "cpu",
    average: FoldAverage = "logits",
) -> None:
    """Predict a fold's held-out cases with the first stage, for the second stage to train on.

    As in nnU-Net, every case is predicted by the network that has not seen it, so all folds of the
    first stage come before any fold of the second. Cases already predicted are kept.

    Args:
        workspace: Where the first stage's model lies and the predictions go.
        dataset: Name of the data set.
        recipe: A cascade.
        fold: Whose held-out cases are predicted.
        device: A torch device.
        average: What is averaged over tiles and mirrored copies; of one network, as inference does
            with the folds.
    """
    from nnunetv2.inference.export_prediction import resample_and_save
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

    target = next_stage_folder(workspace, dataset, recipe)
    target.mkdir(parents=True, exist_ok=True)
    with workspace.environment(recipe.name), redirect_stdout(io.StringIO()):
        trainer = make_trainer(workspace, dataset, recipe, LOWRES, fold, device)
        trainer.initialize()
        _, held_out = trainer.do_split()
        missing = [name for name in held_out if not (target / f"{name}.b2nd").exists()]
        if not missing:
            return
        trainer.load_checkpoint(str(trainer.folder / FINAL))
        trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        trainer.set_deep_supervision_enabled(False)
        predictor = nnUNetPredictor(device=torch.device(device), allow_tqdm=False)
        network = trainer.network
        if average == "softmax":  # nnU-Net v2 averages what a network puts out, whatever it is
            network = nn.Sequential(network, ScaledSoftmax())
        predictor.manual_initialization(
            network,
            trainer.plans_manager,
            trainer.configuration_manager,
            None,
            trainer.dataset_json,
            "nnUNetTrainer",
            trainer.inference_allowed_mirroring_axes,
        )
        cases = nnUNetDatasetBlosc2(str(workspace.images(dataset, LOWRES)), missing)
        finer = nnUNetDatasetBlosc2(str(workspace.images(dataset, FULLRES)), missing)
        for name in missing:
            data, _, _, properties = cases.load_case(name)
            shape = finer.load_case(name)[0].shape[1:]
            logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(data[:]))
            beside = target / f"part-{name}"
            beside.with_suffix(".b2nd").unlink(missing_ok=True)
            resample_and_save(
                np.asarray(logits.cpu().float()),
                shape,
                str(beside),
                trainer.plans_manager,
                trainer.configuration_manager,
                properties,
                trainer.dataset_json,
                num_threads_torch=torch.get_num_threads(),
                dataset_class=nnUNetDatasetBlosc2,
            )
            beside.with_suffix(".b2nd").replace(target / f"{name}.b2nd")
