"""The configuration of the node and its peers, from one YAML file."""

from ipaddress import ip_address, ip_network
from pathlib import Path
from socket import gaierror, getaddrinfo
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from renalseg.errors import PacsError

#: In ``results_to``: the peer that sent the study.
SENDER = "sender"
Via = Literal["dimse", "dicomweb"]


def _checked_title(title: str) -> str:
    stripped = title.strip()
    plain = stripped.isascii() and stripped.isprintable() and "\\" not in stripped
    if not plain or not 1 <= len(stripped) <= 16:
        raise ValueError("an AE title has 1 to 16 plain letters, digits, signs, and no backslash")
    return stripped


def _checked_network(text: str) -> str:
    ip_network(text, strict=False)
    return text


#: The name of an application entity (PS3.5, VR AE).
AETitle = Annotated[str, AfterValidator(_checked_title)]
Network = Annotated[str, AfterValidator(_checked_network)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Peer(BaseModel):
    """An archive or scanner.

    Attributes:
        ae_title: Its AE title; absent where it speaks DICOMweb alone.
        host: Its host name or address, for DIMSE.
        port: Its port, for DIMSE.
        allowed: Whether it may send studies to the node.
        addresses: Addresses or networks (``10.1.2.0/24``) that it calls from; its host's when
            absent.
        dicomweb: URL of its DICOMweb service.
        user: Name for HTTP basic authentication.
        password: Password that goes with it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ae_title: AETitle | None = None
    host: str | None = None
    port: Port | None = None
    allowed: bool = True
    addresses: tuple[Network, ...] = ()
    dicomweb: str | None = Field(default=None, pattern=r"^https?://[^/@\s]+(/\S*)?$")
    user: str | None = None
    password: SecretStr | None = None

    @property
    def speaks(self) -> tuple[Via, ...]:
        """The protocols it is configured for, the preferred one first."""
        dimse: tuple[Via, ...] = ("dimse",) if self.ae_title else ()
        web: tuple[Via, ...] = ("dicomweb",) if self.dicomweb else ()
        return dimse + web

    def via(self, wanted: Via | None) -> Via:
        """The protocol to use.

        Raises:
            PacsError: If the peer is not configured for the wanted one.
        """
        if wanted is not None and wanted not in self.speaks:
            needed = "dicomweb" if wanted == "dicomweb" else "ae_title, host and port"
            raise PacsError(f"this peer is not set up for {wanted}; give its {needed}")
        return wanted or self.speaks[0]

    def calls_from(self, address: str) -> bool:
        """Whether an address is one that this peer calls from."""
        caller = ip_address(address)
        if self.addresses:
            return any(caller in ip_network(one, strict=False) for one in self.addresses)
        try:
            known = {info[4][0] for info in getaddrinfo(self.host, None)}
        except gaierror:
            return False
        return any(caller == ip_address(str(one).partition("%")[0]) for one in known)

    @model_validator(mode="after")
    def _is_reachable(self) -> "Peer":
        dimse = (self.ae_title, self.host, self.port)
        if any(dimse) and not all(dimse):
            raise ValueError("ae_title, host and port belong together; give all three")
        if not self.speaks:
            raise ValueError("give ae_title, host and port, or dicomweb, or both")
        return self


class NodeConfig(BaseModel):
    """Who we are, whom we know, and how the node works.

    Attributes:
        ae_title: Our AE title.
        host: The address that the node listens at; this machine alone by default.
        port: Its port.
        queue: Folder of the queue, on one file system; relative to the configuration file.
        quiet_s: A study is complete when it got no instance for so long after its connection was
            closed.
        interrupted_s: A study whose connection broke off waits so long to be sent again.
        reserve_gb: Disk space (10^9 bytes) that stays free: below it instances are refused and
            no study is begun.
        keep_days: How long a study that is done is kept, to know it and its results again.
        attempts: How often a study is begun that takes the node down with it.
        retry_s: How long to wait after results could not be sent, at first and at most.
        timeout_s: How long a silent connection is waited for.
        peers: By name.
        results_to: Names of the peers that get results; ``sender`` is the one that sent the study.
        results_via: How; as the peer is configured when absent, over DIMSE if both ways are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ae_title: AETitle = "RENALSEG"
    host: str = "127.0.0.1"
    port: Port = 11112
    queue: Path = Path("renalseg-queue")
    quiet_s: float = Field(default=30, gt=0)
    interrupted_s: float = Field(default=3600, gt=0)
    reserve_gb: float = Field(default=2, ge=0)
    keep_days: float = Field(default=7, ge=0)
    attempts: int = Field(default=3, ge=1)
    retry_s: tuple[float, float] = (2, 300)
    timeout_s: float = Field(default=60, gt=0)
    peers: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")], Peer] = {}
    results_to: tuple[str, ...] = Field(default=(SENDER,), min_length=1)
    results_via: Via | None = None

    def caller(self, ae_title: str, address: str) -> str | None:
        """Name of the allowed peer that calls with this AE title from this address, or None."""
        for name, peer in self.peers.items():
            known = peer.allowed and peer.ae_title == ae_title.strip()
            if known and peer.calls_from(address):
                return name
        return None

    def peer(self, name: str | None) -> Peer:
        """A peer by its name; without one, the only peer there is.

        Raises:
            PacsError: If there is none of that name, or several to choose from.
        """
        known = ", ".join(self.peers) or "none"
        if name is None:
            if len(self.peers) != 1:
                raise PacsError(f"name one of the configured peers; they are: {known}")
            return next(iter(self.peers.values()))
        if name not in self.peers:
            raise PacsError(f"no peer {name!r} in the configuration; its peers are: {known}")
        return self.peers[name]

    @model_validator(mode="after")
    def _names_agree(self) -> "NodeConfig":
        if SENDER in self.peers:
            raise ValueError(f"no peer can be named {SENDER!r}: it stands for who sent a study")
        unknown = sorted(set(self.results_to) - {SENDER, *self.peers})
        if unknown:
            raise ValueError(f"results_to names unknown peers: {', '.join(unknown)}")
        for name in set(self.results_to) - {SENDER}:
            if self.results_via and self.results_via not in self.peers[name].speaks:
                raise ValueError(
                    f"results_via is {self.results_via}, which {name} is not set up for"
                )
        if not 0 < self.retry_s[0] <= self.retry_s[1]:
            raise ValueError("retry_s must be two times in s, the first not longer than the second")
        return self


def load_config(path: Path) -> NodeConfig:
    """Read a configuration file.

    Raises:
        PacsError: If it is missing, not YAML, or says something that makes no sense.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PacsError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PacsError(f"{path}: not YAML ({' '.join(str(error).split())[:160]})") from error
    if not isinstance(content, dict):
        raise PacsError(f"{path}: expected a mapping with ae_title, port and peers")
    try:
        config = NodeConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise PacsError(f"{path}: {where}: {first['msg']}") from None
    queue = path.parent.absolute() / config.queue.expanduser()
    return config.model_copy(update={"queue": queue})
