"""What a failed step leaves behind: one line for the terminal, the rest in a file."""

import re
import traceback
from pathlib import Path

from renalseg.faults import Problem, describe, problem_of, remedy
from renalseg.files import write_text

_NO_MEMORY = "out of memory; close other programs or lower --jobs, and run again"


def failure(title: str, error: BaseException, logs: Path) -> Problem:
    """Say what failed and what to do; the trace of a fault goes to a file.

    Args:
        title: The step's name.
        error: Why it failed.
        logs: Folder for traces.
    """
    if type(error).__name__ == "BrokenProcessPool":
        return Problem(
            f"{title}: its worker was killed every time, most likely for lack of memory; "
            "run again with --jobs 1"
        )
    if remedy(error) is not None:
        return problem_of(error, title, no_memory=_NO_MEMORY)
    path = logs / f"{re.sub(r'[^A-Za-z0-9]+', '-', title)}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text("".join(traceback.format_exception(error)), path)
    except OSError:
        return problem_of(error, title)
    return Problem(
        f"{title}: this is a fault of renalseg, not yours: {describe(error)}; see {path}",
        is_fault=True,
    )
