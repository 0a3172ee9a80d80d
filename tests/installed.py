"""renalseg as a user has it: a wheel in an environment of its own, made once per test run."""

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).parents[1]


def once(shared: Path, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first worker to ask for it fills and all others find.

    Args:
        shared: A folder that all workers of this run have in common.
        name: The folder's name in it.
        make: Fills the folder, which does not exist yet.
    """
    folder, done = shared / name, shared / f"{name}.done"
    with FileLock(shared / f"{name}.lock"):
        if not done.exists():
            make(folder)
            done.touch()
    return folder


def install(folder: Path) -> None:
    """Build the wheel and install it in a new environment.

    The environment sees the packages that renalseg depends on where this one has them, and
    renalseg itself only from the wheel.
    """
    wheels = folder / "wheels"
    build = "import sys; from hatchling.cli import hatchling; sys.exit(hatchling())"
    _run([sys.executable, "-c", build, "build", "-t", "wheel", "-d", str(wheels)], cwd=ROOT)
    (wheel,) = wheels.glob("*.whl")
    venv.create(folder, symlinks=True, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    # a line of a .pth file adds a folder whose own .pth files, editable installs, are not read
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", f"--python={folder / 'bin' / 'python'}", "install"]
    _run([*pip, "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", str(wheel)])


def _run(command: list[str], **more: object) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, done.stdout + done.stderr
