"""Taking instances from configured peers: Storage and Verification as a service class provider.

A caller is served only if both its AE title and its address are those of one allowed peer, and it
calls us by our AE title. An instance is answered with success only when it is on the disk.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import IPPROTO_TCP, TCP_NODELAY
from threading import Lock
from typing import TYPE_CHECKING, Any

from renalseg.errors import PacsError
from renalseg.pacs.config import NodeConfig
from renalseg.pacs.faults import log_fault
from renalseg.pacs.instance import Identity, identify, image_name, part10, pseudonym
from renalseg.pacs.queue import Queue
from renalseg.volume.dicom.syntaxes import CT_CLASSES, DEFLATED, READABLE

if TYPE_CHECKING:
    from pynetdicom import AE
    from pynetdicom.association import Association
    from pynetdicom.events import Event

log = logging.getLogger(__name__)

# Statuses of C-STORE (PS3.4, table B.2-1).
SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000
# Rejection (PS3.8, 9.3.4): for good, by the service user, calling AE title not recognised.
_STRANGER = (0x01, 0x01, 0x03)
_MOST_ASSOCIATIONS = 16
#: The most that other toolkits send in one piece.
_PDU_BYTES = 2**17

#: Given an instance, its bytes as a file and the association's number; gives the status.
OnInstance = Callable[[Identity, bytes, "Association"], int]


def entity(config: NodeConfig) -> "AE":
    """Our application entity.

    Raises:
        PacsError: If pynetdicom is not installed.
    """
    try:
        from pynetdicom import AE
    except ImportError:
        raise PacsError(
            "DIMSE needs pynetdicom; install it with pip install 'renalseg[pacs]'"
        ) from None
    own = AE(ae_title=config.ae_title)
    own.network_timeout = own.acse_timeout = own.dimse_timeout = config.timeout_s
    own.connection_timeout = min(config.timeout_s, 10)
    own.maximum_pdu_size = _PDU_BYTES
    return own


def send_at_once(event: "Event") -> None:
    """Turn off Nagle's algorithm, which makes each instance wait 40 ms for an acknowledgement."""
    connection = event.assoc.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)


@contextmanager
def serving(
    config: NodeConfig, on_instance: OnInstance, closed: Callable[["Association", bool], None]
) -> Iterator[None]:
    """Listen for peers.

    Args:
        config: Who we are and whom we serve.
        on_instance: Called with each instance, from its association's thread.
        closed: Called when an association has ended, with whether it was in good order.

    Raises:
        PacsError: If the address is taken, or not this machine's.
    """
    own = entity(config)
    from pynetdicom import evt
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    own.require_called_aet = True
    own.maximum_associations = _MOST_ASSOCIATIONS
    own.add_supported_context(Verification)
    for sop_class, syntaxes in offered():
        own.add_supported_context(sop_class, syntaxes)
    handlers: list[Any] = [
        (evt.EVT_CONN_OPEN, send_at_once),
        (evt.EVT_REQUESTED, lambda event: _check_caller(event, config)),
        (evt.EVT_C_ECHO, lambda _: SUCCESS),
        (evt.EVT_C_STORE, lambda event: stored(event, on_instance)),
        (evt.EVT_RELEASED, lambda event: closed(event.assoc, True)),
        (evt.EVT_ABORTED, lambda event: closed(event.assoc, False)),
    ]
    try:
        own.start_server((config.host, config.port), block=False, evt_handlers=handlers)
    except OSError as error:
        raise PacsError(
            f"{config.host}:{config.port}: cannot listen there ({error.strerror or error}); "
            "give another host or port"
        ) from error
    try:
        yield
    finally:
        own.shutdown()


def offered() -> Iterator[tuple[str, list[str]]]:
    """The storage classes that are taken, each with the transfer syntaxes that it may come in.

    CT images come in those whose pixels can be read, so that a sender which has them in another
    converts them. All else is let go unread, and taken in any; but for deflated ones, which would
    be inflated to see whose they are.
    """
    from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts

    unread = [syntax for syntax in ALL_TRANSFER_SYNTAXES if syntax not in DEFLATED]
    for context in AllStoragePresentationContexts:
        sop_class = str(context.abstract_syntax)
        yield sop_class, list(READABLE) if sop_class in CT_CLASSES else unread


def calling(association: "Association") -> tuple[str, str]:
    """AE title and address of who opened an association."""
    request = association.requestor.primitive
    return str(getattr(request, "calling_ae_title", "")), association.requestor.address


def _check_caller(event: "Event", config: NodeConfig) -> None:
    title, address = calling(event.assoc)
    if config.caller(title, address) is None:
        log.warning("refused %r at %s: not a configured peer", title, address)
        event.assoc.acse.send_reject(*_STRANGER)
        event.assoc.kill()  # waits until the answer is out


def stored(event: "Event", on_instance: OnInstance) -> int:
    """Answer a C-STORE request; nothing that goes wrong may leave it without an answer."""
    try:
        request: Any = event.request
        sop_class, sop_uid = request.AffectedSOPClassUID, request.AffectedSOPInstanceUID
        content = part10(
            sop_class,
            sop_uid,
            event.context.transfer_syntax,
            event.encoded_dataset(include_meta=False),
        )
        instance = identify(content)
        if (instance.sop_class, instance.sop_uid) != (sop_class, sop_uid):
            return DOES_NOT_MATCH
        return on_instance(instance, content, event.assoc)
    except PacsError:
        return CANNOT_UNDERSTAND
    except OSError as error:
        log.error("an instance cannot be kept (%s); it was refused", error.strerror)  # noqa: TRY400
        return OUT_OF_RESOURCES
    except Exception as error:  # the text of it may hold what the instance holds
        log_fault(log, "an instance cannot be read", error)
        return CANNOT_UNDERSTAND


class Reception:
    """What open associations bring, and when it is whole.

    Attributes:
        queue: Where studies are kept.
        config: Who may send, and how much disk stays free.
    """

    def __init__(self, queue: Queue, config: NodeConfig) -> None:
        self.queue, self.config = queue, config
        self._brought: dict[Association, tuple[str, set[str]]] = {}
        self._whole: set[str] = set()
        self._lock = Lock()

    def instance(self, instance: Identity, content: bytes, association: "Association") -> int:
        """Keep an instance.

        What is no CT image is taken and let go, so that a study that is sent as a whole does not
        fail on it, and our own results, sent back to us by a rule, do not begin a new round.
        """
        if instance.sop_class not in CT_CLASSES:
            return SUCCESS
        if self.queue.free_bytes() < self.config.reserve_gb * 1e9 + len(content):
            log.warning("an instance was refused: less than %g GB free", self.config.reserve_gb)
            return OUT_OF_RESOURCES
        key = pseudonym(instance.study_uid)
        with self._lock:
            if association not in self._brought:
                peer = self.config.caller(*calling(association)) or ""
                self._brought[association] = (peer, set())
            peer, keys = self._brought[association]
            keys.add(key)
        self.queue.add(key, image_name(instance.sop_uid), content, peer)
        return SUCCESS

    def closed(self, association: "Association", in_order: bool) -> None:
        """Note for the studies of an association that has ended whether they are whole."""
        with self._lock:
            _, brought = self._brought.pop(association, ("", set()))
            for key in sorted(brought):
                if in_order:
                    self._whole.add(key)
                else:
                    self._whole.discard(key)
                    log.warning("study %s: the connection broke off", key)

    def settle(self) -> set[str]:
        """Write down which studies are whole; gives those that are still being brought."""
        with self._lock:
            for association in [one for one in self._brought if not one.is_alive()]:
                del self._brought[association]
            still_open = {key for _, keys in self._brought.values() for key in keys}
            for key in self._whole - still_open:
                self.queue.closed(key)
                self._whole.discard(key)
            return still_open
