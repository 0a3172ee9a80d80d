"""A study's folder in the queue: its parts, and what their times say."""

import os
import shutil
import time
from collections.abc import Iterator
from filecmp import cmp
from pathlib import Path
from typing import IO

from renalseg.errors import PacsError

#: What the archive sent, what we make, what goes back.
IMAGES, MADE, RESULTS = "images", "made", "results"
#: Name of the peer that brought a study.
PEER = "peer.txt"
#: Stands, with the time of it, when a study is whole as far as its sender is concerned.
CLOSED = "closed"


def closed_at(folder: Path) -> float:
    """When a study's connection was closed, in s since 1970; 0 where it was not."""
    try:
        return (folder / CLOSED).stat().st_mtime
    except FileNotFoundError:
        return 0


def changed_at(folder: Path) -> float:
    """When an image came last, in s since 1970."""
    images = folder / IMAGES
    return (images if images.exists() else folder).stat().st_mtime


def age_s(then: float) -> float:
    """Seconds from a moment to now; a clock that was set back must not make a study wait for it."""
    return abs(time.time() - then)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*.dcm")) if folder.is_dir() else iter(())


def holds(known: Path, images: Path) -> bool:
    """Whether all images of a folder are among the known ones, byte by byte."""
    return all(
        (known / path.name).exists() and cmp(known / path.name, path, shallow=False)
        for path in _files(images)
    )


def complete(images: Path, earlier: Path) -> None:
    """Add the images that came before and did not come again."""
    for path in _files(earlier):
        if not (images / path.name).exists():
            os.replace(path, images / path.name)


def remove(path: Path) -> None:
    """Remove a file or folder."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def lock_file(path: Path) -> IO[str]:
    """Hold a file that only one process can hold, until it ends, however it ends."""
    file = path.open("w")
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    except OSError:
        file.close()
        raise PacsError(
            f"{path.parent}: another node works on this queue; stop it, or give another folder"
        ) from None
    return file
