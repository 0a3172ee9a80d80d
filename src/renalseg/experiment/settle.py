"""A workspace belongs to one experiment on one cohort; other models are not mixed in."""

import json
from typing import Any

from renalseg.errors import ExperimentError
from renalseg.experiment.config import Experiment
from renalseg.files import write_json
from renalseg.training.dataset import TrainingSet
from renalseg.training.workspace import Workspace

RECORD = "experiment.json"


def settle(workspace: Workspace, experiment: Experiment, training_set: TrainingSet) -> None:
    """Write down what a workspace is for, or check that it is for this.

    Raises:
        ExperimentError: If it was begun with another plan, other cases, splits or pretraining.
    """
    wanted: dict[str, Any] = {
        "name": experiment.name,
        "plan": experiment.model_dump(mode="json")["plan"],
        "splits": experiment.splits,
        "weights": None if experiment.weights is None else str(experiment.weights),
        "pretraining": experiment.pretraining.model_dump(mode="json"),
        "cases": sorted(case.case_id for case in training_set.cases),
    }
    path = workspace.root / RECORD
    if not path.is_file():
        workspace.root.mkdir(parents=True, exist_ok=True)
        write_json(wanted, path)
        return
    stands = json.loads(path.read_text())
    for key, value in wanted.items():
        if stands.get(key) != value:
            raise ExperimentError(
                f"{workspace.root}: was begun with {_short(key, stands.get(key))}, now "
                f"{_short(key, value)}; choose another folder, or remove this one"
            )


def _short(key: str, value: Any) -> str:
    text = f"{len(value)} cases" if isinstance(value, list) else f"{key} {value}"
    return text if len(text) < 90 else text[:87] + "..."
