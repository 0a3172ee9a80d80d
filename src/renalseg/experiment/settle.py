"""A workspace belongs to one experiment on one cohort; other models are not mixed in."""

import json
import os
from typing import Any

from renalseg.errors import ExperimentError
from renalseg.experiment.config import Experiment
from renalseg.files import write_json
from renalseg.outputs import check_folder
from renalseg.training.dataset import TrainingSet
from renalseg.training.workspace import Workspace

RECORD = "experiment.json"
#: What an experiment writes into its folder.
_NAMES = (
    RECORD, "nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results", "predictions", "ensemble",
    "logs", "tables.md", "tables.tex", "tables.html", "statistics.md", "report.html",
)  # fmt: skip


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
    check_place(workspace)
    if not is_experiment(workspace):
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


def is_experiment(workspace: Workspace) -> bool:
    """Whether a folder was begun by an experiment."""
    try:
        content = json.loads((workspace.root / RECORD).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"name", "plan", "cases"} <= content.keys()


def check_place(workspace: Workspace) -> None:
    """Check that an experiment can write to a folder, and a new one replaces nothing there.

    Raises:
        ExperimentError: If another program's files have names that an experiment writes.
        OutputError: If it cannot be written to.
    """
    for name in () if is_experiment(workspace) else _NAMES:
        if os.path.lexists(workspace.root / name):
            raise ExperimentError(
                f"{workspace.root}: holds {name} and is no experiment of renalseg; choose another "
                "folder"
            )
    check_folder(workspace.root)


def _short(key: str, value: Any) -> str:
    text = f"{len(value)} cases" if isinstance(value, list) else f"{key} {value}"
    return text if len(text) < 90 else text[:87] + "..."
