"""A workspace belongs to one experiment on one cohort; other models are not mixed in."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from renalseg.errors import ExperimentError
from renalseg.experiment.config import Experiment
from renalseg.files import write_json
from renalseg.outputs import check_folder
from renalseg.training.dataset import TrainingSet
from renalseg.training.recipe import Recipe
from renalseg.training.workspace import Workspace

RECORD = "experiment.json"
#: Folder of the held-out predictions, one folder in it per model or ensemble.
PREDICTIONS = "predictions"
_REMEDIES = {"weights": "say what it was begun with (weights in the experiment file, or --liver), "}
#: What an experiment writes into its folder.
_NAMES = (
    RECORD, "nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results", PREDICTIONS, "ensemble",
    "logs", "tables.md", "tables.tex", "tables.html", "statistics.md", "report.html",
)  # fmt: skip


def settle(
    workspace: Workspace,
    experiment: Experiment,
    recipes: Sequence[Recipe],
    training_set: TrainingSet,
) -> None:
    """Write down what a workspace is for, or check that it is for this.

    Raises:
        ExperimentError: If it was begun with another plan, other cases, splits or pretraining, or
            its predictions average otherwise.
    """
    weights = experiment.model_dump(mode="json")["weights"]
    wanted: dict[str, Any] = {
        "name": experiment.name,
        "plan": experiment.model_dump(mode="json")["plan"],
        "splits": experiment.splits,
        "weights": weights if experiment.start_resolutions(recipes) else None,
        "pretraining": experiment.pretraining.model_dump(mode="json"),
        "fold_average": experiment.fold_average,
        "cases": sorted(case.case_id for case in training_set.cases),
    }
    check_place(workspace)
    known = read_record(workspace)
    if known is None:
        workspace.root.mkdir(parents=True, exist_ok=True)
        write_json(wanted, workspace.root / RECORD)
        return
    if not experiment.start_resolutions(recipes):
        wanted["weights"] = known.get("weights")  # nothing of this run starts from them
    elif known.get("weights") is None and not has_own_pretraining(workspace):
        known["weights"] = wanted["weights"]  # nothing has started from any yet
    predictions = workspace.root / PREDICTIONS
    # before folds could be averaged by softmax, all were by logits
    average = known.get("fold_average", "logits")
    if average != experiment.fold_average and _holds_files(predictions):
        raise ExperimentError(
            f"{predictions}: predicted with folds averaged by {average}, now by "
            f"{experiment.fold_average}; remove that folder to predict again, or write "
            f"fold_average: {average} in the experiment file"
        )
    known["fold_average"] = experiment.fold_average
    for key, value in wanted.items():
        if known.get(key) != value:
            raise ExperimentError(
                f"{workspace.root}: was begun with {_short(key, known.get(key))}, now "
                f"{_short(key, value)}; {_REMEDIES.get(key, '')}choose another folder, or remove "
                "this one"
            )
    if known != read_record(workspace):
        write_json(known, workspace.root / RECORD)


def read_record(workspace: Workspace) -> dict[str, Any] | None:
    """What a workspace was begun with; None where nothing was."""
    path = workspace.root / RECORD
    if not is_experiment(workspace):
        return None
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def has_own_pretraining(workspace: Workspace) -> bool:
    """Whether a network was pretrained here, from which recipes started or will start."""
    return workspace.results("pretraining").is_dir()


def _holds_files(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))


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
    if key == "weights":  # whole, as it is the ends of paths that differ
        return "networks pretrained on liver data" if value is None else f"weights {value}"
    text = f"{len(value)} cases" if isinstance(value, list) else f"{key} {value}"
    return text if len(text) < 90 else text[:87] + "..."
