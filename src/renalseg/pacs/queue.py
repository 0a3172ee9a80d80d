"""The node's queue: a folder per study, in a folder that says how far it is.

    incoming -> waiting -> working -> sending -> done
                   (anything that cannot go on) -> failed

A study moves by one rename. All that is known stands on disk, so a node that was killed goes on
where it was: what was being received waits to be sent again, what was being worked on is begun
again, what was being sent is sent again. Folders and files are named by hashes: neither they nor a
log that names them says whose they are.
"""

import os
import shutil
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from threading import RLock
from typing import IO
from uuid import uuid4

from renalseg.files import write_text
from renalseg.pacs.folders import (
    CLOSED,
    IMAGES,
    PEER,
    RESULTS,
    age_s,
    changed_at,
    closed_at,
    complete,
    holds,
    lock_file,
    remove,
)
from renalseg.pacs.instance import sync_folder, write_durably


class Stage(StrEnum):
    """How far a study is."""

    INCOMING = "incoming"
    WAITING = "waiting"
    WORKING = "working"
    SENDING = "sending"
    DONE = "done"
    FAILED = "failed"


_ATTEMPTS = "attempts"
_SENT = "sent-"
_REASON = "reason.txt"


class Queue:
    """Studies on disk. Every method may be called from any thread.

    Attributes:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = RLock()
        self._held: IO[str] | None = None

    def open(self) -> None:
        """Take the queue and bring order into what a killed node left.

        Raises:
            PacsError: If another node works on it.
        """
        for name in (*Stage, "parts", "trash"):
            (self.root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)
        self._held = lock_file(self.root / "lock")
        for name in ("parts", "trash"):
            for left in (self.root / name).iterdir():
                remove(left)
        for key in self.keys(Stage.WORKING):
            self.move(key, Stage.WORKING, Stage.WAITING)

    def close(self) -> None:
        """Let the queue go."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def folder(self, stage: Stage, key: str) -> Path:
        """The folder of a study."""
        return self.root / stage / key

    def keys(self, stage: Stage) -> list[str]:
        """The studies of a stage, the one that has waited longest first."""
        with self._lock:
            found = [path for path in (self.root / stage).iterdir() if path.is_dir()]
            return [path.name for path in sorted(found, key=lambda path: (closed_at(path), path))]

    def free_bytes(self) -> int:
        """Free space of the disk."""
        return shutil.disk_usage(self.root).free

    def add(self, key: str, name: str, content: bytes, peer: str) -> None:
        """Keep an instance of a study. When this returns it is on the disk.

        An instance that came before is replaced. A study that waits is incoming again; one that is
        further gets a second folder, which waits until the first has come to its end.
        """
        part = self.root / "parts" / uuid4().hex
        write_durably(part, content)
        with self._lock:
            folder = self.folder(Stage.INCOMING, key)
            if not folder.exists() and self.folder(Stage.WAITING, key).exists():
                self.move(key, Stage.WAITING, Stage.INCOMING)
            try:
                (folder / IMAGES).mkdir(parents=True, exist_ok=True)
                (folder / CLOSED).unlink(missing_ok=True)
                if self.peer(Stage.INCOMING, key) != peer:
                    write_text(peer, folder / PEER)
                os.replace(part, folder / IMAGES / name)
            except OSError:
                part.unlink(missing_ok=True)
                raise
            sync_folder(folder / IMAGES)

    def closed(self, key: str) -> None:
        """Note that a study is whole: its connection was closed in good order."""
        with self._lock:
            folder = self.folder(Stage.INCOMING, key)
            if folder.exists():
                (folder / CLOSED).touch()

    def broken(self, quiet_s: float, open_keys: set[str]) -> list[str]:
        """Studies that nobody brings any more and that nobody said are whole."""
        with self._lock:
            folders = [self.folder(Stage.INCOMING, key) for key in self.keys(Stage.INCOMING)]
            return [
                folder.name
                for folder in folders
                if folder.name not in open_keys
                and not closed_at(folder)
                and age_s(changed_at(folder)) >= quiet_s
            ]

    def promote(self, quiet_s: float, open_keys: set[str]) -> list[str]:
        """Let complete studies wait for work.

        Args:
            quiet_s: How long nothing more came.
            open_keys: Studies that a connection brings just now.

        Returns:
            The studies that are complete.
        """
        found = []
        with self._lock:
            for key in self.keys(Stage.INCOMING):
                folder = self.folder(Stage.INCOMING, key)
                came = closed_at(folder)
                if key in open_keys or not came or age_s(came) < quiet_s:
                    continue
                busy = (Stage.WAITING, Stage.WORKING, Stage.SENDING)
                if not any(self.folder(stage, key).exists() for stage in busy):
                    self._take(key)
                    found.append(key)
        return found

    def _take(self, key: str) -> None:
        """Let a study wait for work; where its results are known, for sending."""
        new, done = self.folder(Stage.INCOMING, key), self.folder(Stage.DONE, key)
        if done.exists() and holds(done / IMAGES, new / IMAGES):
            self.forget_sent(Stage.DONE, key)
            write_text(self.peer(Stage.INCOMING, key), done / PEER)
            self.move(key, Stage.DONE, Stage.SENDING)
            self._discard(new)
            return
        for stage in (Stage.FAILED, Stage.DONE):
            complete(new / IMAGES, self.folder(stage, key) / IMAGES)
        self.move(key, Stage.INCOMING, Stage.WAITING)
        self._discard(self.folder(Stage.FAILED, key))

    def fail_interrupted(self, after_s: float, open_keys: set[str]) -> list[str]:
        """Set studies aside whose connection broke off and that nobody sent again for so long."""
        failed = []
        with self._lock:
            for key in self.broken(after_s, open_keys):
                reason = (
                    "the connection broke off before the study was whole, and it was not sent "
                    "again; send it again, or move this folder to waiting if it is whole"
                )
                self.fail(key, Stage.INCOMING, reason)
                failed.append(key)
        return failed

    def take(self) -> str | None:
        """Begin work on the study that has waited longest, if there is one."""
        with self._lock:
            waiting = self.keys(Stage.WAITING)
            if not waiting:
                return None
            self.move(waiting[0], Stage.WAITING, Stage.WORKING)
            return waiting[0]

    def move(self, key: str, start: Stage, end: Stage) -> None:
        """Move a study on; one of the same name that stands there is replaced."""
        with self._lock:
            target = self.folder(end, key)
            self._discard(target)
            self.folder(start, key).rename(target)
            sync_folder(target.parent)
            sync_folder(self.root / start)

    def fail(self, key: str, stage: Stage, reason: str) -> None:
        """Set a study aside, with the reason beside its images."""
        folder = self.folder(stage, key)
        with suppress(OSError):  # a full disk must not keep it where it is
            write_text(reason + "\n", folder / _REASON)
        with self._lock:
            (folder / _ATTEMPTS).unlink(missing_ok=True)  # who moves it back to waiting means it
            self.move(key, stage, Stage.FAILED)

    def finish(self, key: str) -> None:
        """End a study whose results were sent."""
        with self._lock:
            self.move(key, Stage.SENDING, Stage.DONE)
            os.utime(self.folder(Stage.DONE, key))
            self._discard(self.folder(Stage.FAILED, key))

    def expire(self, after_s: float) -> list[str]:
        """Remove studies that are done for so long; gives them."""
        with self._lock:
            old = [
                key
                for key in self.keys(Stage.DONE)
                if age_s(self.folder(Stage.DONE, key).stat().st_mtime) >= after_s
            ]
            for key in old:
                self._discard(self.folder(Stage.DONE, key))
            return old

    def attempts(self, key: str, change: int) -> int:
        """Change how often a study was begun, and give the number."""
        file = self.folder(Stage.WORKING, key) / _ATTEMPTS
        try:
            number = change + int(file.read_text())
        except (FileNotFoundError, ValueError):
            number = change
        write_text(str(number), file)
        return number

    def results(self, key: str) -> list[Path]:
        """What of a study goes back."""
        return sorted((self.folder(Stage.SENDING, key) / RESULTS).glob("*"))

    def peer(self, stage: Stage, key: str) -> str:
        """Name of the peer that brought a study; empty where nobody knows."""
        try:
            return (self.folder(stage, key) / PEER).read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def is_sent(self, key: str, destination: str) -> bool:
        """Whether a destination has all of a study's results."""
        return (self.folder(Stage.SENDING, key) / f"{_SENT}{destination}").exists()

    def note_sent(self, key: str, destination: str) -> None:
        """Note that a destination has all of a study's results."""
        (self.folder(Stage.SENDING, key) / f"{_SENT}{destination}").touch()

    def forget_sent(self, stage: Stage, key: str) -> None:
        """Send a study's results to everyone again."""
        for note in self.folder(stage, key).glob(f"{_SENT}*"):
            note.unlink()

    def _discard(self, folder: Path) -> None:
        """Remove a folder: at once from where it is, then from the disk."""
        if folder.exists():
            trash = self.root / "trash" / uuid4().hex
            folder.rename(trash)
            remove(trash)
