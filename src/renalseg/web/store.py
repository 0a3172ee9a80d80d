"""Studies and the versions of their masks, in the database."""

import secrets
import time
from typing import Any

from renalseg.web.database import Database
from renalseg.web.study import Facts, State, Study, Version

_COLUMNS = (
    "id, user, name, file_name, profile, uncertainty, state, problem, created, expires, starts, "
    "facts"
)


class Store:
    """Studies; its methods may be called from any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self, user: str, name: str, profile: str, *, uncertainty: bool, kept_s: float, most: int
    ) -> Study | None:
        """A new study that waits for its files; None where the user has ``most`` already."""
        now = time.time()
        identifier = secrets.token_hex(16)
        with self._database.change() as db:
            (count,) = db.execute(
                "SELECT COUNT(*) FROM study WHERE user = ? AND state != ?", (user, State.DELETED)
            ).fetchone()
            if count >= most:
                return None
            db.execute(
                "INSERT INTO study (id, user, name, profile, uncertainty, state, created, expires)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (identifier, user, name, profile, uncertainty, State.UPLOADING, now, now + kept_s),
            )
        return self.study(identifier)

    def study(self, identifier: str) -> Study | None:
        """A study, whosever it is; none that was deleted."""
        found = self._studies("id = ?", identifier)
        return found[0] if found else None

    def studies_of(self, user: str) -> list[Study]:
        """A user's studies, the oldest first."""
        return self._studies("user = ?", user)

    def all_studies(self) -> list[Study]:
        """Everybody's studies, the oldest first."""
        return self._studies("1")

    def expired(self, now: float, upload_s: float) -> list[Study]:
        """Studies whose time is over, and such whose files have not come within ``upload_s``."""
        return self._studies(
            "(expires < ? OR (state = ? AND created < ?))", now, State.UPLOADING, now - upload_s
        )

    def _studies(self, where: str, *values: Any) -> list[Study]:
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM study WHERE {where} AND state != ?"  # noqa: S608
            " ORDER BY created, id",
            *values,
            State.DELETED,
        )
        return [self._study(row) for row in rows]

    def _study(self, row: Any) -> Study:
        named = dict(zip(_COLUMNS.split(", "), row, strict=True))
        versions = self._database.rows(
            "SELECT number, by, at, made_from FROM version WHERE study = ? ORDER BY number",
            named["id"],
        )
        named |= {
            "uncertainty": bool(named["uncertainty"]),
            "state": State(named["state"]),
            "facts": Facts.loaded(named["facts"]),
            "versions": tuple(Version(*one) for one in versions),
        }
        return Study(**named)

    def set_file_name(self, identifier: str, file_name: str) -> None:
        """Remember what the user calls the image or archive that was sent."""
        with self._database.change() as db:
            db.execute("UPDATE study SET file_name = ? WHERE id = ?", (file_name, identifier))

    def set_facts(self, identifier: str, facts: Facts) -> None:
        """Remember what became known of a study that is being worked on."""
        with self._database.change() as db:
            db.execute(
                "UPDATE study SET facts = ? WHERE id = ? AND state = ?",
                (facts.dumped(), identifier, State.RUNNING),
            )

    def add_version(self, identifier: str, by: str, made_from: int, number: int) -> Version | None:
        """A correction of a mask; None where the study is gone."""
        version = Version(number, by, time.time(), made_from)
        with self._database.change() as db:
            added = db.execute(
                "INSERT INTO version SELECT id, ?, ?, ?, ? FROM study WHERE id = ? AND state = ?",
                (number, by, version.at, made_from, identifier, State.DONE),
            )
            return version if added.rowcount == 1 else None

    def counts(self) -> dict[State, int]:
        """How many studies are in each state."""
        found = dict(self._database.rows("SELECT state, COUNT(*) FROM study GROUP BY state"))
        return {state: found.get(state, 0) for state in State}

    # Removal: hidden first, then the files, then the row; a crash leaves no file without a row.

    def hide(self, identifier: str) -> None:
        """Nobody sees the study any more; all that was said of it is forgotten at once."""
        with self._database.change() as db:
            db.execute(
                "UPDATE study SET state = ?, name = '', file_name = '', problem = NULL,"
                " facts = '{}' WHERE id = ?",
                (State.DELETED, identifier),
            )
            db.execute("DELETE FROM version WHERE study = ?", (identifier,))

    def forget(self, identifier: str) -> None:
        """The files of a hidden study are gone."""
        with self._database.change() as db:
            db.execute("DELETE FROM study WHERE id = ? AND state = ?", (identifier, State.DELETED))
        self._database.fold()

    def hidden(self) -> list[str]:
        """Studies whose files are still to go."""
        rows = self._database.rows("SELECT id FROM study WHERE state = ?", State.DELETED)
        return [identifier for (identifier,) in rows]

    def known(self) -> set[str]:
        """All identifiers, hidden ones too."""
        return {identifier for (identifier,) in self._database.rows("SELECT id FROM study")}
