"""What a failed step leaves behind: one line for the terminal, the rest in a file."""

import errno
import re
import traceback
from pathlib import Path

from renalseg.errors import RenalsegError
from renalseg.files import write_text

_REMEDIES = {
    errno.ENOSPC: "the disk is full; make room, and run again to go on",
    errno.EDQUOT: "the disk quota is used up; make room, and run again to go on",
}


def failure_line(title: str, error: BaseException, logs: Path) -> str:
    """Say what failed and what to do; an unexpected error's trace goes to a file.

    Args:
        title: The step's name.
        error: Why it failed.
        logs: Folder for traces.
    """
    if isinstance(error, RenalsegError):
        return f"{title}: {error}"
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        return f"{title}: {_REMEDIES[error.errno]}"
    if type(error).__name__ in ("OutOfMemoryError", "MemoryError"):
        return f"{title}: out of memory; close other programs or lower --jobs, and run again"
    if type(error).__name__ == "BrokenProcessPool":
        return (
            f"{title}: its worker was killed every time, most likely for lack of memory; "
            "run again with --jobs 1"
        )
    path = logs / f"{re.sub(r'[^A-Za-z0-9]+', '-', title)}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text("".join(traceback.format_exception(error)), path)
    first = (str(error).strip().splitlines() or [""])[0][:120]
    return f"{title}: {type(error).__name__}: {first}; see {path}"
