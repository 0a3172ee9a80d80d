"""Places of results, checked before the work: no input, device or foreign file is ever replaced."""

import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from renalseg.errors import OutputError


class Inputs:
    """Files that no result may replace: the given ones, and those in the given folders.

    Files are compared by what they are, not by name: other spellings, links and hard links count.
    """

    def __init__(self, *places: Path | None) -> None:
        self._places = [place for place in places if place is not None]

    @cached_property
    def _identities(self) -> set[tuple[int, int]]:
        found = set()
        for place in self._places:
            with suppress(OSError):
                found.add(_identity(place.stat()))
            for folder, _, names in os.walk(place) if place.is_dir() else ():
                for name in names:
                    with suppress(OSError):
                        found.add(_identity((Path(folder) / name).stat()))
        return found

    def hold(self, path: Path) -> bool:
        """Whether a file is one of them; one that does not exist is not."""
        try:
            return _identity(path.stat()) in self._identities
        except OSError:
            return False


def check_output(
    path: Path,
    inputs: Inputs | None = None,
    *,
    is_ours: Callable[[Path], bool] = lambda _: False,
    hint: str = "remove it, or give another name",
) -> None:
    """Check that a result can be written, and replaces nothing but an earlier result.

    Args:
        path: The result's file.
        inputs: What the command reads.
        is_ours: Whether an existing file is an earlier result, which may be replaced.
        hint: What to do about an existing file that is none.

    Raises:
        OutputError: If not.
    """
    check_replaced(path, inputs, is_ours=is_ours, hint=hint)
    check_folder(path.parent)


def check_replaced(
    path: Path,
    inputs: Inputs | None = None,
    *,
    is_ours: Callable[[Path], bool] = lambda _: False,
    hint: str = "remove it, or give another name",
) -> None:
    """Check what a result would replace alone; see :func:`check_output`."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); {hint}") from None
    try:
        mode = path.stat().st_mode
    except OSError:
        raise OutputError(f"{path}: is a link to nowhere; {hint}") from None
    if stat.S_ISDIR(mode):
        raise OutputError(f"{path}: is a folder; give a file's name")
    if not stat.S_ISREG(mode):
        raise OutputError(f"{path}: is a device or pipe, not a file; give a file's name")
    if inputs is not None and inputs.hold(path):
        raise OutputError(f"{path}: is an input and would be replaced; give another name")
    if not is_ours(path):
        raise OutputError(f"{path}: exists, and is not known as a result of this command; {hint}")


def check_folder(folder: Path) -> None:
    """Check that files can be written to a folder; it need not exist yet.

    Raises:
        OutputError: If they cannot.
    """
    existing = folder
    try:
        while not os.path.lexists(existing) and existing != existing.parent:
            existing = existing.parent
        with tempfile.TemporaryDirectory(prefix=".renalseg-", dir=existing):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{folder}: cannot be written to ({existing}: {reason}); give another place"
        ) from None


def begins_with(start: str) -> Callable[[Path], bool]:
    """A test for :func:`check_output`: whether a file begins with a text."""

    def test(path: Path) -> bool:
        with path.open("rb") as file:
            return file.read(len(start.encode())) == start.encode()

    return test


def contains(mark: str, *, start: str) -> Callable[[Path], bool]:
    """A test for :func:`check_output`: whether a file begins with a text and has a mark."""

    def test(path: Path) -> bool:
        content = path.read_bytes()
        return content.lstrip().startswith(start.encode()) and mark.encode() in content

    return test


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
