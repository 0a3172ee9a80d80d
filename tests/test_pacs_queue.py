"""The queue on disk, without a network."""

import os
import time

import pytest

from renalseg.errors import PacsError
from renalseg.pacs.queue import Queue, Stage


@pytest.fixture
def queue(tmp_path):
    queue = Queue(tmp_path / "queue")
    queue.open()
    yield queue
    queue.close()


def bring(queue, *names, key="k"):
    for name in names:
        queue.add(key, f"{name}.dcm", name.encode(), "archive")
    queue.closed(key)


def work(queue, key="k"):
    """Segment the study that waits, and send what comes out."""
    assert queue.take() == key
    (queue.folder(Stage.WORKING, key) / "results").mkdir()
    (queue.folder(Stage.WORKING, key) / "results" / "r.dcm").write_text("r")
    queue.move(key, Stage.WORKING, Stage.SENDING)
    queue.note_sent(key, "archive")
    queue.finish(key)


def images(queue, stage, key="k"):
    return sorted(path.name for path in (queue.folder(stage, key) / "images").iterdir())


def where(queue, key="k"):
    return [stage for stage in Stage if key in queue.keys(stage)]


def test_a_study_waits_when_it_was_quiet_for_long_enough(queue):
    queue.add("k", "a.dcm", b"a", "archive")
    assert queue.promote(0, set()) == []  # its connection is open, or broke off
    queue.closed("k")
    assert queue.promote(60, set()) == []
    assert queue.promote(0, {"k"}) == []  # another connection brings more
    assert queue.promote(0, set()) == ["k"]
    assert where(queue) == [Stage.WAITING]


def test_an_instance_after_the_close_opens_the_study_again(queue):
    bring(queue, "a")
    queue.add("k", "b.dcm", b"b", "archive")
    assert queue.promote(0, set()) == []
    bring(queue, "c")
    queue.promote(0, set())
    queue.add("k", "d.dcm", b"d", "archive")  # it waits: more may be to come
    assert where(queue) == [Stage.INCOMING]
    assert images(queue, Stage.INCOMING) == ["a.dcm", "b.dcm", "c.dcm", "d.dcm"]


def test_what_comes_twice_is_there_once(queue):
    bring(queue, "a", "b", "a")
    bring(queue, "b")
    queue.promote(0, set())
    assert images(queue, Stage.WAITING) == ["a.dcm", "b.dcm"]


def test_a_study_that_comes_while_it_is_worked_on_waits_for_its_turn(queue):
    bring(queue, "a")
    queue.promote(0, set())
    assert queue.take() == "k"
    bring(queue, "b")
    assert queue.promote(0, set()) == []
    assert where(queue) == [Stage.INCOMING, Stage.WORKING]
    queue.move("k", Stage.WORKING, Stage.SENDING)
    assert queue.promote(0, set()) == []
    queue.finish("k")
    assert queue.promote(0, set()) == ["k"]
    assert images(queue, Stage.WAITING) == ["a.dcm", "b.dcm"]


def test_a_study_that_comes_again_unchanged_is_only_sent_again(queue):
    bring(queue, "a", "b")
    queue.promote(0, set())
    work(queue)
    queue.add("k", "a.dcm", b"a", "other")
    queue.closed("k")
    queue.promote(0, set())
    assert where(queue) == [Stage.SENDING]
    assert queue.peer(Stage.SENDING, "k") == "other"
    assert not queue.is_sent("k", "archive")
    assert [path.name for path in queue.results("k")] == ["r.dcm"]


def test_a_study_that_comes_again_changed_is_worked_on_again(queue):
    bring(queue, "a", "b")
    queue.promote(0, set())
    work(queue)
    queue.add("k", "a.dcm", b"corrected", "archive")
    queue.closed("k")
    queue.promote(0, set())
    assert queue.take() == "k"
    assert images(queue, Stage.WORKING) == ["a.dcm", "b.dcm"]
    assert (queue.folder(Stage.WORKING, "k") / "images/a.dcm").read_bytes() == b"corrected"


def test_a_study_that_broke_off_is_set_aside_and_completed_when_it_is_sent_again(queue):
    queue.add("k", "a.dcm", b"a", "archive")
    assert queue.fail_interrupted(60, set()) == []
    assert queue.fail_interrupted(0, {"k"}) == []
    assert queue.fail_interrupted(0, set()) == ["k"]
    reason = (queue.folder(Stage.FAILED, "k") / "reason.txt").read_text()
    assert "broke off before the study was whole" in reason
    bring(queue, "b")
    queue.promote(0, set())
    assert where(queue) == [Stage.WAITING]
    assert images(queue, Stage.WAITING) == ["a.dcm", "b.dcm"]


def test_studies_are_taken_in_the_order_in_which_they_came(queue):
    for age_s, key in ((10, "b"), (30, "a"), (20, "c")):
        bring(queue, "i", key=key)
        then = time.time() - age_s
        os.utime(queue.folder(Stage.INCOMING, key) / "closed", (then, then))
    queue.promote(0, set())
    assert [queue.take(), queue.take(), queue.take(), queue.take()] == ["a", "c", "b", None]


def test_what_a_killed_node_left_is_put_in_order(tmp_path, queue):
    bring(queue, "a")
    queue.promote(0, set())
    queue.take()
    (queue.root / "parts" / "half").write_bytes(b"x")
    (queue.root / "trash" / "old").mkdir()
    queue.close()
    queue.open()
    assert where(queue) == [Stage.WAITING]
    assert list((queue.root / "parts").iterdir()) == list((queue.root / "trash").iterdir()) == []


def test_what_is_done_goes_after_a_while(queue):
    bring(queue, "a")
    queue.promote(0, set())
    work(queue)
    assert queue.expire(60) == []
    assert queue.expire(0) == ["k"]
    assert where(queue) == []
    assert list((queue.root / "trash").iterdir()) == []


def test_a_write_that_fails_leaves_nothing_and_keeps_the_study_closed(queue, monkeypatch):
    bring(queue, "a")

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("renalseg.pacs.instance.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            queue.add("k", "b.dcm", b"b", "archive")
    assert list((queue.root / "parts").iterdir()) == []
    assert queue.promote(0, set()) == ["k"]


def test_only_its_owner_may_look_into_the_queue(queue):
    assert queue.root.stat().st_mode & 0o777 == 0o700


def test_a_queue_is_one_nodes(queue):
    with pytest.raises(PacsError, match="another node works on this queue"):
        Queue(queue.root).open()
