"""What we ask of an archive over DIMSE: C-FIND, C-MOVE, C-GET and C-STORE."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renalseg.errors import PacsError
from renalseg.pacs.config import NodeConfig, Peer
from renalseg.pacs.faults import RefusedError, UnreachableError
from renalseg.pacs.instance import Identity, identify
from renalseg.pacs.receive import SUCCESS, entity, send_at_once, serving, stored

if TYPE_CHECKING:
    from pydicom import Dataset
    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

# Study Root (PS3.4, C.6.2), the one that every archive has.
_FIND, _MOVE, _GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))
_PENDING = (0xFF00, 0xFF01)
_UNKNOWN_DESTINATION = 0xA801
_MOST_CONTEXTS = 128
_REJECTED_FOR_NOW = 0x02
#: How CT images are stored (PS3.5, A), the most frequent first.
_SYNTAXES = (
    "1.2.840.10008.1.2.1",  # explicit VR, little endian
    "1.2.840.10008.1.2",  # implicit VR
    "1.2.840.10008.1.2.4.70",  # JPEG, lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000, lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS, lossless
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.2",  # big endian
    "1.2.840.10008.1.2.1.99",  # deflated
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.4.81",  # JPEG-LS
    "1.2.840.10008.1.2.4.57",  # JPEG, lossless, any predictor
    "1.2.840.10008.1.2.4.51",  # JPEG, 12 bit
    "1.2.840.10008.1.2.4.50",  # JPEG, 8 bit
)

#: Told of each instance that was fetched: whose it is, and its bytes as a file.
OnFetched = Callable[[Identity, bytes], None]


def find(
    peer: Peer, own: NodeConfig, level: str, keys: dict[str, str], asked: Sequence[str]
) -> list["Dataset"]:
    """What an archive finds (C-FIND, Study Root).

    Args:
        peer: The archive.
        own: Who asks.
        level: STUDY, SERIES or IMAGE.
        keys: What must match, by keyword.
        asked: Keywords of what else is wanted.

    Raises:
        UnreachableError: If it does not answer.
        RefusedError: If it will not search.
    """
    with _associated(peer, own, [_context(_FIND)]) as association:
        query = _query(level, {**dict.fromkeys(asked, ""), **keys})
        answers = []
        for status, answer in association.send_c_find(query, _FIND):
            if _code(status, peer) in _PENDING and answer is not None:
                answers.append(answer)
            elif _code(status, peer) not in (SUCCESS, *_PENDING):
                raise RefusedError(f"{_name(peer)}: does not search (status {status.Status:#06x})")
        return answers


def move(peer: Peer, own: NodeConfig, keys: dict[str, str], fetched: OnFetched) -> None:
    """Have an archive send to us (C-MOVE); we listen meanwhile.

    Args:
        peer: The archive; it must know our AE title, host and port.
        own: Who asks, and where we listen.
        keys: Study Instance UID, and perhaps Series Instance UID.
        fetched: Called with each instance.

    Raises:
        UnreachableError: If it does not answer.
        RefusedError: If it will not send, or not all.
        PacsError: If we cannot listen.
    """

    def keep(instance: Identity, content: bytes, _: "Association") -> int:
        fetched(instance, content)
        return SUCCESS

    caller = peer.model_copy(update={"allowed": True})
    listening = own.model_copy(update={"peers": {"archive": caller}})
    with (
        serving(listening, keep, lambda *_: None),
        _associated(peer, own, [_context(_MOVE)]) as association,
    ):
        association.dimse_timeout = None  # no answer comes until the archive has sent something
        for status, _ in association.send_c_move(_query(_level(keys), keys), own.ae_title, _MOVE):
            if status.get("Status") == _UNKNOWN_DESTINATION:
                raise RefusedError(
                    f"{_name(peer)}: does not know {own.ae_title}; tell it that {own.ae_title} is "
                    f"at this machine's port {own.port}"
                )
            _check_transfer(status, peer)


def get(
    peer: Peer, own: NodeConfig, keys: dict[str, str], classes: Iterable[str], fetched: OnFetched
) -> None:
    """Fetch over the connection that we opened (C-GET).

    Args:
        peer: The archive.
        own: Who asks.
        keys: Study Instance UID, and perhaps Series Instance UID.
        classes: SOP classes of what is there.
        fetched: Called with each instance.

    Raises:
        UnreachableError: If it does not answer.
        RefusedError: If it will not send, or not all.
    """
    from pynetdicom import build_role, evt

    def keep(instance: Identity, content: bytes, _: "Association") -> int:
        fetched(instance, content)
        return SUCCESS

    # a context of its own for each: of several an archive takes the first, and may not convert
    wanted = sorted(set(classes))
    pairs = [(one, syntax) for syntax in _SYNTAXES for one in wanted][: _MOST_CONTEXTS - 1]
    contexts = [_context(_GET), *(_context(one, [syntax]) for one, syntax in pairs)]
    roles = [build_role(one, scp_role=True) for one in wanted]
    handlers = [(evt.EVT_C_STORE, lambda event: stored(event, keep))]
    with _associated(peer, own, contexts, roles, handlers) as association:
        for status, _ in association.send_c_get(_query(_level(keys), keys), _GET):
            _check_transfer(status, peer)


def store(peer: Peer, own: NodeConfig, files: Sequence[Path], sent: Callable[[], None]) -> None:
    """Send files (C-STORE), each in the transfer syntax that it has.

    Args:
        peer: The archive.
        own: Who sends.
        files: DICOM files.
        sent: Called after each.

    Raises:
        UnreachableError: If it does not answer.
        RefusedError: If it will not take a file.
        PacsError: If a file is no DICOM instance.
    """
    kinds = {path: identify(path) for path in files}
    pairs = sorted({(one.sop_class, one.transfer_syntax) for one in kinds.values()})
    for start in range(0, len(pairs), _MOST_CONTEXTS):
        part = pairs[start : start + _MOST_CONTEXTS]
        chosen = [
            path for path, one in kinds.items() if (one.sop_class, one.transfer_syntax) in part
        ]
        contexts = [_context(sop_class, [syntax]) for sop_class, syntax in part]
        with _associated(peer, own, contexts) as association:
            for path in chosen:
                _store_one(association, peer, path)
                sent()


def _store_one(association: "Association", peer: Peer, path: Path) -> None:
    if not association.is_established:
        raise UnreachableError(f"{_name(peer)}: the connection broke off; try again")
    try:
        status = association.send_c_store(path)
    except RuntimeError as error:
        raise UnreachableError(f"{_name(peer)}: the connection broke off; try again") from error
    except (ValueError, AttributeError) as error:
        raise RefusedError(
            f"{path}: {_name(peer)} does not take this kind of object, or not its encoding"
        ) from error
    code = _code(status, peer)
    if code != SUCCESS and code >> 12 != 0xB:  # 0xBxxx: stored, with a warning
        raise RefusedError(f"{path}: {_name(peer)} refused it (status {code:#06x})")


@contextmanager
def _associated(
    peer: Peer,
    own: NodeConfig,
    contexts: list["PresentationContext"],
    roles: Sequence[Any] = (),
    handlers: Sequence[Any] = (),
) -> Iterator["Association"]:
    """An association with a peer, released in the end."""
    if not (peer.host and peer.port and peer.ae_title):
        raise PacsError("this peer is not set up for dimse; give its ae_title, host and port")
    from pynetdicom import evt

    association = entity(own).associate(
        peer.host,
        peer.port,
        contexts=contexts,
        ae_title=peer.ae_title,
        ext_neg=list(roles) or None,
        evt_handlers=[(evt.EVT_CONN_OPEN, send_at_once), *handlers],
    )
    if association.is_rejected:
        if getattr(association.acceptor.primitive, "result", None) == _REJECTED_FOR_NOW:
            raise UnreachableError(f"{_name(peer)}: is busy; try again later")
        raise RefusedError(
            f"{_name(peer)}: refuses {own.ae_title}; tell it our AE title, or check its own"
        )
    if not association.is_established:
        if association.rejected_contexts:
            raise RefusedError(f"{_name(peer)}: accepts nothing of what it was asked for")
        raise UnreachableError(f"{_name(peer)}: does not answer; check host and port")
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    else:
        association.release()


def _context(sop_class: str, syntaxes: Sequence[str] | None = None) -> "PresentationContext":
    from pynetdicom.presentation import build_context

    return build_context(sop_class, None if syntaxes is None else list(syntaxes))


def _query(level: str, keys: dict[str, str]) -> "Dataset":
    from pydicom import Dataset

    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    return query


def _level(keys: dict[str, str]) -> str:
    return "SERIES" if "SeriesInstanceUID" in keys else "STUDY"


def _code(status: Any, peer: Peer) -> int:
    """The status of an answer.

    Raises:
        UnreachableError: If there was none.
    """
    if "Status" not in status:
        raise UnreachableError(
            f"{_name(peer)}: the connection broke off; try again, or tell it our AE title"
        )
    return int(status.Status)


def _check_transfer(status: Any, peer: Peer) -> None:
    """Refuse a C-MOVE or C-GET that did not go through as a whole."""
    code = _code(status, peer)
    failed = status.get("NumberOfFailedSuboperations") or 0
    if code not in (SUCCESS, *_PENDING) or (code == SUCCESS and failed):
        raise RefusedError(
            f"{_name(peer)}: did not send everything (status {code:#06x}, {failed} failed)"
        )


def _name(peer: Peer) -> str:
    return f"{peer.ae_title} at {peer.host}:{peer.port}"
