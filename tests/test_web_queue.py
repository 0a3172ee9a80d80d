"""Whose turn it is, and that the queue outlives the server."""

import sqlite3

import pytest

from renalseg.errors import RenalsegError
from renalseg.web.database import DATABASE, Database
from renalseg.web.queue import MOST_STARTS, Queue
from renalseg.web.store import Store
from renalseg.web.study import Facts, State
from renalseg.web.turns import Waiting, in_turn


def names(order):
    return [one.id for one in order]


def of(*users):
    """Studies in the order in which they came."""
    return [Waiting(f"{user}{users[: n + 1].count(user)}", user, n) for n, user in enumerate(users)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / DATABASE


def opened(path):
    database = Database(path)
    return Store(database), Queue(database), database


def add(store, queue, user="a", name="scan"):
    study = store.create(user, name, "balanced", uncertainty=False, kept_s=1e6, most=1000)
    queue.add(study.id, {State.UPLOADING})
    return study.id


def test_users_take_turns_however_many_scans_each_sends():
    waiting = of("a", "a", "a", "a", "b", "b", "c")
    assert names(in_turn(waiting, {})) == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


def test_who_was_served_longest_ago_comes_next():
    assert names(in_turn(of("a", "b", "c"), {"a": 3, "b": 1, "c": 2})) == ["b1", "c1", "a1"]


def test_who_was_never_served_comes_before_who_was():
    assert names(in_turn(of("a", "b"), {"a": 1})) == ["b1", "a1"]


def test_an_empty_queue_has_no_order():
    assert in_turn([], {"a": 1}) == []


def test_the_order_that_is_shown_is_the_order_that_is_kept(path):
    store, queue, _ = opened(path)
    for user in "aaabbc":
        add(store, queue, user)
    shown = names(queue.order())
    taken = []
    while (one := queue.take()) is not None:
        taken.append(one)
        queue.finish(one, Facts())
    assert taken == shown
    assert [store.study(one).user for one in taken] == ["a", "b", "c", "a", "b", "a"]


def test_a_study_that_ran_when_the_server_died_is_the_next(path):
    store, queue, database = opened(path)
    first = add(store, queue, "a")
    add(store, queue, "b")
    add(store, queue, "a")
    assert queue.take() == first
    database.close()
    store, queue, _ = opened(path)
    queue.recover()
    assert queue.take() == first
    assert store.study(first).starts == 2


def test_a_study_that_kills_the_server_is_given_up(path):
    _, queue, _ = opened(path)
    store = Store(queue._database)
    bad, good = add(store, queue), add(store, queue)
    for _ in range(MOST_STARTS):
        assert queue.take() == bad
        queue.recover()
    assert queue.take() == good
    assert store.study(bad).state is State.FAILED
    assert "the server stopped 3 times" in store.study(bad).problem
    assert queue.add(bad, {State.FAILED})
    assert store.study(bad).starts == 0


def test_a_stop_does_not_count_as_a_death(path):
    store, queue, _ = opened(path)
    one = add(store, queue)
    for _ in range(2 * MOST_STARTS):
        assert queue.take() == one
        queue.put_back(one)
    assert store.study(one).state is State.QUEUED


@pytest.mark.parametrize("end", ["cancel", "hide"])
def test_the_result_of_a_study_that_nobody_wants_is_dropped(path, end):
    store, queue, _ = opened(path)
    one = add(store, queue)
    queue.take()
    {"cancel": queue.cancel, "hide": store.hide}[end](one)
    assert not queue.finish(one, Facts())
    assert not queue.fail(one, "problem")
    assert end == "hide" or store.study(one).versions == ()


def test_facts_and_versions_are_kept_as_they_are(path):
    store, queue, database = opened(path)
    one = add(store, queue)
    queue.take()
    facts = Facts((1, 2, 3), (1.0, 2.0, 3.5), ("look",), is_dicom=True, has_raw=True)
    assert queue.finish(one, facts)
    assert store.add_version(one, "alice", 1, 2).number == 2
    database.close()
    study = opened(path)[0].study(one)
    assert study.facts == facts
    assert [(v.number, v.by, v.made_from) for v in study.versions] == [
        (1, "ensemble", None),
        (2, "alice", 1),
    ]


def test_a_removed_study_leaves_no_word_in_the_file(path):
    store, queue, database = opened(path)
    one = add(store, queue, "alice", "DOE^JANE")
    store.set_file_name(one, "jane_doe.nii.gz")
    store.hide(one)
    assert store.studies_of("alice") == []
    store.forget(one)
    for file in path.parent.iterdir():
        assert b"DOE^JANE" not in file.read_bytes()
        assert b"jane_doe" not in file.read_bytes()
    database.close()


def test_no_more_studies_than_allowed(path):
    store, _, _ = opened(path)
    arguments = {"uncertainty": False, "kept_s": 1.0, "most": 2}
    assert store.create("a", "1", "fast", **arguments)
    assert store.create("a", "2", "fast", **arguments)
    assert store.create("a", "3", "fast", **arguments) is None
    assert store.create("b", "1", "fast", **arguments)


def test_a_file_that_is_none_is_said(path):
    path.write_bytes(b"no database" * 100)
    with pytest.raises(RenalsegError, match="not a file of renalseg serve"):
        Database(path)


def test_a_newer_file_is_left_alone(path):
    Database(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(RenalsegError, match="written by a newer renalseg"):
        Database(path)
