"""Hostile and broken inputs made on the fly, and what the command line must make of each.

Every case has a group and a number, which are the seed of its random numbers, so that a failure's
name is enough to see it again.
"""

import json
import random
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from renalseg.cli.main import run

#: A case that takes longer hangs. The first one of a process also imports torch.
SECONDS = 30
#: Address space beyond what the largest case before took; torch's and numpy's own included.
MOST_BYTES = 1 << 30

IPL = np.array([[0, 0, -3.0, 60], [0, -3.0, 0, 50], [-4.0, 0, 0, 40], [0, 0, 0, 1.0]])
SHAPE = (6, 8, 9)

#: What takes the place of a value of a JSON document.
VALUES = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 0.5, -0.5, 1e-30, 1e308, 10**12, 10**30, 10**400),
    *(float("nan"), float("inf"), -float("inf"), "", "x", "0", "torch.nn.Linear", "os.system"),
    *("torch.nn.parallel.distributed.os.system", "../..", "/etc/passwd", "\x00", "\x1b[2J\n", "é☢"),
    *("\ud800", "a" * 100_000, [], {}, [[]], {"": None}, [0, 0, 0], [1, 2], [-1, 10**9, 0]),
    *([1] * 10_000, {str(n): n for n in range(2000)}),
)


def seeded(group: str, number: int) -> random.Random:
    return random.Random(f"{group} {number}")


def scan_array() -> np.ndarray:
    array = np.random.RandomState(0).normal(40, 150, SHAPE).astype(np.int16)
    array[0] = -1000
    return array


class HangError(BaseException):
    """Not an Exception, so that nothing catches it."""


@contextmanager
def limited(seconds: int):
    def stop(_number, _frame):
        raise HangError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def one_thread():
    """Threads that wait for one another take most of the time of a network this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def peak_bytes() -> int:
    """The most address space that this process ever had; taken for good or only claimed."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if "VmPeak" in line)


@contextmanager
def noted(said: str):
    """Let a failure say what was done to its input."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"mutation: {said}")
        raise


def run_predict(scan: Path, mask: Path, model: Path, monkeypatch, capsys) -> int:
    """Run the command as a shell does; check all that must hold whatever its input is."""
    arguments = ["renalseg", "predict", str(scan), "-o", str(mask), "-m", str(model)]
    monkeypatch.setattr(sys, "argv", [*arguments, "--device", "cpu", "--json"])
    before = peak_bytes()
    capsys.readouterr()
    with limited(SECONDS), one_thread(), pytest.raises(SystemExit) as left:
        run()
    code = left.value.code or 0
    said, errors = capsys.readouterr()
    told = [line for line in errors.splitlines() if line.startswith("error: ")]
    problems = [one["problem"] for one in json.loads(said)] if said.strip() else []
    assert code in (0, 1, 2), errors
    assert "Traceback" not in errors
    assert peak_bytes() - before < MOST_BYTES
    left_there = sorted(path.name for path in mask.parent.iterdir())
    if code:
        assert left_there == []
        assert len(told) == 1 or any(problems), errors
        for line in (*told, *filter(None, problems)):
            assert line.isprintable(), line
            assert len(line) < 1000, line
    else:
        assert not told
        assert all(name.startswith("mask.") for name in left_there)
        labels = np.asarray(nibabel.load(mask).dataobj)
        assert labels.dtype == np.uint8
        assert labels.max() <= 3
    return code


def damage_bytes(content: bytes, seed: random.Random) -> tuple[bytes, str]:
    """Flip, cut, blank, repeat or mix bytes."""
    size = len(content)
    start = seed.randrange(size)
    length = seed.choice((1, 4, 64, size // 3))
    stop = min(size, start + length)
    kind = seed.choice(("flip", "flips", "cut", "blank", "noise", "twice", "swap", "drop"))
    damaged = bytearray(content)
    if kind == "flip":
        damaged[start] ^= 1 << seed.randrange(8)
    elif kind == "flips":
        for place in seed.choices(range(size), k=1 + size // 500):
            damaged[place] ^= 1 << seed.randrange(8)
    elif kind == "cut":
        del damaged[start:]
    elif kind == "blank":
        damaged[start:stop] = bytes(stop - start)
    elif kind == "noise":
        damaged[start:stop] = seed.randbytes(stop - start)
    elif kind == "twice":
        damaged[start:start] = content[start:stop]
    elif kind == "swap":
        damaged = damaged[start:] + damaged[:start]
    else:
        del damaged[start:stop]
    return bytes(damaged), f"{kind} {start}:{stop} of {size}"


def damage_json(content: object, seed: random.Random, *, under: tuple = ()) -> tuple[str, str]:
    """Change one to three values of a JSON document, and say which."""
    content = json.loads(json.dumps(content))
    said = []
    for _ in range(seed.choice((1, 1, 1, 2, 3))):
        base = content
        for step in under:
            base = base[step]
        places = list(_places(base))
        if not places:
            break
        parent, key = seed.choice(places)
        kind = seed.choice(("value", "value", "value", "delete", "nest", "sign", "scale", "twice"))
        old = parent[key]
        if kind == "delete":
            del parent[key]
        elif kind == "nest":
            parent[key] = {"a": [old]}
        elif kind in ("sign", "scale") and isinstance(old, int | float):
            parent[key] = -old if kind == "sign" else old * seed.choice((1000, 2**31, 0.001))
        elif kind == "twice" and isinstance(old, list):
            parent[key] = old * 2
        else:
            parent[key] = seed.choice(VALUES)
        said.append(f"{key!r}: {kind} {str(parent)[:60] if kind == 'delete' else ''}")
    return json.dumps(content), "; ".join(said)


def _places(content):
    """Every value of a document, by the container that holds it."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        yield content, key
        if isinstance(value, dict | list):
            yield from _places(value)
