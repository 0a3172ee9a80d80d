"""The node and the commands with a real archive, Orthanc, started here on loopback."""

import subprocess
import sys
import threading
import time
import urllib.error
from contextlib import suppress
from random import Random

import pytest

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed (extra pacs)")
pytest.importorskip("dicomweb_client", reason="dicomweb-client is not installed (extra pacs)")

import yaml
from pydicom import dcmread
from typer.testing import CliRunner

from dicom_phantom import make_series, make_volume, write_series
from dicom_phantom import uid as generated
from orthanc import free_port, running
from pacs_node import FAST, Killable, answers, as_peer, caller, leftovers, study, wait
from renalseg.cli.pacs import app
from renalseg.errors import PacsError
from renalseg.pacs import dicomweb
from renalseg.pacs.config import NodeConfig, Peer
from renalseg.pacs.dimse import store
from renalseg.pacs.faults import UnreachableError
from renalseg.pacs.instance import pseudonym
from renalseg.pacs.pull import Query, find_studies, pull
from renalseg.pacs.push import push
from soak import rounds

pytestmark = [
    pytest.mark.slow,
    # pynetdicom forgets a socket that could not connect
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket"),
]


@pytest.fixture(scope="module")
def ports():
    return {"node": free_port(), "puller": free_port()}


@pytest.fixture(scope="module")
def archive(tmp_path_factory, ports):
    modalities = {
        "node": ["RENALSEG", "127.0.0.1", ports["node"]],
        "puller": ["PULLER", "127.0.0.1", ports["puller"]],
    }
    with running(tmp_path_factory.mktemp("orthanc"), modalities) as archive:
        yield archive


@pytest.fixture(scope="module")
def peer(archive):
    return Peer(ae_title="ORTHANC", host="127.0.0.1", port=archive.port, dicomweb=archive.dicomweb)


@pytest.fixture
def node(tmp_path, archive, ports, peer):
    config = NodeConfig(
        port=ports["node"], queue=tmp_path / "queue", peers={"archive": peer}, **FAST
    )
    node = Killable(config, tmp_path)
    node.start()
    yield node
    node.kill()


@pytest.fixture
def puller(ports):
    return caller("PULLER", port=ports["puller"])


@pytest.fixture(scope="module")
def stored(tmp_path_factory, peer):
    """A study in the archive, compressed: its UID and files."""
    files, uid = study(100, tmp_path_factory.mktemp("stored"), syntax="JPEG-LS")
    push(peer, files, caller(), via="dicomweb")
    return uid, files


def results(archive, uid):
    return archive.instances(uid, "OT")


def test_a_study_is_sent_segmented_and_its_results_stand_beside_it(node, archive, peer, tmp_path):
    files, uid = study(1, tmp_path / "a")
    push(peer, files, caller())
    archive.send(uid, "node")
    wait(lambda: node.keys("done"))
    assert len(results(archive, uid)) == 1
    assert len(archive.instances(uid)) == len(files) + 1
    archive.send(uid, "node")  # its own results with it
    wait(lambda: (tmp_path / "node.log").read_text().count(": done") == 2)
    assert len(archive.instances(uid)) == len(files) + 1
    assert node.starts() == [pseudonym(uid)]


def test_killed_at_every_stage_it_finishes(node, archive, peer, tmp_path):
    (files, uid), (first, other) = study(2, tmp_path / "a", slices=24), study(3, tmp_path / "b")
    key = pseudonym(uid)
    push(peer, files + first, caller(), via="dicomweb")
    with node.holding():
        archive.send(other, "node")  # keeps the node at work, so that the next one waits
        wait(lambda: node.keys("working"))

        def sending():
            with suppress(urllib.error.URLError):
                archive.send(uid, "node")

        sender = threading.Thread(target=sending)
        sender.start()
        wait(lambda: len(list(node.config.queue.glob(f"incoming/{key}/images/*"))) >= 3)
        node.kill()
        sender.join()
        assert len(list(node.config.queue.glob(f"incoming/{key}/images/*"))) < 24
        assert node.keys("working") == [pseudonym(other)]
        node.start()
        archive.send(uid, "node")
        wait(lambda: key in node.keys("waiting"))
        wait(lambda: node.keys("working"))
        node.kill()
        assert node.keys("waiting") == [key]
        archive.kill()
    node.start()
    wait(lambda: len(node.keys("sending")) == 2)
    node.kill()
    node.start()
    archive.start()
    wait(lambda: len(node.keys("done")) == 2)
    assert len(results(archive, uid)) == len(results(archive, other)) == 1
    (made,) = (node.config.queue / "done" / key / "results").iterdir()
    assert int(dcmread(made).InstanceNumber) == 24


def test_killed_after_the_last_instance_it_asks_the_archive_whether_that_was_all(
    node, archive, peer, tmp_path
):
    files, uid = study(7, tmp_path / "a")
    push(peer, files, caller(), via="dicomweb")
    asked = tmp_path / "node.log"

    def send_and_kill(number):
        sent = []

        def killing():
            sent.append(1)
            if len(sent) == number:
                node.kill()

        with suppress(UnreachableError):
            store(as_peer(node.config), caller("ORTHANC"), files[:number], killing)
        node.start()

    send_and_kill(3)
    time.sleep(3 * node.config.quiet_s)
    assert node.starts() == []
    assert "the archive has no more of it" not in asked.read_text()
    send_and_kill(4)
    wait(lambda: node.keys("done"))
    assert "the archive has no more of it" in asked.read_text()
    assert len(results(archive, uid)) == 1


def test_killed_at_any_moment_it_loses_nothing(node, archive, peer, tmp_path):
    """At random moments, while the archive sends studies, each until it thinks that it is taken."""
    node.kill()
    node.config = node.config.model_copy(update={"attempts": 99})
    studies = dict(
        reversed(study(number, tmp_path / str(number), slices=number)) for number in (8, 9, 10)
    )
    push(peer, [path for files in studies.values() for path in files], caller(), via="dicomweb")
    random, taken = Random(0), []

    def sending():
        for uid in studies:
            while uid not in taken:
                with suppress(urllib.error.URLError):
                    archive.send(uid, "node")
                    taken.append(uid)
                time.sleep(0.02)

    sender = threading.Thread(target=sending)
    sender.start()
    for _ in range(rounds(8, 3)):
        node.start()
        time.sleep(random.uniform(0.1, 1))
        node.kill()
    node.start()
    sender.join()
    wait(lambda: len(node.keys("done")) == len(studies))
    for uid, files in studies.items():
        assert len(results(archive, uid)) == 1
        (made,) = (node.config.queue / "done" / pseudonym(uid) / "results").iterdir()
        assert int(dcmread(made).InstanceNumber) == len(files)
    assert leftovers(node.config.queue) == []


def test_an_archive_killed_while_results_are_sent_gets_them(node, archive, peer, tmp_path):
    files, uid = study(4, tmp_path / "a")
    push(peer, files, caller(), via="dicomweb")
    with node.holding():
        archive.send(uid, "node")
        wait(lambda: node.keys("working"))
        archive.kill()
    wait(lambda: (tmp_path / "node.log").read_text().count("next time") >= 2)
    archive.start()
    wait(lambda: node.keys("done"))
    assert len(results(archive, uid)) == 1


def test_results_over_dicomweb(archive, ports, peer, tmp_path):
    web = Peer(dicomweb=archive.dicomweb)
    config = NodeConfig(
        port=ports["node"],
        queue=tmp_path / "queue",
        peers={"archive": peer, "web": web},
        results_to=("web",),
        **FAST,
    )
    node = Killable(config, tmp_path)
    files, uid = study(5, tmp_path / "a")
    push(peer, files, caller(), via="dicomweb")
    node.start()
    try:
        archive.send(uid, "node")
        wait(lambda: node.keys("done"))
    finally:
        node.kill()
    assert len(results(archive, uid)) == 1


def test_seg_and_sr_of_a_real_run_stand_under_the_study(archive, ports, tmp_path):
    """The command itself, with a small untrained model, stopped as a service is."""
    from models import write_model

    model = write_model(tmp_path / "model" / "full", folds=(0,))
    made = make_series(make_volume((12, 40, 44), (3.0, 1.5, 1.5)), series=20)
    for image in made.datasets:
        image.StudyInstanceUID = uid = generated("study", 20)
    files = write_series(made.datasets, tmp_path / "study")
    known = {"ae_title": "ORTHANC", "host": "127.0.0.1", "port": archive.port}
    content = {
        "port": ports["node"],
        "queue": "queue",
        "quiet_s": 0.5,
        "reserve_gb": 0,
        "peers": {"archive": known},
    }
    (tmp_path / "pacs.yaml").write_text(yaml.safe_dump(content))
    push(Peer(dicomweb=archive.dicomweb), files, caller())
    options = ["-c", str(tmp_path / "pacs.yaml"), "-m", str(model), "--device", "cpu"]
    program = "from renalseg.cli.main import run; run()"
    run = [sys.executable, "-c", program, "pacs", "listen", *options]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(run, stderr=log) as node:
        try:
            wait(lambda: answers(ports["node"]), 60)
            archive.send(uid, "node")
            wait(lambda: ": done" in (tmp_path / "log").read_text(), 60)
        finally:
            node.terminate()
            assert node.wait(20) == 0
    source = dcmread(files[0])
    assert len(archive.instances(uid)) == len(files) + 2
    fetched = pull(Peer(dicomweb=archive.dicomweb), uid, tmp_path / "back", caller())
    results = {one.Modality: one for one in map(dcmread, fetched) if one.Modality != "CT"}
    assert results.keys() == {"SEG", "SR"}
    for one in results.values():
        assert one.StudyInstanceUID == source.StudyInstanceUID
        assert one.PatientID == source.PatientID
    (series,) = results["SEG"].ReferencedSeriesSequence
    assert series.SeriesInstanceUID == source.SeriesInstanceUID
    log = (tmp_path / "log").read_text()
    assert log.rstrip().endswith("RENALSEG has stopped")
    for text in (str(source.PatientName), source.PatientBirthDate, uid, source.SOPInstanceUID):
        assert text not in log


def test_a_stranger_is_refused(node, archive, stored):
    with pytest.raises(urllib.error.HTTPError):
        archive.send(stored[0], "node", LocalAet="STRANGER")
    assert node.keys("incoming") == []
    assert "refused 'STRANGER' at 127.0.0.1" in (node.folder / "node.log").read_text()


def test_every_way_of_fetching_gives_the_same_files(stored, peer, puller, tmp_path):
    uid, files = stored
    got = {}
    for way in ("dicomweb", "move", "get"):
        paths = pull(peer, uid, tmp_path / way, puller, fetch=way)
        got[way] = {path.relative_to(tmp_path / way): path.read_bytes() for path in paths}
    assert got["dicomweb"] == got["move"] == got["get"]
    assert len(got["get"]) == len(files)
    for path in files:
        sent = dcmread(path)
        name = f"{sent.SOPInstanceUID}.dcm"
        (fetched,) = (tmp_path / "move").rglob(name)
        assert dcmread(fetched) == sent
        assert dcmread(fetched).file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID


def test_one_series_of_a_study(peer, puller, tmp_path):
    files, uid = study(6, tmp_path / "a")
    more = []
    for number, path in enumerate(files):
        dataset = dcmread(path)
        dataset.SeriesInstanceUID = "1.2.3"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        dataset.save_as(tmp_path / f"{number}.dcm")
        more.append(tmp_path / f"{number}.dcm")
    push(peer, files + more, puller, via="dicomweb")
    for way in ("dicomweb", "move", "get"):
        paths = pull(peer, uid, tmp_path / way, puller, series_uid="1.2.3", fetch=way)
        assert {path.parent.name for path in paths} == {"1.2.3"}
        assert len(paths) == len(files)


def test_a_study_of_which_one_instance_does_not_come_is_not_there(
    stored, peer, puller, tmp_path, monkeypatch
):
    whole = dicomweb.get

    def losing(*arguments):
        lost = []
        keep = arguments[-1]
        whole(*arguments[:-1], lambda *one: keep(*one) if lost else lost.append(one))

    monkeypatch.setattr(dicomweb, "get", losing)
    with pytest.raises(PacsError, match="1 of 4 instances did not come; fetch it again"):
        pull(peer, stored[0], tmp_path, puller, fetch="dicomweb")


@pytest.mark.parametrize("way", ["dicomweb", "move"])
def test_studies_are_found(stored, peer, puller, way):
    uid, files = stored
    (found,) = find_studies(peer, Query(study_uid=uid), puller, fetch=way)
    assert (found.study_uid, found.date, found.modalities) == (uid, "20200102", ("CT",))
    assert found.instances == len(files)
    assert found in find_studies(peer, Query(patient_id="P1", date="20200101-"), puller, fetch=way)
    assert find_studies(peer, Query(accession="nobody's"), puller, fetch=way) == ()


@pytest.mark.parametrize("way", ["dicomweb", "move", "get"])
def test_what_the_archive_has_not_cannot_be_fetched(peer, puller, way, tmp_path):
    with pytest.raises(PacsError, match=r"the archive has no study 1\.2\.3\.4"):
        pull(peer, "1.2.3.4", tmp_path, puller, fetch=way)


def test_an_archive_that_does_not_know_us_hangs_up(stored, peer, tmp_path):
    stranger = caller("NOBODY", port=free_port())
    with pytest.raises(UnreachableError, match=r"the connection broke off; .* our AE title"):
        pull(peer, stored[0], tmp_path, stranger, fetch="move")


def test_an_archive_that_is_away_is_one_line(tmp_path):
    away = Peer(
        ae_title="AWAY",
        host="127.0.0.1",
        port=free_port(),
        dicomweb=f"http://127.0.0.1:{free_port()}/dicom-web",
    )
    with pytest.raises(UnreachableError, match="does not answer; check host and port"):
        pull(away, "1.2", tmp_path, caller(), fetch="get")
    with pytest.raises(UnreachableError, match=r"does not answer \(ConnectionError\)"):
        pull(away, "1.2", tmp_path, caller(), fetch="dicomweb")


def test_the_commands(archive, stored, peer, ports, tmp_path):
    uid, files = stored
    push(peer, study(30, tmp_path / "other")[0], caller(), via="dicomweb")
    config = tmp_path / "pacs.yaml"
    known = {"ae_title": "ORTHANC", "host": "127.0.0.1", "port": archive.port}
    config.write_text(
        yaml.safe_dump({"ae_title": "PULLER", "port": ports["puller"], "peers": {"archive": known}})
    )
    run = CliRunner().invoke
    listed = run(app, ["pull", uid, "--list", "--peer", archive.dicomweb])
    assert listed.output == f"{uid}  20200102  CT  {len(files)} instances  Abdomen\n"
    pulled = run(app, ["pull", uid, "-c", str(config), "-o", str(tmp_path / "out")])
    assert pulled.exit_code == 0, pulled.output
    assert len(list(tmp_path.glob("out/*/*.dcm"))) == len(files)
    pushed = run(app, ["push", str(tmp_path / "out"), "-c", str(config)])
    assert pushed.exit_code == 0
    assert pushed.stderr == f"{len(files)} instances sent\n"
    several = run(app, ["pull", "--patient", "P1", "-c", str(config)])
    assert isinstance(several.exception, PacsError)
    assert "studies are meant; --list shows them" in str(several.exception)
