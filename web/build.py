"""Copy what the page takes from npm into the package; run by ``hatch_build.py`` on installing.

By hand: ``python web/build.py``. Needs npm and, the first time, a registry that it knows. Does
nothing where the package already holds what ``package-lock.json`` names.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENDOR = HERE.parent / "src" / "renalseg" / "web" / "static" / "vendor"
#: From node_modules to the package.
FILES = {
    "@niivue/niivue/dist/index.min.js": "niivue.js",
    "@niivue/niivue/package.json": "niivue.json",
}


def wanted() -> str:
    """The fingerprint of what the lock file pins."""
    return hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()


def is_built() -> bool:
    """Whether the package holds what the lock file pins."""
    stamp = VENDOR / "LOCK"
    return stamp.is_file() and stamp.read_text() == wanted()


def build() -> None:
    """Install what the lock file pins, and copy it.

    Raises:
        FileNotFoundError: There is no npm.
        subprocess.CalledProcessError: npm failed.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not installed")
    subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=HERE,
        check=True,
        stdout=sys.stderr,
    )
    VENDOR.mkdir(parents=True, exist_ok=True)
    for source, target in FILES.items():
        shutil.copyfile(HERE / "node_modules" / source, VENDOR / target)
    (VENDOR / "LOCK").write_text(wanted())


if __name__ == "__main__":
    if not is_built():
        build()
