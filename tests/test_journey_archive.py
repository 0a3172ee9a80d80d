"""A radiology's archive: studies go to the node, and results come back beside them."""

from pathlib import Path

import pydicom
import pytest

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed (extra pacs)")
pytest.importorskip("dicomweb_client", reason="dicomweb-client is not installed (extra pacs)")

import yaml
from pydicom.uid import generate_uid

from journey import renalseg, started, wait_for
from orthanc import free_port, running
from pacs_node import answers
from renalseg.formats import DICOM_FORMATS
from renalseg.pacs.instance import pseudonym
from result_files import belongs_to, check_results, results_of

pytestmark = pytest.mark.slow
MODALITIES = {"SEG", "SR", "RTSTRUCT", "DOC"}


@pytest.fixture(scope="module")
def ports():
    return {"node": free_port(), "station": free_port()}


@pytest.fixture(scope="module")
def archive(tmp_path_factory, ports):
    modalities = {
        "node": ["RENALSEG", "127.0.0.1", ports["node"]],
        "station": ["STATION", "127.0.0.1", ports["station"]],
    }
    with running(tmp_path_factory.mktemp("orthanc"), modalities) as archive:
        yield archive


@pytest.fixture
def station(archive, ports, tmp_path):
    """The configuration of a workstation that talks to the archive."""
    path = tmp_path / "station.yaml"
    peer = {"ae_title": "ORTHANC", "host": "127.0.0.1", "port": archive.port}
    peer["dicomweb"] = archive.dicomweb
    own = {"ae_title": "STATION", "port": ports["station"], "peers": {"archive": peer}}
    path.write_text(yaml.safe_dump(own))
    return path


def node(folder: Path, archive, ports, *arguments):
    """The node as a command; it ends with the block."""
    peer = {"ae_title": "ORTHANC", "host": "127.0.0.1", "port": archive.port}
    own = {"port": ports["node"], "peers": {"archive": peer}, "quiet_s": 0.5, "reserve_gb": 0}
    (folder / "node.yaml").write_text(yaml.safe_dump(own))
    return started(
        *("pacs", "listen", "-c", folder / "node.yaml", "--device", "cpu", *arguments),
        listens=lambda: answers(ports["node"]),
    )


def stored_under(archive, uid):
    """How many objects the archive has of a study, by modality."""
    return {kind: len(archive.instances(uid, kind)) for kind in ("CT", *sorted(MODALITIES))}


def test_results_of_the_bundled_model_stand_beside_the_study(
    bundled_prediction, archive, station, ports, tmp_path
):
    study = bundled_prediction
    source = pydicom.dcmread(min(study.dicom.iterdir()), stop_before_pixels=True)
    uid, count = source.StudyInstanceUID, len(list(study.dicom.iterdir()))
    pushed = renalseg("pacs", "push", study.dicom, "-c", station)
    assert pushed.stderr == f"{count} instances sent\n"
    everything = [word for kind in sorted(DICOM_FORMATS) for word in ("--format", kind)]
    with node(tmp_path, archive, ports, "--profile", "fast", *everything):
        archive.send(uid, "node")
        complete = {"CT": count, **dict.fromkeys(MODALITIES, 1)}
        wait_for(lambda: is_over(tmp_path, uid))
        assert stored_under(archive, uid) == complete, reason(tmp_path, uid)
    renalseg("pacs", "pull", uid, "-c", station, "--via", "dicomweb", "-o", tmp_path / "pulled")
    results = [path for path in (tmp_path / "pulled").glob("*/*.dcm") if modality(path) != "CT"]
    files = {format_of_object(path): path for path in results}
    assert files.keys() == {kind.value for kind in DICOM_FORMATS}
    # what the command made of the same images
    check_results({**files, "json": results_of(study.mask)["json"]}, source)


def test_a_real_series_and_a_trained_ensemble(
    real_data, trained_ensemble, archive, station, ports, tmp_path
):
    """SEG and SR, as nothing else is asked for; then all is fetched over DIMSE, and sent again."""
    uid = with_uids(real_data / "ct" / "dicom_series", tmp_path / "study")
    renalseg("pacs", "push", tmp_path / "study", "-c", station)
    with node(tmp_path, archive, ports, "-m", trained_ensemble):
        archive.send(uid, "node")
        complete = {"CT": 20, "SEG": 1, "SR": 1, "RTSTRUCT": 0, "DOC": 0}
        wait_for(lambda: is_over(tmp_path, uid))
        assert stored_under(archive, uid) == complete, reason(tmp_path, uid)
    listed = renalseg("pacs", "pull", uid, "-c", station, "--list").stdout
    assert listed.startswith(f"{uid}  20221208  CT/SEG/SR  22 instances")
    for via in ("get", "move"):
        folder = tmp_path / via
        renalseg("pacs", "pull", uid, "-c", station, "--via", via, "-o", folder)
        assert len(list(folder.glob("*/*.dcm"))) == 22
    source = pydicom.dcmread(min((tmp_path / "study").iterdir()), stop_before_pixels=True)
    for path in folder.glob("*/*.dcm"):
        if modality(path) != "CT":
            belongs_to(pydicom.dcmread(path), source)
    renalseg("pacs", "push", folder, "-c", station, "--via", "dicomweb")
    assert stored_under(archive, uid) == complete


def with_uids(series, folder):
    """The real series with the UIDs that were taken from it; gives the study's."""
    study, one = generate_uid(), generate_uid()
    folder.mkdir()
    for path in series.iterdir():
        image = pydicom.dcmread(path)
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID
        image.StudyInstanceUID, image.SeriesInstanceUID = study, one
        image.PatientID = "REAL-1"
        image.save_as(folder / f"{path.suffix[1:]}.dcm")
    return study


def modality(path):
    return pydicom.dcmread(path, stop_before_pixels=True).Modality


def format_of_object(path):
    return {"DOC": "dicom-pdf"}.get(modality(path), modality(path).lower())


def is_over(folder, uid):
    """Whether the node has sent a study's results, or put it aside."""
    queue = folder / "renalseg-queue"
    return any((queue / stage / pseudonym(uid)).exists() for stage in ("done", "failed"))


def reason(folder, uid):
    """Why the node put a study aside."""
    path = folder / "renalseg-queue" / "failed" / pseudonym(uid) / "reason.txt"
    return path.read_text() if path.is_file() else "it was not"
