"""The queue of studies, in the database: it outlives the server."""

import sqlite3
import time
from collections.abc import Collection

from renalseg.web.database import Database
from renalseg.web.study import ENSEMBLE, Facts, State
from renalseg.web.turns import Waiting, in_turn

#: A study that was running when the server died so often is not begun again.
MOST_STARTS = 3


class Queue:
    """Studies that wait, run and end; its methods may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, identifier: str, states: Collection[State]) -> bool:
        """Let a study wait for its turn; False where it is in none of the states."""
        marks = ", ".join("?" * len(states))
        with self._database.change() as db:
            (ticket,) = db.execute("SELECT COALESCE(MAX(ticket), 0) + 1 FROM study").fetchone()
            added = db.execute(
                "UPDATE study SET state = ?, ticket = ?, problem = NULL, starts = 0 WHERE id = ?"  # noqa: S608
                f" AND state IN ({marks})",
                (State.QUEUED, ticket, identifier, *states),
            )
            return added.rowcount == 1

    def order(self) -> list[Waiting]:
        """The studies that wait, in the order in which they will be worked on."""
        waiting = self._database.rows(
            "SELECT id, user, ticket FROM study WHERE state = ?", State.QUEUED
        )
        served = dict(self._database.rows("SELECT user, served FROM turn"))
        return in_turn((Waiting(*row) for row in waiting), served)

    def take(self) -> str | None:
        """Begin the study whose turn it is; None where none waits."""
        with self._database.change() as db:
            order = self.order()
            if not order:
                return None
            first = order[0]
            db.execute(
                "UPDATE study SET state = ?, starts = starts + 1 WHERE id = ?",
                (State.RUNNING, first.id),
            )
            db.execute(
                "INSERT OR REPLACE INTO turn SELECT ?, COALESCE(MAX(served), 0) + 1 FROM turn",
                (first.user,),
            )
            return first.id

    def finish(self, identifier: str, facts: Facts) -> bool:
        """A running study is done, and has its first mask; False where nobody waits for it."""
        with self._database.change() as db:
            done = db.execute(
                "UPDATE study SET state = ?, facts = ? WHERE id = ? AND state = ?",
                (State.DONE, facts.dumped(), identifier, State.RUNNING),
            )
            if done.rowcount == 1:
                db.execute(
                    "INSERT OR REPLACE INTO version VALUES (?, 1, ?, ?, NULL)",
                    (identifier, ENSEMBLE, time.time()),
                )
            return done.rowcount == 1

    def fail(self, identifier: str, problem: str) -> bool:
        """A running study has failed; False where nobody waits for it."""
        with self._database.change() as db:
            return _fail(db, identifier, problem)

    def cancel(self, identifier: str) -> bool:
        """A study that waits or runs is wanted no more; False where it does neither."""
        with self._database.change() as db:
            cancelled = db.execute(
                "UPDATE study SET state = ? WHERE id = ? AND state IN (?, ?)",
                (State.CANCELLED, identifier, State.QUEUED, State.RUNNING),
            )
            return cancelled.rowcount == 1

    def put_back(self, identifier: str) -> None:
        """Let a running study wait again, before all others; its start does not count."""
        with self._database.change() as db:
            _put_back(db, identifier, uncounted=1)

    def recover(self) -> None:
        """Let what was running when a server died wait again, before all others.

        A study that was running at each of three deaths has failed.
        """
        with self._database.change() as db:
            running = db.execute(
                "SELECT id, starts FROM study WHERE state = ?", (State.RUNNING,)
            ).fetchall()
            for identifier, starts in running:
                if starts < MOST_STARTS:
                    _put_back(db, identifier, uncounted=0)
                else:
                    text = (
                        f"the server stopped {MOST_STARTS} times while it worked on this scan; it "
                        "may need more memory than there is"
                    )
                    _fail(db, identifier, text)


def _fail(db: sqlite3.Connection, identifier: str, problem: str) -> bool:
    failed = db.execute(
        "UPDATE study SET state = ?, problem = ? WHERE id = ? AND state = ?",
        (State.FAILED, problem, identifier, State.RUNNING),
    )
    return failed.rowcount == 1


def _put_back(db: sqlite3.Connection, identifier: str, uncounted: int) -> None:
    db.execute(
        "UPDATE study SET state = ?, starts = starts - ?,"
        " ticket = (SELECT MIN(ticket) - 1 FROM study) WHERE id = ? AND state = ?",
        (State.QUEUED, uncounted, identifier, State.RUNNING),
    )
    # its user has not had the turn
    db.execute("DELETE FROM turn WHERE user = (SELECT user FROM study WHERE id = ?)", (identifier,))
