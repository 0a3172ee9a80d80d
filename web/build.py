"""Copy what the page takes from npm into the package; ``hatch_build.py`` runs it on installing.

By hand: ``python web/build.py``. npm fetches from the registry that it is set up with; what comes
is taken only if its SHA-512 is the one in ``package-lock.json``. Nothing of it is run.
"""

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENDOR = HERE.parent / "src" / "renalseg" / "web" / "static" / "vendor"
#: npm's own patience is minutes; an installation without a network should not wait so long.
PATIENCE = ("--fetch-retries=1", "--fetch-retry-mintimeout=500", "--fetch-timeout=30000")
LONGEST_S = 120


class BuildError(Exception):
    """The page cannot be built, and why."""


@dataclass(frozen=True)
class Taken:
    """A file that is taken from a package of npm.

    Attributes:
        package: The package's name.
        member: The file's path in the package.
        path: Where it goes.
    """

    package: str
    member: str
    path: Path


#: NiiVue as one file that needs no other.
NIIVUE = Taken("@niivue/niivue", "dist/index.js", VENDOR / "niivue.js")
#: What the tests ask whether everybody can use the page.
AXE = Taken("axe-core", "axe.min.js", HERE / "node_modules" / "axe-core" / "axe.min.js")


def is_there(taken: Taken) -> bool:
    """Whether the file stands, and comes from the version that the lock file pins."""
    return taken.path.is_file() and _stamp(taken) == _pinned(taken)["integrity"]


def build(taken: Taken = NIIVUE) -> None:
    """Put a file in its place; does nothing where it stands.

    Raises:
        BuildError: npm is missing or does not get the package, or it is not what is pinned.
    """
    if is_there(taken):
        return
    pinned = _pinned(taken)
    with tempfile.TemporaryDirectory() as folder:
        archive = _fetch(f"{taken.package}@{pinned['version']}", Path(folder))
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if f"sha512-{digest}" != pinned["integrity"]:
            raise BuildError(
                f"npm sent another {taken.package} {pinned['version']} than package-lock.json "
                f"pins: expected {pinned['integrity']}, got sha512-{digest}"
            )
        content = _member(archive, taken)
    taken.path.parent.mkdir(parents=True, exist_ok=True)
    beside = taken.path.with_suffix(".part")
    beside.write_bytes(content)
    beside.replace(taken.path)
    _stamp_path(taken).write_text(pinned["integrity"] + "\n")


def _fetch(package: str, folder: Path) -> Path:
    """Let npm get a package's archive."""
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError("npm is not installed")
    command = [npm, "pack", package, "--silent", "--ignore-scripts", *PATIENCE]
    try:
        subprocess.run(
            [*command, "--pack-destination", str(folder)],
            cwd=HERE,
            check=True,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines()
        raise BuildError(
            f"npm did not get {package}: {said[0] if said else 'no answer'}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"npm did not get {package} within {LONGEST_S} s") from error
    archive = next(folder.glob("*.tgz"), None)
    if archive is None:
        raise BuildError(f"npm did not get {package}")
    return archive


def _member(archive: Path, taken: Taken) -> bytes:
    with tarfile.open(archive) as packed:
        try:
            content = packed.extractfile(f"package/{taken.member}")
        except KeyError:
            content = None
        if content is None:
            raise BuildError(f"{taken.package} holds no {taken.member}")
        return content.read()


def _pinned(taken: Taken) -> dict[str, str]:
    lock = json.loads((HERE / "package-lock.json").read_text())
    pinned: dict[str, str] = lock["packages"][f"node_modules/{taken.package}"]
    return pinned


def _stamp_path(taken: Taken) -> Path:
    return taken.path.with_name(f"{taken.path.name}.integrity")


def _stamp(taken: Taken) -> str:
    path = _stamp_path(taken)
    return path.read_text().strip() if path.is_file() else ""


if __name__ == "__main__":
    build()
