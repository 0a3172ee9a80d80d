"""A batch of twenty scans that is killed at any moment, or whose disk is full.

Starting Python with torch takes seconds, and being killed does not. So a process loads everything
once and forks a child for each batch that is to be killed; none of its threads works when it forks.
"""

import errno
import json
import os
import signal
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cache
from multiprocessing import get_context
from random import Random
from shutil import rmtree

import nibabel
import numpy as np
import pytest

from soak import rounds

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
]

SCANS, ROUNDS, AFRESH = 20, rounds(100, 16), 8
IPL = np.array([[0, 0, -3.0, 60], [0, -3.0, 0, 50], [-4.0, 0, 0, 40], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty scans, a model, and ``whole``: their masks as an undisturbed batch makes them."""
    from models import write_model

    folder = tmp_path_factory.mktemp("batch")
    write_model(folder / "model", folds=(0,))
    (folder / "scans").mkdir()
    for number in range(SCANS):
        array = np.random.RandomState(number).normal(40, 150, (12, 20, 22)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(array, IPL), folder / "scans" / f"{number:02}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def apart(folder):
    """Runs a function in a process that computes with one thread and has the model loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            pool.submit(batch, folder, folder / "whole").result()
            yield lambda function, *arguments: pool.submit(function, *arguments).result()


@cache
def segmenter(folder):
    import torch

    from renalseg.batch import Options

    torch.set_num_threads(1)
    return Options(folder / "model", device="cpu", backend="torch").load()


def batch(folder, masks):
    from renalseg.batch import pair_files, predict_files

    return list(predict_files(pair_files(folder / "scans", masks), lambda: segmenter(folder)))


def fork(function, *arguments):
    """Run a function in a child, a minute at most."""
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            function(*arguments)
            os._exit(0)
        finally:
            os._exit(1)
    return child


def check_files(masks):
    """Every file under a final name is whole, and every mask has its record; gives the masks."""
    seen = [path for path in masks.glob("*") if not path.name.startswith(".")]
    for path in seen:
        if path.suffix == ".json":
            assert json.loads(path.read_text())["input"]["shape"] == [12, 20, 22]
        else:
            labels = np.asarray(nibabel.load(path).dataobj)
            assert labels.shape == (12, 20, 22)
            assert set(np.unique(labels)) <= {0, 1, 2, 3}
            assert path.with_name(path.name.replace(".nii.gz", ".json")) in seen
    return {path.name for path in seen if path.suffix != ".json"}


def same_masks(folder, masks):
    """Whether an undisturbed batch makes the same files, hidden ones included."""
    names = sorted(path.name for path in (folder / "whole").iterdir())
    assert sorted(path.name for path in masks.iterdir()) == names
    made = [name for name in names if name.endswith(".nii.gz")]
    assert len(made) == SCANS
    return all((masks / n).read_bytes() == (folder / "whole" / n).read_bytes() for n in made)


def kill_rounds(folder, masks):
    """Kill batches at random moments, every other just when it has begun to write a file.

    Gives how many masks stood after each, and how often hidden files were left.
    """
    began = time.monotonic()
    assert os.waitpid(fork(batch, folder, masks), 0)[1] == 0
    seconds, random, stood, torn = time.monotonic() - began, Random(0), [], 0
    for number in range(ROUNDS):
        if number % AFRESH == 0 or stood[-1] == SCANS:
            rmtree(masks, ignore_errors=True)
            masks.mkdir()
        before = check_files(masks)
        child = fork(batch, folder, masks)
        time.sleep(random.uniform(0, seconds) * (1 - len(before) / SCANS))
        if number % 2:
            wait_for_change(masks, seconds)
            time.sleep(random.choice((0, 5e-4)) * random.random())
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL)
        now = check_files(masks)
        assert before <= now
        stood.append(len(now))
        torn += any(path.name.startswith(".") for path in masks.glob("*"))
    batch(folder, masks)
    return stood, torn


def wait_for_change(folder, seconds):
    before, end = folder.stat().st_mtime_ns, time.monotonic() + seconds
    while folder.stat().st_mtime_ns == before and time.monotonic() < end:
        pass


def test_batches_killed_at_any_moment_leave_whole_files_and_go_on(folder, apart, tmp_path):
    stood, torn = apart(kill_rounds, folder, tmp_path / "masks")
    assert len(stood) == ROUNDS
    assert len(set(stood)) > rounds(5, 2)  # the moments differ
    assert torn > rounds(5, 0)  # some were killed while they wrote
    assert same_masks(folder, tmp_path / "masks")


@contextmanager
def small_disk(place):
    """A disk of 64 kB at a folder."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)]
    try:
        done = subprocess.run(mount, check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no mount here")
    if done.returncode:
        pytest.skip("a disk of 64 kB needs the right to mount one")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_one_line_for_each_scan_and_leaves_whole_files(folder, apart, tmp_path):
    masks = tmp_path / "masks"
    with small_disk(masks):
        problems = [r.problem for r in apart(batch, folder, masks) if r.problem]
        assert 0 < len(problems) < SCANS
        reason = os.strerror(errno.ENOSPC)
        assert all(f"cannot be written ({reason})" in line for line in problems)
        assert not any("\n" in line for line in problems)
        assert len(check_files(masks)) == SCANS - len(problems)


def batch_of_small_files(folder, masks):
    """A batch in a child that may write no file of more than 1,000 bytes."""
    import resource

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        problems = [result.problem for result in batch(folder, masks)]
        assert all(os.strerror(errno.EFBIG) in problem for problem in problems)

    return os.waitpid(fork(limited), 0)[1]


def test_a_write_that_breaks_off_leaves_nothing_and_the_batch_goes_on(folder, apart, tmp_path):
    assert apart(batch_of_small_files, folder, tmp_path / "masks") == 0
    assert check_files(tmp_path / "masks") == set()
    apart(batch, folder, tmp_path / "masks")
    assert same_masks(folder, tmp_path / "masks")
