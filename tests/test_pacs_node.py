"""The node between a sender and an archive that are pynetdicom, killed at every stage."""

import re
import threading
import time
from contextlib import contextmanager
from io import BytesIO

import pytest

pytest.importorskip("pynetdicom", reason="pynetdicom is not installed (extra pacs)")

from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, HTJ2KLossless, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, RawDataStorage, Verification

from orthanc import free_port
from pacs_node import (
    FAST,
    RAW_DATA,
    Killable,
    answers,
    as_peer,
    caller,
    leftovers,
    quick,
    study,
    wait,
)
from renalseg.errors import PacsError
from renalseg.pacs.config import NodeConfig, Peer
from renalseg.pacs.dimse import store
from renalseg.pacs.faults import RefusedError, UnreachableError
from renalseg.pacs.instance import pseudonym
from renalseg.pacs.node import Node
from renalseg.pacs.push import push
from renalseg.pacs.queue import Queue, Stage
from renalseg.pacs.sender import Sender

# pynetdicom forgets a socket that could not connect
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <socket")


class Archive:
    """Takes what it is sent.

    Attributes:
        got: Bytes of each data set, in order.
        statuses: What it answers next; success when none is left.
        gate: It answers nothing while this is not set.
    """

    def __init__(self):
        self.port, self.got, self.statuses = free_port(), [], []
        self.gate = threading.Event()
        self.gate.set()

    @contextmanager
    def listening(self):
        own = AE("ARCHIVE")
        own.add_supported_context(RawDataStorage)
        own.add_supported_context(CTImageStorage)
        handlers = [(evt.EVT_C_STORE, self._keep)]
        own.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        try:
            yield self
        finally:
            self.gate.set()
            own.shutdown()

    def _keep(self, event):
        content = event.encoded_dataset()
        if self.statuses:
            return self.statuses.pop(0)
        self.got.append(content)
        self.gate.wait(10)
        return 0x0000

    def counts(self):
        """How many images each result saw, by study."""
        results = [dcmread(BytesIO(content)) for content in self.got]
        return {one.StudyInstanceUID: int(one.InstanceNumber) for one in results}


@pytest.fixture(scope="module")
def listening():
    with Archive().listening() as archive:
        yield archive


@pytest.fixture
def archive(listening):
    listening.got, listening.statuses = [], []
    yield listening
    listening.gate.set()


def configured(folder, archive, **more):
    peers = {"archive": Peer(ae_title="ARCHIVE", host="127.0.0.1", port=archive.port)}
    values = {**FAST, "port": free_port(), "queue": folder / "queue", "peers": peers, **more}
    return NodeConfig(**values)


@pytest.fixture
def node(tmp_path, archive):
    node = Killable(configured(tmp_path, archive), tmp_path)
    node.start()
    yield node
    node.kill()


def send(node, files, title="ARCHIVE"):
    push(as_peer(node.config), files, caller(title))


def test_a_study_comes_back_segmented(node, archive, tmp_path):
    files, uid = study(1, tmp_path / "a")
    send(node, files)
    wait(lambda: node.keys("done"))
    assert archive.counts() == {uid: 4}
    assert node.keys("done") == [pseudonym(uid)]
    assert leftovers(node.config.queue) == []


def test_killed_while_it_receives_it_asks_for_the_rest_and_loses_nothing(node, archive, tmp_path):
    files, uid = study(1, tmp_path / "a", slices=6)
    sent = []

    def killing():
        sent.append(1)
        if len(sent) == 3:
            node.kill()

    with pytest.raises(UnreachableError):
        store(as_peer(node.config), caller(), files, killing)
    assert len(list((node.config.queue / "incoming").glob("*/images/*"))) >= 3
    node.start()
    time.sleep(3 * node.config.quiet_s)
    assert node.starts() == []  # half a study is no study
    send(node, files)
    wait(lambda: node.keys("done"))
    assert archive.counts() == {uid: 6}


def test_a_sender_that_hangs_up_has_not_sent_a_study(node, archive, tmp_path):
    files, uid = study(1, tmp_path / "a")

    def hanging_up():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store(as_peer(node.config), caller(), files, hanging_up)
    time.sleep(3 * node.config.quiet_s)
    assert node.keys("incoming") == [pseudonym(uid)]
    assert node.starts() == []
    assert "the connection broke off" in (tmp_path / "node.log").read_text()


def test_killed_while_one_study_is_worked_on_and_another_waits(node, archive, tmp_path):
    (first, one), (second, two) = study(1, tmp_path / "a"), study(2, tmp_path / "b", slices=5)
    with node.holding():
        send(node, first)
        wait(lambda: node.keys("working"))
        send(node, second)
        wait(lambda: node.keys("waiting"))
        node.kill()
        assert node.keys("working") == [pseudonym(one)]
        assert node.keys("waiting") == [pseudonym(two)]
    node.start()
    wait(lambda: len(node.keys("done")) == 2)
    assert archive.counts() == {one: 4, two: 5}
    assert node.starts().count(pseudonym(one)) == 2


def test_killed_while_it_sends(node, archive, tmp_path):
    files, uid = study(1, tmp_path / "a")
    archive.gate.clear()
    send(node, files)
    wait(lambda: archive.got)
    node.kill()
    assert node.keys("sending") == [pseudonym(uid)]
    archive.gate.set()
    node.start()
    wait(lambda: node.keys("done"))
    assert archive.counts() == {uid: 4}
    assert node.starts() == [pseudonym(uid)]  # not segmented again
    assert len({dcmread(BytesIO(one)).SOPInstanceUID for one in archive.got}) == 1


def test_a_study_that_ends_the_node_again_and_again_is_set_aside(node, archive, tmp_path):
    files, uid = study(1, tmp_path / "a")
    with node.holding():
        send(node, files)
        for number in range(1, node.config.attempts + 1):
            wait(lambda number=number: len(node.starts()) == number)
            node.kill()
            node.start()
        wait(lambda: node.keys("failed"))
    reason = node.config.queue / "failed" / pseudonym(uid) / "reason.txt"
    assert "the node ended 3 times while it worked on it" in reason.read_text()
    (node.config.queue / "failed" / pseudonym(uid)).rename(
        node.config.queue / "waiting" / pseudonym(uid)
    )  # as a person would
    wait(lambda: node.keys("done"))
    assert archive.counts() == {uid: 4}


def test_a_node_that_is_stopped_does_not_count_against_its_study(tmp_path, archive):
    config = configured(tmp_path, archive)
    files, uid = study(1, tmp_path / "a")
    (tmp_path / "hold").touch()
    with Node(config, quick) as node:
        push(as_peer(config), files, caller())
        wait(lambda: node.queue.keys(Stage.WORKING))
        wait((config.queue / "working" / pseudonym(uid) / "attempts").exists)
    assert (config.queue / "working" / pseudonym(uid) / "attempts").read_text() == "0"
    (tmp_path / "hold").unlink()
    with Node(config, quick) as node:
        wait(lambda: node.queue.keys(Stage.DONE))
    assert archive.counts() == {uid: 4}


def test_only_configured_peers_are_served(node, tmp_path):
    files, _ = study(1, tmp_path / "a")
    with pytest.raises(RefusedError, match="refuses STRANGER; tell it our AE title"):
        send(node, files, "STRANGER")
    renamed = as_peer(node.config).model_copy(update={"ae_title": "OTHER"})
    with pytest.raises(RefusedError, match="refuses ARCHIVE"):
        push(renamed, files, caller())
    assert node.keys("incoming") == []
    assert "refused 'STRANGER' at 127.0.0.1" in (tmp_path / "node.log").read_text()


@pytest.mark.parametrize(
    "peer",
    [{"addresses": ("10.1.2.0/24",)}, {"allowed": False}, {"host": "host.invalid"}],
    ids=["elsewhere", "not allowed", "unknown host"],
)
def test_the_right_title_is_not_enough(tmp_path, archive, peer):
    known = {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 4242, **peer}
    config = configured(tmp_path, archive, peers={"archive": Peer(**known)})
    files, _ = study(1, tmp_path / "a", slices=1)
    with Node(config, quick), pytest.raises(RefusedError, match="refuses ARCHIVE"):
        push(as_peer(config), files, caller())


def test_the_node_answers_an_echo(node):
    own = AE("ARCHIVE")
    own.add_requested_context(Verification)
    association = own.associate("127.0.0.1", node.config.port, ae_title="RENALSEG")
    assert association.is_established
    assert association.send_c_echo().Status == 0x0000
    association.release()


def test_a_sender_converts_what_the_node_cannot_read(node):
    own = AE("ARCHIVE")
    own.add_requested_context(CTImageStorage, [DeflatedExplicitVRLittleEndian])
    own.add_requested_context(
        CTImageStorage, [HTJ2KLossless, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian]
    )
    association = own.associate("127.0.0.1", node.config.port, ae_title="RENALSEG")
    accepted = [context.transfer_syntax for context in association.accepted_contexts]
    association.release()
    assert accepted == [[ImplicitVRLittleEndian]]


def test_what_comes_twice_is_segmented_once_and_its_results_are_sent_again(node, archive, tmp_path):
    files, uid = study(1, tmp_path / "a")
    send(node, files[:2])
    send(node, files)
    wait(lambda: node.keys("done"))
    send(node, files)
    wait(lambda: len(archive.got) == 2)
    wait(lambda: node.keys("done"))
    assert archive.counts() == {uid: 4}
    assert node.starts() == [pseudonym(uid)]
    assert len({dcmread(BytesIO(one)).SOPInstanceUID for one in archive.got}) == 1


def test_late_slices_join_the_study(node, archive, tmp_path):
    files, uid = study(1, tmp_path / "a")
    send(node, files[:3])
    wait(lambda: node.keys("done"))
    send(node, files[3:])
    wait(lambda: len(archive.got) == 2)
    assert archive.counts() == {uid: 4}


def test_what_is_no_ct_is_taken_and_let_go(node, archive, tmp_path):
    files, uid = study(1, tmp_path / "a")
    send(node, files)
    wait(lambda: node.keys("done"))
    back = tmp_path / "back.dcm"
    back.write_bytes(archive.got[0])
    assert dcmread(back).SOPClassUID == RAW_DATA
    send(node, [back])  # a rule of the archive sends our own result back to us
    time.sleep(2 * node.config.quiet_s)
    assert node.keys("incoming") == []
    assert node.starts() == [pseudonym(uid)]


def test_an_archive_that_is_away_is_waited_for(tmp_path):
    archive = Archive()
    node = Killable(configured(tmp_path, archive), tmp_path)
    files, uid = study(1, tmp_path / "a")
    node.start()
    try:
        send(node, files)
        wait(lambda: "not sent, next time" in (tmp_path / "node.log").read_text())
        assert node.keys("sending") == [pseudonym(uid)]
        with archive.listening():
            wait(lambda: node.keys("done"))
            assert archive.counts() == {uid: 4}
    finally:
        node.kill()


def test_an_archive_that_refuses_is_asked_a_few_times(node, archive, tmp_path):
    files, uid = study(1, tmp_path / "a")
    archive.statuses = [0xA700, 0xA900]
    send(node, files)
    wait(lambda: node.keys("done"))
    archive.statuses = [0xC000] * 5
    files, uid = study(2, tmp_path / "b")
    send(node, files)
    wait(lambda: node.keys("failed"))
    folder = node.config.queue / "failed" / pseudonym(uid)
    assert "refused it (status 0xc000)" in (folder / "reason.txt").read_text()
    assert (folder / "results" / "result.dcm").is_file()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no kidney of Paula here"), r"fault \d{8} of renalseg: ValueError at .*Paula"),
        (MemoryError(), "not enough memory; set --memory"),
        (OSError(28, "No space left on device"), "the disk is full; make room"),
    ],
)
def test_a_study_that_fails_is_set_aside_and_the_next_one_is_not(
    tmp_path, archive, caplog, error, reason
):
    def failing(images, made):
        if len(list(images.iterdir())) == 4:
            raise error
        return []

    config = configured(tmp_path, archive)
    bad, good = study(1, tmp_path / "a"), study(2, tmp_path / "b", slices=5)
    with Node(config, failing) as node:
        push(as_peer(config), bad[0] + good[0], caller())
        wait(lambda: node.queue.keys(Stage.DONE) and node.queue.keys(Stage.FAILED))
    folder = config.queue / "failed" / pseudonym(bad[1])
    text = (folder / "reason.txt").read_text()
    assert re.match(reason, text)
    assert len(list((folder / "images").iterdir())) == 4
    if "fault" in text:
        assert f"{' '.join(text.split()[:2])}: study {pseudonym(bad[1])}: ValueError" in caplog.text
    assert "Paula" not in caplog.text


def test_a_fault_while_sending_sets_the_study_aside_and_sends_the_next(
    tmp_path, archive, caplog, monkeypatch
):
    sent = []

    def push(peer, files, own, **_):
        sent.append(files)
        if len(sent) == 1:
            raise KeyError("deep")

    monkeypatch.setattr("renalseg.pacs.sender.push", push)
    config = configured(tmp_path, archive)
    queue = Queue(config.queue)
    queue.open()
    for key in ("a", "b"):
        results = queue.folder(Stage.SENDING, key) / "results"
        results.mkdir(parents=True)
        (results / "seg.dcm").touch()
        (queue.folder(Stage.SENDING, key) / "peer.txt").write_text(next(iter(config.peers)))
    Sender(queue, config).turn()
    queue.close()
    assert (queue.keys(Stage.FAILED), queue.keys(Stage.DONE)) == (["a"], ["b"])
    assert re.search(r"fault \d{8}: study a: KeyError at ", caplog.text)


def test_a_full_disk_refuses_and_loses_nothing(tmp_path, archive, monkeypatch):
    config = configured(tmp_path, archive)
    files, uid = study(1, tmp_path / "a")
    with Node(config, quick) as node:

        def full(*_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("renalseg.pacs.queue.write_durably", full)
            with pytest.raises(RefusedError, match="status 0xa700"):
                push(as_peer(config), files, caller())
        with monkeypatch.context() as patch:
            patch.setattr(Queue, "free_bytes", lambda _: 0)
            with pytest.raises(RefusedError, match="status 0xa700"):
                push(as_peer(config), files, caller())
        push(as_peer(config), files, caller())
        wait(lambda: node.queue.keys(Stage.DONE))
    assert archive.counts() == {uid: 4}


def test_two_nodes_cannot_share_a_queue_nor_a_port(tmp_path, archive):
    config = configured(tmp_path, archive)
    with Node(config, quick):
        other_port = config.model_copy(update={"port": free_port()})
        with (
            pytest.raises(PacsError, match="another node works on this queue"),
            Node(other_port, quick),
        ):
            pass
        other_queue = config.model_copy(update={"queue": tmp_path / "other"})
        with pytest.raises(PacsError, match="cannot listen there"), Node(other_queue, quick):
            pass
    assert not answers(config.port)


def test_the_log_says_nothing_of_the_patient(node, archive, tmp_path):
    files, uid = study(1, tmp_path / "a")
    send(node, files)
    wait(lambda: node.keys("done"))
    log = (tmp_path / "node.log").read_text()
    assert f"study {pseudonym(uid)}: done" in log
    header = dcmread(files[0])
    known = ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyDate")
    for keyword in (*known, "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert str(header[keyword].value) not in log, keyword
    names = [str(path) for path in node.config.queue.rglob("*")]
    assert not any(uid in name for name in names)
