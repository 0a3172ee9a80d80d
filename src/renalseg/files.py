"""Files that are written whole or not at all, and never over what is no plain file."""

import errno
import json
import os
import secrets
from pathlib import Path
from typing import Any


def home() -> Path | None:
    """Folder of what renalseg keeps for its user, ``~/.renalseg``; None without a home."""
    try:
        return Path.home() / ".renalseg"
    except RuntimeError:  # a container's user whom the system does not know
        return None


def write_text(text: str, path: Path) -> None:
    """Write a text file."""
    write_bytes(text.encode(), path)


def write_json(content: Any, path: Path) -> None:
    """Write plain values as JSON."""
    write_text(json.dumps(content, indent=2) + "\n", path)


def write_bytes(content: bytes, path: Path) -> None:
    """Write a file next to its place, then put it there."""
    # short, for the file's own name may be as long as a name can be
    beside = path.with_name(f".renalseg-{secrets.token_hex(8)}.part")
    try:
        with beside.open("xb") as file:
            file.write(content)
        move(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def move(source: Path, target: Path) -> None:
    """Put a file in its place, where a plain file or nothing is.

    Raises:
        OSError: If a folder, a device, a pipe or a link to nowhere is there.
    """
    if os.path.lexists(target) and not target.is_file():
        number = errno.EISDIR if target.is_dir() else errno.EEXIST
        reason = os.strerror(number) if target.is_dir() else "Is no plain file"
        raise OSError(number, reason, str(target))
    os.replace(source, target)
