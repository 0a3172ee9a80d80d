"""The installed command as a user starts it: from a terminal, in a process of its own."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

#: A command that has not ended by then never will, on whatever machine.
PATIENCE_S = 600


def console() -> Path:
    """The command ``renalseg``: that of ``RENALSEG_COMMAND``, or of the tests' environment."""
    return Path(os.environ.get("RENALSEG_COMMAND") or Path(sys.executable).with_name("renalseg"))


def environment(**more: str) -> dict[str, str]:
    """What the command's process inherits: no token of a server, one thread for small networks."""
    inherited = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    for name in ("RENALSEG_TOKEN", "RENALSEG_SERVE_DATA"):
        inherited.pop(name, None)
    if os.environ.get("RENALSEG_COMMAND"):
        inherited.pop("PYTHONPATH", None)  # its environment has its own package
    return inherited


def renalseg(*arguments, cwd=None, exit_code=0) -> subprocess.CompletedProcess:
    """Run the command to its end, which must have this exit code and show no traceback."""
    done = subprocess.run(
        [console(), *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == exit_code, f"{arguments}: {done.stdout}\n{done.stderr}"
    check_lines(done.stdout + done.stderr)
    return done


def check_lines(shown: str) -> None:
    """Nothing that Python says to programmers may reach a user."""
    assert "Traceback" not in shown, shown
    assert "Warning:" not in shown, shown


@contextmanager
def started(*arguments, cwd=None, listens=None):
    """Run a command that serves until SIGTERM, and leave when it has ended by that.

    Args:
        arguments: Of the command.
        cwd: Where it is started.
        listens: Called until it is true, where the command does not print its address.

    Yields:
        The first line of its standard output; None with ``listens``.
    """
    with tempfile.TemporaryFile("w+") as log:
        with subprocess.Popen(
            [console(), *map(str, arguments)],
            cwd=cwd,
            env=environment(PYTHONUNBUFFERED="1"),
            stdout=subprocess.PIPE if listens is None else log,
            stderr=log,
            text=True,
        ) as child:
            try:
                if listens is None:
                    line = child.stdout.readline().strip()
                    assert line, f"{arguments}: {_all_of(log)}"
                    yield line
                else:
                    wait_for(lambda: listens() or child.poll() is not None)
                    assert child.poll() is None, f"{arguments}: {_all_of(log)}"
                    yield None
                child.send_signal(signal.SIGTERM)
                assert child.wait(60) in (0, -signal.SIGTERM), _all_of(log)
            finally:
                child.kill()
        check_lines(_all_of(log))


def wait_for(what, seconds=PATIENCE_S):
    """Wait until something holds; gives it."""
    end = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < end, f"it did not happen in {seconds} s"
        time.sleep(0.1)
    return value


def _all_of(log) -> str:
    log.seek(0)
    return log.read()
