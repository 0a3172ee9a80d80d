"""Faults of renalseg, told apart from what its user can mend; their details go to a file.

Commands leave with 1 where the user can do something, and with 3 where renalseg is at fault.
"""

import errno
import os
import platform
import re
import secrets
import sys
import tempfile
import traceback
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from renalseg import __version__
from renalseg.errors import RenalsegError
from renalseg.files import home
from renalseg.notices import hidden

#: Exit code of a command that failed for what its user can mend.
USER = 1
#: Exit code of a command that failed by a fault of renalseg.
OURS = 3

NO_MEMORY = "not enough memory; close other programs, or give this one less to do at a time"
_FULL = {
    errno.ENOSPC: "the disk is full; make room, and run again",
    errno.EDQUOT: "the disk quota is used up; make room, and run again",
}
_MEMORY_WORDS = re.compile(r"memory|bad_alloc|bad allocation", re.IGNORECASE)
_PACKAGES = (
    "numpy", "scipy", "torch", "nnunetv2", "openvino", "nibabel", "pydicom", "highdicom",
    "SimpleITK", "numba", "matplotlib", "ray",
)  # fmt: skip
#: Options whose values say who a patient is, or who somebody is to a server.
_PRIVATE = ("--patient-name", "--patient-id", "--date", "--patient", "--accession")


class Problem(str):
    """Why something failed, in one line: what to do, or where the details of a fault are.

    Attributes:
        is_fault: Whether it is a fault of renalseg.
    """

    is_fault: bool

    def __new__(cls, text: str, *, is_fault: bool = False) -> "Problem":
        """Make a line."""
        line = super().__new__(cls, text)
        line.is_fault = is_fault
        return line

    @property
    def exit_code(self) -> int:
        """What a command leaves with that failed for it."""
        return OURS if self.is_fault else USER


def is_fault(line: str) -> bool:
    """Whether a line says that renalseg is at fault."""
    return isinstance(line, Problem) and line.is_fault


@dataclass(frozen=True)
class Fault:
    """A fault that was recorded.

    Attributes:
        number: Eight digits, by which a message, a log and a file of details find each other.
        details: The file of details; None where no folder could be written.
    """

    number: str
    details: Path | None


def problem_of(
    error: BaseException, subject: Path | str | None = None, *, no_memory: str = NO_MEMORY
) -> Problem:
    """Describe an error in one line; the details of a fault are written to a file.

    Args:
        error: What went wrong.
        subject: What it went wrong with; the line begins with it, or names it if it is a path.
        no_memory: What to say where the memory is too small.
    """
    text = remedy(error, no_memory=no_memory)
    ours = text is None
    if text is None:
        text = f"this is a fault of renalseg, not yours: {describe(error)}; {_kept(record(error))}"
    text = " ".join(text.split())
    if subject is not None and not (isinstance(subject, Path) and str(subject) in text):
        text = f"{subject}: {text}"
    return Problem(text, is_fault=ours)


def remedy(error: BaseException, *, no_memory: str = NO_MEMORY) -> str | None:
    """What the user can do about an error; None of a fault of renalseg."""
    if isinstance(error, RenalsegError):
        return str(error)
    if is_memory(error):
        return no_memory
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        if error.errno in _FULL:
            return f"{where}{_FULL[error.errno]}"
        return f"{where}{error.strerror or error or type(error).__name__}"
    if type(error).__name__ == "BrokenProcessPool":
        return "a worker was killed, most likely for lack of memory; run again with --jobs 1"
    return None


def is_memory(error: BaseException) -> bool:
    """Whether the memory is too small, of the computer or of a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return (
        isinstance(error, RuntimeError)
        and bool(_MEMORY_WORDS.search(text))
        and "illegal memory" not in text  # a fault of a kernel
    )


def is_full_disk(error: BaseException) -> bool:
    """Whether there is no room to write."""
    return isinstance(error, OSError) and error.errno in _FULL


def describe(error: BaseException) -> str:
    """An error's type, place and the first line of its text."""
    first = (str(error).strip().splitlines() or [""])[0][:120]
    return f"{type(error).__name__} at {where(error)}" + (f" ({first})" if first else "")


def where(error: BaseException) -> str:
    """The last lines of renalseg that an error passed, the deepest first."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "renalseg" in Path(frame.filename).parts]
    places = [f"{Path(f.filename).name}:{f.lineno}" for f in (ours or frames)[-3:]]
    return " < ".join(reversed(places)) or "an unknown place"


def new_number() -> str:
    """A number for a fault."""
    return f"{secrets.randbelow(10**8):08d}"


def record(error: BaseException) -> Fault:
    """Write the details of a fault to a file that its user alone can read."""
    number = new_number()
    text = _details(error, number)
    for folder in _folders():
        path = folder / f"renalseg-fault-{number}.log"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode(errors="backslashreplace"))
        except OSError:
            continue
        return Fault(number, path)
    return Fault(number, None)


def _folders() -> list[Path]:
    """Where details may go, the best first: a folder of state, then one for temporary files."""
    folders = []
    if state := os.environ.get("XDG_STATE_HOME"):
        folders.append(Path(state) / "renalseg")
    if own := home():
        folders.append(own / "faults")
    with suppress(OSError):  # no folder for temporary files
        folders.append(Path(tempfile.gettempdir()))
    return folders


def _kept(fault: Fault) -> str:
    if fault.details is None:
        return "no folder could be written to keep its details; please report it"
    return f"details were written to {fault.details}; please report it with them"


def _details(error: BaseException, number: str) -> str:
    lines = [
        f"renalseg {__version__}, fault {number}",
        f"{datetime.now(UTC).isoformat(timespec='seconds')}",
        f"command: {' '.join(_command(sys.argv))}",
        f"Python {platform.python_version()} on {platform.platform()}",
        *(f"{name} {_version(name)}" for name in _PACKAGES if name in sys.modules),
        "",
        "".join(traceback.format_exception(error)),
        *(["warnings of other packages:", *hidden] if hidden else []),
    ]
    return "\n".join(lines) + "\n"


def _command(words: list[str]) -> list[str]:
    """The command's words without the values of options that name a patient, and passwords."""
    shown: list[str] = []
    for word in words:
        option, equals, _ = word.partition("=")
        if shown and shown[-1] in _PRIVATE:
            shown.append("...")
        elif equals and option in _PRIVATE:
            shown.append(f"{option}=...")
        else:
            shown.append(re.sub(r"//[^/@]*@", "//...@", word))
    return shown


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "?"
