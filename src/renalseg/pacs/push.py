"""DICOM files to an archive."""

from collections.abc import Callable, Sequence
from pathlib import Path

from renalseg.pacs.config import NodeConfig, Peer, Via


def push(
    peer: Peer,
    files: Sequence[Path],
    own: NodeConfig,
    *,
    via: Via | None = None,
    sent: Callable[[], None] = lambda: None,
) -> None:
    """Send DICOM files to an archive. What it has already it takes again and keeps once.

    Args:
        peer: The archive.
        files: The files.
        own: Who sends.
        via: The protocol; as the peer is configured when None.
        sent: Called after each file.

    Raises:
        UnreachableError: If it does not answer, or broke off.
        RefusedError: If it will not take a file.
        PacsError: If a file is no DICOM instance.
    """
    from renalseg.pacs import dicomweb, dimse

    store = dimse.store if peer.via(via) == "dimse" else dicomweb.store
    store(peer, own, files, sent)
