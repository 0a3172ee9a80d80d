"""What several tests need: the real data, and what is made once per test run."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from docs_pages import not_run
from installed import install, once
from soak import IS_WHOLE, SEED


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real annotations and CT, which is not part of the project."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RENALSEG_REAL_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set RENALSEG_REAL_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder that all workers of this run have in common."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def installed_command(shared) -> Path:
    """The console command of a wheel in an environment of its own."""
    return once(shared, "installed", install) / "bin" / "renalseg"


@pytest.fixture(scope="session")
def tiny_demo(shared) -> Path:
    """The folder of a demo at the scale of seconds. Do not write to it."""
    from renalseg.experiment.demo import run_demo
    from renalseg.experiment.progress import Silent

    def make(folder: Path) -> None:
        config = Path(__file__).with_name("tiny.yaml")
        run_demo(folder, Silent(), device="cpu", workers=1, config=str(config))

    return once(shared, "renalseg-demo", make)


@pytest.fixture(scope="session")
def bundled_results(shared, installed_command, real_data) -> Path:
    """A folder with what ``renalseg predict scan.nii.gz`` writes of a real CT."""

    def make(folder: Path) -> None:
        folder.mkdir()
        scan = folder / "scan.nii.gz"
        shutil.copy(real_data / "ct" / "abdomen_3mm.nii.gz", scan)
        command = [str(installed_command), "predict", str(scan), "--uncertainty"]
        subprocess.run(command, check=True, capture_output=True, cwd=folder)

    return once(shared, "bundled", make)


def pytest_report_header() -> str:
    """Say which sample of the long tests is run."""
    return "soak: everything" if IS_WHOLE else f"sample of the long tests: RENALSEG_SEED={SEED}"


def pytest_terminal_summary(terminalreporter) -> None:
    """Say which blocks of the docs cannot run here."""
    blocks = not_run()
    if blocks:
        terminalreporter.section("blocks of the docs that cannot run here")
        for block in blocks:
            terminalreporter.line(f"{block.place} needs {block.needs}")
