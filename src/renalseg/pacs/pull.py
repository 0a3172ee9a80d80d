"""Studies from an archive: found by what is known of them, and fetched whole."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from renalseg.errors import PacsError
from renalseg.outputs import check_folder, check_output
from renalseg.pacs.config import NodeConfig, Peer
from renalseg.pacs.instance import Identity, identify, uid_file, write_durably

if TYPE_CHECKING:
    from pydicom import Dataset

#: How a study is fetched: WADO-RS, C-MOVE or C-GET.
Fetch = Literal["dicomweb", "move", "get"]
_ASKED = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyDescription",
    "ModalitiesInStudy",
    "NumberOfStudyRelatedInstances",
)


@dataclass(frozen=True)
class Query:
    """What is known of a study; what is None may be anything.

    Attributes:
        study_uid: Study Instance UID.
        accession: Accession Number.
        patient_id: Patient ID.
        date: Study Date, ``YYYYMMDD``, or a range ``YYYYMMDD-YYYYMMDD``.
    """

    study_uid: str | None = None
    accession: str | None = None
    patient_id: str | None = None
    date: str | None = None

    @property
    def keys(self) -> dict[str, str]:
        """As DICOM's keywords."""
        known = {
            "StudyInstanceUID": self.study_uid,
            "AccessionNumber": self.accession,
            "PatientID": self.patient_id,
            "StudyDate": self.date,
        }
        return {keyword: value for keyword, value in known.items() if value}


@dataclass(frozen=True)
class Found:
    """A study that an archive has.

    Attributes:
        study_uid: Study Instance UID.
        date: Study Date.
        description: Study Description.
        modalities: Of its series.
        instances: Their number, or None where the archive does not say.
    """

    study_uid: str
    date: str
    description: str
    modalities: tuple[str, ...]
    instances: int | None


def find_studies(
    peer: Peer, query: Query, own: NodeConfig, *, fetch: Fetch | None = None
) -> tuple[Found, ...]:
    """Search an archive for studies (QIDO-RS or C-FIND), the latest first.

    Args:
        peer: The archive.
        query: What is known.
        own: Who asks.
        fetch: How they are to be fetched, which says over which protocol to search.

    Raises:
        UnreachableError: If the archive does not answer.
        RefusedError: If it will not search.
        PacsError: If nothing is known, which would ask for all it has.
    """
    from renalseg.pacs import dicomweb, dimse

    if not query.keys:
        raise PacsError("say which study: its UID, accession number, patient ID or date")
    if way(peer, fetch) == "dicomweb":
        answers = dicomweb.find(peer, own, query.keys, _ASKED)
    else:
        answers = dimse.find(peer, own, "STUDY", query.keys, _ASKED)
    return tuple(sorted(map(_found, answers), key=lambda one: one.date, reverse=True))


def pull(
    peer: Peer,
    study_uid: str,
    folder: Path,
    own: NodeConfig,
    *,
    series_uid: str | None = None,
    fetch: Fetch | None = None,
    fetched: Callable[[int, int], None] = lambda _done, _all: None,
) -> tuple[Path, ...]:
    """Fetch a study, or one series of it, as files ``FOLDER/SERIES/INSTANCE.dcm``.

    The files are as the archive stores them; over each protocol they are the same.

    Args:
        peer: The archive.
        study_uid: Study Instance UID.
        folder: Where the files go.
        own: Who asks.
        series_uid: Series Instance UID; the whole study when None.
        fetch: How; when None over DICOMweb where the peer has it, else by C-MOVE.
        fetched: Told of how many of how many have come.

    Returns:
        The files.

    Raises:
        UnreachableError: If the archive does not answer, or broke off.
        RefusedError: If it will not send.
        PacsError: If it has no such study, or not all of it came.
    """
    from renalseg.pacs import dicomweb, dimse

    chosen = way(peer, fetch)
    check_folder(folder)
    expected = list_instances(peer, study_uid, own, series_uid=series_uid, fetch=chosen)
    if not expected:
        what = "series" if series_uid else "study"
        raise PacsError(f"the archive has no {what} {series_uid or study_uid}; check the UID")
    files: dict[str, Path] = {}

    def keep(one: Identity, content: bytes) -> None:
        path = uid_file(folder, one.series_uid, one.sop_uid)
        check_output(path, is_ours=lambda there: _is_instance(there, one))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, content)
        files[one.sop_uid] = path
        fetched(len(files), len(expected))

    keys = {"StudyInstanceUID": study_uid}
    if series_uid:
        keys["SeriesInstanceUID"] = series_uid
    if chosen == "dicomweb":
        dicomweb.get(peer, own, study_uid, series_uid, keep)
    elif chosen == "move":
        dimse.move(peer, own, keys, keep)
    else:
        dimse.get(peer, own, keys, expected.values(), keep)
    missing = expected.keys() - files.keys()
    if missing:
        raise PacsError(
            f"{folder}: {len(missing)} of {len(expected)} instances did not come; fetch it again"
        )
    return tuple(files[uid] for uid in sorted(files))


def _is_instance(path: Path, one: Identity) -> bool:
    """Whether a file is an instance that was fetched before."""
    try:
        return identify(path).sop_uid == one.sop_uid
    except PacsError:
        return False


def way(peer: Peer, fetch: Fetch | None) -> Fetch:
    """How to fetch from a peer.

    Raises:
        PacsError: If it is not set up for what is wanted.
    """
    if fetch is None:
        return "dicomweb" if peer.dicomweb else "move"
    peer.via("dicomweb" if fetch == "dicomweb" else "dimse")
    return fetch


def list_instances(
    peer: Peer,
    study_uid: str,
    own: NodeConfig,
    *,
    series_uid: str | None = None,
    fetch: Fetch | None = None,
) -> dict[str, str]:
    """SOP classes of all instances of a study or series, by SOP Instance UID.

    An archive that does not tell the class leaves it empty.

    Raises:
        UnreachableError: If the archive does not answer.
        RefusedError: If it will not search.
    """
    from renalseg.pacs import dicomweb, dimse

    if way(peer, fetch) == "dicomweb":
        listed = dicomweb.instances(peer, own, study_uid, series_uid)
    else:
        study = {"StudyInstanceUID": study_uid}
        wanted = {**study, "SeriesInstanceUID": series_uid} if series_uid else study
        series = dimse.find(peer, own, "SERIES", wanted, ["SeriesInstanceUID"])
        listed = [
            one
            for found in series
            for one in dimse.find(
                peer,
                own,
                "IMAGE",
                {**study, "SeriesInstanceUID": str(found.SeriesInstanceUID)},
                ["SOPInstanceUID", "SOPClassUID"],
            )
        ]
    return {str(one.SOPInstanceUID): str(one.get("SOPClassUID", "")) for one in listed}


def _found(answer: "Dataset") -> Found:
    modalities = answer.get("ModalitiesInStudy") or ()
    number = answer.get("NumberOfStudyRelatedInstances")
    return Found(
        study_uid=str(answer.StudyInstanceUID),
        date=str(answer.get("StudyDate") or ""),
        description=str(answer.get("StudyDescription") or ""),
        modalities=(modalities,) if isinstance(modalities, str) else tuple(modalities),
        instances=None if number is None else int(number),
    )
