"""The server's SQLite file.

Every change is one transaction and stands on the disk when it returns, so that a server that is
killed at any moment goes on from what it last said.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from renalseg.errors import RenalsegError

#: The file's name in the data folder.
DATABASE = "renalseg.sqlite3"
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE study (
    id TEXT PRIMARY KEY, user TEXT NOT NULL, name TEXT NOT NULL,
    file_name TEXT NOT NULL DEFAULT '', profile TEXT NOT NULL, uncertainty INTEGER NOT NULL,
    state TEXT NOT NULL, problem TEXT, created REAL NOT NULL, expires REAL NOT NULL,
    ticket INTEGER NOT NULL DEFAULT 0, starts INTEGER NOT NULL DEFAULT 0,
    facts TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX study_by_user ON study (user, created);
CREATE INDEX study_by_state ON study (state);
CREATE TABLE version (
    study TEXT NOT NULL REFERENCES study (id) ON DELETE CASCADE, number INTEGER NOT NULL,
    by TEXT NOT NULL, at REAL NOT NULL, made_from INTEGER, PRIMARY KEY (study, number)
);
CREATE TABLE turn (user TEXT PRIMARY KEY, served INTEGER NOT NULL);
CREATE TABLE login (
    key TEXT PRIMARY KEY, user TEXT NOT NULL, token TEXT NOT NULL, expires REAL NOT NULL
);
"""


class Database:
    """The file; may be used from any thread."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            RenalsegError: It is none, or a newer renalseg wrote it.
        """
        self._lock = RLock()
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON",
                            "secure_delete = ON"):  # fmt: skip
                self._connection.execute(f"PRAGMA {setting}")
            ((found,),) = self.rows("PRAGMA user_version")
            if found == 0:
                self._connection.executescript(
                    f"BEGIN; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;"
                )
        except sqlite3.DatabaseError as error:
            raise RenalsegError(
                f"{path}: not a file of renalseg serve ({error}); give another folder with --data"
            ) from None
        if found > _SCHEMA_VERSION:
            raise RenalsegError(f"{path}: written by a newer renalseg; install that one")

    def close(self) -> None:
        """Close the file; its write-ahead log is folded into it."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or, after an error, nothing."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, query: str, *values: Any) -> list[Any]:
        """What a query finds."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def fold(self) -> None:
        """Fold the write-ahead log into the file, so that it holds nothing that was removed."""
        with self._lock:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
