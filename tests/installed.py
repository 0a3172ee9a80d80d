"""renalseg as a user has it: a wheel in an environment of its own, made once per test run."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


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
