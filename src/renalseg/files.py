"""Text files that are written whole or not at all."""

import json
import os
from pathlib import Path
from typing import Any


def write_text(text: str, path: Path) -> None:
    """Write a text file beside its place, then put it there."""
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def write_json(content: Any, path: Path) -> None:
    """Write plain values as JSON."""
    write_text(json.dumps(content, indent=2) + "\n", path)
