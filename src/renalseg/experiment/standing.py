"""Where an experiment stands, from what its trainings have written; it may be running elsewhere."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import time
from typing import Literal

from renalseg.experiment.tasks import Task, is_done
from renalseg.models.checkpoints import LATEST
from renalseg.training.curves import CURVES, SECONDS
from renalseg.training.workspace import Workspace

#: A training that has written nothing for so many of its epochs, and so long, does not run.
_SILENT_EPOCHS, _SILENT_SECONDS = 3, 60.0

State = Literal["done", "running", "interrupted", "not begun"]


@dataclass(frozen=True)
class Standing:
    """One training.

    Attributes:
        run: Its title.
        state: ``interrupted`` has a checkpoint from which it will go on.
        epochs: How many are finished.
        of: Of how many.
        seconds_left: As its own epochs, or those of others like it, suggest; None where nothing is
            known.
    """

    run: str
    state: State
    epochs: int
    of: int
    seconds_left: float | None


@dataclass(frozen=True)
class Progress:
    """All trainings of an experiment."""

    runs: tuple[Standing, ...]

    def count(self, state: State) -> int:
        """How many trainings are in a state."""
        return sum(one.state == state for one in self.runs)

    @property
    def seconds_left(self) -> float | None:
        """Until all are done, if as many as now, and at least one, run side by side."""
        left = [one.seconds_left for one in self.runs]
        known = [seconds for seconds in left if seconds is not None]
        if len(known) < len(left):
            return None
        return sum(known) / max(1, self.count("running"))


def look(workspace: Workspace, tasks: Sequence[tuple[str, Task]]) -> Progress:
    """Read where trainings stand.

    Args:
        workspace: Where they are.
        tasks: Each with the name of its data set.
    """
    folders = [
        workspace.model(task.recipe.name, data, task.stage) / f"fold_{task.fold}"
        for data, task in tasks
    ]
    seconds = [_epoch_seconds(folder) for folder in folders]
    runs = []
    for (data, task), folder, own in zip(tasks, folders, seconds, strict=True):
        done = is_done(workspace, data, task)
        alike = [
            s
            for (_, t), other in zip(tasks, seconds, strict=True)
            for s in other
            if t.stage == task.stage
        ]
        guesses = own or alike or [s for other in seconds for s in other]
        total = task.recipe.schedule.epochs
        epochs = total if done else len(own)
        left = 0.0 if done else (total - epochs) * median(guesses) if guesses else None
        runs.append(Standing(task.title, _state(folder, own, done=done), epochs, total, left))
    return Progress(tuple(runs))


def _epoch_seconds(folder: Path) -> list[float]:
    try:
        return list(json.loads((folder / CURVES).read_text())[SECONDS])
    except (OSError, ValueError, KeyError):
        return []


def _state(folder: Path, seconds: Sequence[float], *, done: bool) -> State:
    if done:
        return "done"
    logs = [*folder.glob("training_log_*.txt"), *folder.glob(CURVES)]
    if not logs:
        return "not begun"
    silent = time() - max(log.stat().st_mtime for log in logs)
    patience = max(_SILENT_SECONDS, _SILENT_EPOCHS * max(seconds, default=0.0))
    if silent < patience:
        return "running"
    return "interrupted" if (folder / LATEST).is_file() else "not begun"
