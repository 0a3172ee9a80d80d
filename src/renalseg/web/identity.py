"""Who asks: nobody in particular on this computer, a token's owner, or whom a proxy names."""

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from starlette.requests import HTTPConnection

from renalseg.web.logins import Logins
from renalseg.web.refusal import RefusedError
from renalseg.web.settings import LOCAL_USER, Settings

COOKIE = "renalseg"
CSRF_HEADER = "X-Renalseg-CSRF"
_MINUTE_S = 60.0
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Identity:
    """Who asks.

    Attributes:
        user: The user.
        csrf: What a request of theirs that changes something must carry; nothing where a browser
            cannot have been tricked into sending it, as it came with a token.
    """

    user: str
    csrf: str | None


class Doorkeeper:
    """Knows who asks, and slows down who guesses."""

    def __init__(self, settings: Settings, logins: Logins) -> None:
        self._settings = settings
        self._logins = logins
        self._secret = _secret(settings.data / "secret")
        self._failures: dict[str, deque[float]] = {}

    def identify(self, request: HTTPConnection) -> Identity | None:
        """Who asks; None where that must be said first.

        Raises:
            RefusedError: A proxy that nobody knows says who it is, or tokens are being guessed.
        """
        settings = self._settings
        if settings.user_header:
            return self._named_by_proxy(request, settings.user_header)
        if settings.is_open:
            return Identity(LOCAL_USER, self._csrf(LOCAL_USER))
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            user = self.user_of(token.strip(), request)
            return Identity(user, None) if user else None
        key = request.cookies.get(COOKIE, "")
        user = self._logins.user_of(key, settings.tokens) if key else None
        return Identity(user, self._csrf(key)) if user else None

    def user_of(self, token: str, request: HTTPConnection) -> str | None:
        """Whose token it is.

        Raises:
            RefusedError: Too many wrong ones came from the same address.
        """
        address = self._address(request)
        failures = self._failures.setdefault(address, deque())
        now = time.monotonic()
        while failures and failures[0] < now - _MINUTE_S:
            failures.popleft()
        if len(failures) >= self._settings.limits.failures:
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS, "too many wrong tokens; try again in a minute"
            )
        user = self._settings.tokens.user_of(token)
        if user is None:
            failures.append(now)
        if not failures:
            self._failures.pop(address, None)
        return user

    def is_from_proxy(self, request: HTTPConnection) -> bool:
        """Whether a proxy that is trusted sent it."""
        address = self._address(request)
        return any(_same_address(address, one) for one in self._settings.trusted_proxies)

    def _named_by_proxy(self, request: HTTPConnection, header: str) -> Identity | None:
        if not self.is_from_proxy(request):
            raise RefusedError(HTTPStatus.FORBIDDEN, "come through the proxy that says who you are")
        names = request.headers.getlist(header)
        if len(names) > 1:
            raise RefusedError(
                HTTPStatus.BAD_REQUEST, f"{header} came twice; the proxy must set it"
            )
        user = names[0].strip() if names else ""
        if not user or not user.isprintable() or len(user) > _LONGEST_NAME:
            return None
        return Identity(user, self._csrf(user))

    def _address(self, request: HTTPConnection) -> str:
        return request.client.host if request.client else ""

    def _csrf(self, who: str) -> str:
        return hmac.new(self._secret, f"csrf {who}".encode(), hashlib.sha256).hexdigest()


def _same_address(address: str, trusted: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(trusted, strict=False)
    except ValueError:
        return address == trusted


def _secret(path: Path) -> bytes:
    """The server's own secret, made when it is first needed."""
    if not path.is_file():
        beside = path.with_name(f".{path.name}.part")
        beside.touch(mode=0o600)
        beside.write_bytes(secrets.token_bytes(32))
        beside.replace(path)
    return path.read_bytes()
