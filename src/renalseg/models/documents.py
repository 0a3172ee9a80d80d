"""Text that came with a model: JSON objects, and what may be shown of them in an error."""

import json
import reprlib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from renalseg.errors import ModelError

#: A plan of nnU-Net has a thousandth of this.
_MOST_BYTES = 16 << 20
_MOST_NESTED = 64
_SHOWN = 160


def read_text(path: Path) -> str:
    """Read a text file of a model.

    Raises:
        ModelError: If it is missing, not UTF-8, or too large to be such a file.
    """
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise ModelError(
                f"{path}: expected a text file of at most {_MOST_BYTES >> 20} MiB, got {size} "
                "bytes; copy the model again"
            )
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path}: cannot be read ({reason(error)}); copy the model again"
        ) from None


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ModelError: If the file is missing, damaged, or holds something else.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(
            f"{path}: not readable as JSON ({reason(error)}); copy the model again"
        ) from None
    if not isinstance(content, dict):
        raise ModelError(
            f"{path}: expected a JSON object, got {type(content).__name__}; copy the model again"
        )
    if _is_nested(content, _MOST_NESTED):
        raise ModelError(
            f"{path}: expected objects in objects {_MOST_NESTED} deep at most; copy the model again"
        )
    return content


def _is_nested(content: Any, depth: int) -> bool:
    """Whether something lies deeper than that; what walks it later does so by recursion."""
    level = [content]
    for _ in range(depth):
        inner = [list(node.values()) if isinstance(node, dict) else node for node in level]
        level = [item for node in inner for item in node if isinstance(item, dict | list)]
    return bool(level)


def reason(error: Exception) -> str:
    """What an exception has to say, as a part of a line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        if place:
            got = "" if first["type"] == "missing" else f", got {reprlib.repr(first['input'])}"
            said = f"{place}: {said}{got}"
    elif isinstance(error, OSError) and error.strerror:
        said = error.strerror
    else:
        said = str(error)
    return shown(said) or type(error).__name__


def shown(text: object) -> str:
    """Text that somebody else wrote, on one line, short, and without a terminal's commands."""
    line = " ".join(str(text).split())
    if len(line) > _SHOWN:
        line = line[:_SHOWN] + "..."
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in line)
