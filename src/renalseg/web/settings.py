"""How a server is set up."""

import ipaddress
import os
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from renalseg.errors import OutputError, RenalsegError, RenalsegWarning
from renalseg.files import home
from renalseg.labels import DiameterLine
from renalseg.outputs import check_folder
from renalseg.web.tokens import Tokens

#: The one user of a server that asks nobody who they are.
LOCAL_USER = "local"
DAY_S = 86_400.0


class ServeError(RenalsegError):
    """A server cannot be started as it was asked to."""


class TemporaryDataWarning(RenalsegWarning):
    """Studies are kept where they may not last."""


@dataclass(frozen=True)
class Limits:
    """What one user may ask for.

    Attributes:
        upload_mb: Bytes of one study as it is sent, in 10^6.
        unpacked_mb: Bytes of what comes out of a zip, in 10^6.
        files: Files of one study.
        studies: Studies of one user.
        reserve_mb: Bytes of the disk that are left free, in 10^6.
        stall_s: A body of which nothing arrives for so long is given up.
        streams: Event streams of one user at once.
        failures: Wrong tokens from one address within a minute.
    """

    upload_mb: int = 2048
    unpacked_mb: int = 4096
    files: int = 5000
    studies: int = 500
    reserve_mb: int = 500
    stall_s: float = 60.0
    streams: int = 20
    failures: int = 20


@dataclass(frozen=True)
class Settings:
    """How a server is set up.

    Attributes:
        model: The ensemble's folder.
        data: Where studies and results are kept.
        host: The address that it binds to.
        port: The port.
        tokens: Who may come in; none leaves the door to whoever is on this computer.
        user_header: A reverse proxy's header that says who it is, instead of tokens.
        trusted_proxies: Addresses whose word is taken for it.
        days_kept: Studies are removed after so many days.
        device: See :meth:`renalseg.pipeline.Segmenter.load`.
        memory_gb: A bound for predictions, in 10^9 bytes; None takes what the scan needs.
        limits: What one user may ask for.
        diameter: The line that scores take for a tumor's largest diameter.

    Raises:
        ServeError: It would let in people whom nobody knows.
    """

    model: Path
    data: Path
    host: str = "127.0.0.1"
    port: int = 8765
    tokens: Tokens = field(default_factory=Tokens)
    user_header: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    days_kept: int = 30
    device: str = "auto"
    memory_gb: float | None = None
    limits: Limits = field(default_factory=Limits)
    diameter: DiameterLine = DiameterLine.AXIAL

    def __post_init__(self) -> None:
        """Refuse doors without locks."""
        if self.user_header and not self.trusted_proxies:
            raise ServeError(
                "--user-header: anybody could send it; name the proxy with --trusted-proxy ADDRESS"
            )
        if self.trusted_proxies and not self.user_header:
            raise ServeError("--trusted-proxy: also name the header with --user-header NAME")
        if self.user_header and self.tokens:
            raise ServeError("give --tokens or --user-header, not both")
        if self.is_open and not is_loopback(self.host):
            raise ServeError(
                f"--host {self.host}: others could come in; give --tokens FILE (a line "
                "'name: token' for each person), RENALSEG_TOKEN, or --user-header and "
                "--trusted-proxy"
            )

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked who they are: one user, on this computer."""
        return not self.tokens and self.user_header is None

    @property
    def kept_s(self) -> float:
        """How long a study is kept, in seconds."""
        return self.days_kept * DAY_S


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this computer's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def default_data() -> Path:
    """Where studies are kept unless it is said: RENALSEG_SERVE_DATA, or ``~/.renalseg/serve``.

    Raises:
        ServeError: If neither is known.
    """
    if given := os.environ.get("RENALSEG_SERVE_DATA"):
        return Path(given)
    own = home()
    if own is None:
        raise ServeError("no home folder to keep studies in; give --data or RENALSEG_SERVE_DATA")
    return own / "serve"


def data_or_temporary() -> Path:
    """The default folder for studies; without a home that can be written to, a temporary one.

    Warns:
        TemporaryDataWarning: If it is temporary.

    Raises:
        OutputError: If RENALSEG_SERVE_DATA names a folder that cannot be written to.
    """
    try:
        folder = default_data()
        check_folder(folder)
    except (ServeError, OutputError):
        if os.environ.get("RENALSEG_SERVE_DATA"):
            raise
        folder = Path(tempfile.mkdtemp(prefix="renalseg-serve-"))
        warnings.warn(
            f"no home folder can be written to, so studies are kept in {folder}, which may not "
            "last; give --data to keep them",
            TemporaryDataWarning,
            stacklevel=2,
        )
    return folder
