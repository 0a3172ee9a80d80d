"""One plain nnU-Net v2 model folder, loaded and run on a scan."""

import io
import json
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from renalseg.errors import ModelError
from renalseg.inference.scan import Scan
from renalseg.models.checkpoints import FINAL, load_checkpoint
from renalseg.models.device import cpu_layout
from renalseg.models.networks import build_network
from renalseg.types import AnyArray, LabelArray


@dataclass(frozen=True)
class Network:
    """The folds of one model folder; their logits are averaged, as nnU-Net does."""

    folder: Path
    predictor: Any

    @classmethod
    def load(cls, folder: Path, folds: tuple[int, ...], device: str = "cpu") -> "Network":
        """Load a model folder without running any code that it may carry.

        Raises:
            ModelError: If a file is missing or damaged, or the weights do not fit the plans.
        """
        import torch
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        checkpoints = [load_checkpoint(folder / f"fold_{fold}" / FINAL) for fold in folds]
        name = checkpoints[0]["init_args"]["configuration"]
        dataset_json = _read_json(folder / "dataset.json")
        plans = PlansManager(_read_json(folder / "plans.json"))
        configuration = plans.get_configuration(name)
        network = build_network(plans.plans, dataset_json, name)
        weights = [checkpoint["network_weights"] for checkpoint in checkpoints]
        try:
            network.load_state_dict(weights[0])
        except RuntimeError as error:
            raise ModelError(
                f"{folder}: the weights do not fit the network of plans.json; copy the model again"
            ) from error
        with redirect_stdout(io.StringIO()):
            predictor = nnUNetPredictor(device=torch.device(device), allow_tqdm=False)
            predictor.manual_initialization(
                network,
                plans,
                configuration,
                weights,
                dataset_json,
                "nnUNetTrainer",
                checkpoints[0]["inference_allowed_mirroring_axes"],
            )
        if torch.device(device).type == "cpu":
            predictor.network.to(memory_format=cpu_layout(configuration.patch_size))
        return cls(folder, predictor)

    @property
    def is_second_stage(self) -> bool:
        """Whether it needs the label map of a previous stage."""
        return self.predictor.configuration_manager.previous_stage_name is not None

    def probabilities(self, scan: Scan, previous: LabelArray | None = None) -> AnyArray:
        """Predict a scan.

        Args:
            scan: The scan.
            previous: For a second stage the first stage's label map on the scan's grid.

        Returns:
            Softmax scores on the scan's grid, float32, (class, slice, row, column).

        Raises:
            ModelError: If a second stage is asked to run alone.
        """
        import torch
        from nnunetv2.inference.export_prediction import (
            convert_predicted_logits_to_segmentation_with_correct_shape,
        )
        from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot

        model = self.predictor
        if self.is_second_stage and previous is None:
            raise ModelError(
                f"{self.folder}: second stage of a cascade; give the ensemble with both stages"
            )
        prepared = scan.prepare(
            model.plans_manager, model.configuration_manager, model.dataset_json, previous
        )
        data = prepared.data
        if prepared.previous is not None:
            one_hot = convert_labelmap_to_one_hot(
                prepared.previous[0], model.label_manager.foreground_labels, data.dtype
            )
            data = np.vstack((data, one_hot))
        with redirect_stdout(io.StringIO()):
            logits = model.predict_logits_from_preprocessed_data(torch.from_numpy(data))
            _, probabilities = convert_predicted_logits_to_segmentation_with_correct_shape(
                logits,
                model.plans_manager,
                model.configuration_manager,
                model.label_manager,
                prepared.properties,
                return_probabilities=True,
                num_threads_torch=torch.get_num_threads(),
            )
        result: AnyArray = np.asarray(probabilities, dtype=np.float32).transpose(0, 3, 2, 1)
        return result


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not readable as JSON ({error}); copy the model again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: expected a JSON object")
    return content
