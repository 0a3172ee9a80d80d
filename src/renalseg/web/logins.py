"""Browsers that have shown a token, in the database."""

import secrets
import time

from renalseg.web.database import Database
from renalseg.web.settings import DAY_S
from renalseg.web.tokens import Tokens, token_hash

#: A browser shows its token again after so long.
LOGIN_S = 7 * DAY_S


class Logins:
    """Who is logged in; a browser's key is kept as its hash alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, user: str, hashed_token: str) -> str:
        """Let a browser in; gives its key."""
        key = secrets.token_urlsafe(32)
        now = time.time()
        with self._database.change() as db:
            db.execute("DELETE FROM login WHERE expires < ?", (now,))
            db.execute(
                "INSERT INTO login VALUES (?, ?, ?, ?)",
                (token_hash(key), user, hashed_token, now + LOGIN_S),
            )
        return key

    def user_of(self, key: str, tokens: Tokens) -> str | None:
        """Whose browser it is: nobody's where the user's token is no longer the same."""
        found = self._database.rows(
            "SELECT user, token FROM login WHERE key = ? AND expires > ?",
            token_hash(key),
            time.time(),
        )
        if not found:
            return None
        user, token = found[0]
        return str(user) if tokens.hashes.get(user) == token else None

    def end(self, key: str) -> None:
        """Let a browser out."""
        with self._database.change() as db:
            db.execute("DELETE FROM login WHERE key = ?", (token_hash(key),))
