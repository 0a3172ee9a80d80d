"""Who may come in: names and the hashes of their tokens."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from pathlib import Path

from renalseg.errors import RenalsegError

_NAME = re.compile(r"[\w.@+-]{1,64}")
_HASHED = re.compile(r"sha256:([0-9a-f]{64})")
#: Fewer letters than this can be tried out.
_LEAST = 16


def token_hash(token: str) -> str:
    """SHA-256 of a token, in hexadecimal digits; tokens are long and random, so no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True)
class Tokens:
    """The names and hashed tokens of those who may come in.

    Attributes:
        hashes: By name.
    """

    hashes: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.hashes)

    @classmethod
    def of(cls, tokens: dict[str, str]) -> "Tokens":
        """Tokens by name.

        Raises:
            RenalsegError: A name is none, or a token could be guessed.
        """
        for name, token in tokens.items():
            _check(name, token, "RENALSEG_TOKEN")
        return cls({name: token_hash(token) for name, token in tokens.items()})

    @classmethod
    def read(cls, path: Path) -> "Tokens":
        """Read a file of lines ``name: token`` or ``name: sha256:DIGITS``; ``#`` begins a comment.

        Raises:
            RenalsegError: A line is neither, two are of one name, or there is none.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RenalsegError(f"{path}: cannot be read ({error}); give a text file") from None
        hashes: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            name, colon, token = (part.strip() for part in line.partition(":"))
            where = f"{path}, line {number}"
            if not colon:
                raise RenalsegError(f"{where}: expected 'name: token'")
            if name in hashes:
                raise RenalsegError(f"{where}: a second token of {name}; give one to each name")
            hashed = _HASHED.fullmatch(token)
            if not hashed:
                _check(name, token, where)
            hashes[name] = hashed[1] if hashed else token_hash(token)
        if not hashes:
            raise RenalsegError(f"{path}: no tokens in it; expected lines 'name: token'")
        return cls(hashes)

    def user_of(self, token: str) -> str | None:
        """Whose token it is; takes the same time whoever's it is, and nobody's."""
        wanted = token_hash(token)
        found = None
        for name, known in self.hashes.items():
            if hmac.compare_digest(wanted, known):
                found = name
        return found


def _check(name: str, token: str, where: str) -> None:
    if not _NAME.fullmatch(name):
        raise RenalsegError(f"{where}: expected a name of letters, digits and . @ + - before ':'")
    if len(token) < _LEAST or " " in token:
        raise RenalsegError(
            f"{where}: the token of {name} is too short; expected {_LEAST} letters or more without "
            "spaces, such as `openssl rand -hex 24` prints"
        )
