"""Results kept by case, so that an interrupted run goes on where it was."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from renalseg.cohort import Case
from renalseg.files import write_json

#: Results kept by another version of the measures are not read.
_VERSION = 1

#: Files that a result depends on, with their sizes and times.
State = list[Any]


def state_of(case: Case, prediction: Path | None = None) -> State:
    """What a case's result depends on."""
    files = [case.segmentation_path, *sorted(case.samples_folder.glob("group_*/*.nii.gz"))]
    files += [a.path for instance in case.instances for a in instance.annotations]
    if prediction is not None:
        files.append(prediction)
    seen = [(file, file.stat()) for file in files if file.is_file()]
    return [_VERSION, *([str(f.absolute()), s.st_size, s.st_mtime_ns] for f, s in seen)]


def load(path: Path, state: State) -> dict[str, Any] | None:
    """What an earlier run found, if nothing that it depends on has changed since."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict) or content.pop("of", None) != state:
        return None
    return content


def keep(path: Path, state: State, content: Mapping[str, Any]) -> None:
    """Keep what was found."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json({"of": state, **content}, path)
