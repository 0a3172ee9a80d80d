"""What we ask of an archive over DICOMweb (PS3.18): QIDO-RS, WADO-RS and STOW-RS."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renalseg.errors import PacsError
from renalseg.pacs.config import NodeConfig, Peer
from renalseg.pacs.faults import RefusedError, UnreachableError
from renalseg.pacs.instance import Identity, encoded_dataset, identify, part10

if TYPE_CHECKING:
    from dicomweb_client import DICOMwebClient
    from pydicom import Dataset

#: Told of each instance that was fetched: whose it is, and its bytes as a file.
OnFetched = Callable[[Identity, bytes], None]
_AS_STORED = (("application/dicom", "*"),)
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 507})


def find(
    peer: Peer, own: NodeConfig, keys: dict[str, str], asked: Sequence[str]
) -> list["Dataset"]:
    """The studies that an archive finds (QIDO-RS).

    Args:
        peer: The archive.
        own: Whose timeouts hold.
        keys: What must match, by keyword.
        asked: Keywords of what else is wanted.

    Raises:
        UnreachableError: If it does not answer.
        RefusedError: If it will not search.
    """
    with _client(peer, own) as client:
        return _all_of(
            lambda offset: client.search_for_studies(
                search_filters=keys, fields=list(asked), offset=offset
            ),
            "StudyInstanceUID",
        )


def instances(
    peer: Peer, own: NodeConfig, study_uid: str, series_uid: str | None
) -> list["Dataset"]:
    """The instances that an archive has of a study or series (QIDO-RS).

    Raises:
        UnreachableError: If it does not answer.
        RefusedError: If it will not search.
    """
    with _client(peer, own) as client:
        return _all_of(
            lambda offset: client.search_for_instances(study_uid, series_uid, offset=offset),
            "SOPInstanceUID",
        )


def get(
    peer: Peer, own: NodeConfig, study_uid: str, series_uid: str | None, fetched: OnFetched
) -> None:
    """Fetch a study or series, in the transfer syntax it is stored in (WADO-RS).

    Args:
        peer: The archive.
        own: Whose timeouts hold.
        study_uid: Study Instance UID.
        series_uid: Series Instance UID, or None for the whole study.
        fetched: Called with each instance.

    Raises:
        UnreachableError: If it does not answer, or breaks off.
        RefusedError: If it will not send.
    """
    with _client(peer, own) as client:
        coming = (
            client.iter_study(study_uid, media_types=_AS_STORED)
            if series_uid is None
            else client.iter_series(study_uid, series_uid, media_types=_AS_STORED)
        )
        for dataset in coming:
            file = dataset.buffer.getvalue()  # the bytes that came, not written anew
            one = identify(file)
            encoded = encoded_dataset(file)
            fetched(one, part10(one.sop_class, one.sop_uid, one.transfer_syntax, encoded))


def store(peer: Peer, own: NodeConfig, files: Sequence[Path], sent: Callable[[], None]) -> None:
    """Send files, one by one (STOW-RS).

    Args:
        peer: The archive.
        own: Whose timeouts hold.
        files: DICOM files.
        sent: Called after each.

    Raises:
        UnreachableError: If it does not answer.
        RefusedError: If it will not take a file.
        PacsError: If a file is no DICOM instance.
    """
    from pydicom import dcmread

    with _client(peer, own) as client:
        for path in files:
            identify(path)
            answer = client.store_instances([dcmread(path)])
            failed = answer.get("FailedSOPSequence") or []
            if failed:
                code = int(failed[0].get("FailureReason") or 0)
                raise RefusedError(f"{path}: {_name(peer)} refused it (status {code:#06x})")
            sent()


@contextmanager
def _client(peer: Peer, own: NodeConfig) -> Iterator["DICOMwebClient"]:
    """A client; what goes wrong becomes one of our errors."""
    try:
        from dicomweb_client import DICOMwebClient
        from requests import Session
        from requests.exceptions import HTTPError, RequestException
    except ImportError:
        raise PacsError(
            "DICOMweb needs dicomweb-client; install it with pip install 'renalseg[pacs]'"
        ) from None
    if peer.dicomweb is None:
        raise PacsError("this peer is not set up for dicomweb; give its URL as dicomweb")
    with Session() as session:
        if peer.user is not None:
            secret = "" if peer.password is None else peer.password.get_secret_value()
            session.auth = (peer.user, secret)
        client = DICOMwebClient(
            peer.dicomweb.rstrip("/"),
            session,
            timeout=(min(own.timeout_s, 10), own.timeout_s),
            permissive_uid=True,
        )
        client.set_http_retry_params(retry=False)
        try:
            yield client
        except HTTPError as error:
            code = 0 if error.response is None else error.response.status_code
            kind = UnreachableError if code in _TRY_AGAIN else RefusedError
            raise kind(f"{_name(peer)}: answers with status {code}{_meaning(code)}") from None
        except RequestException as error:
            raise UnreachableError(
                f"{_name(peer)}: does not answer ({type(error).__name__}); check the URL"
            ) from None


def _all_of(page: Callable[[int], list[dict[str, Any]]], uid: str) -> list["Dataset"]:
    """All pages of an answer, also of a server that always gives the first one."""
    from pydicom import Dataset

    found: dict[str, Dataset] = {}
    while True:
        answers = [Dataset.from_json(one) for one in page(len(found))]
        new = {str(one[uid].value): one for one in answers if uid in one}
        if not new.keys() - found.keys():
            return list(found.values())
        found.update(new)


def _meaning(code: int) -> str:
    known = {401: "user and password", 403: "user and password", 404: "the URL, and the UID"}
    return f"; check {known[code]}" if code in known else ""


def _name(peer: Peer) -> str:
    return str(peer.dicomweb)
