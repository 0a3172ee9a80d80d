"""What several tests need: the real data, where it is there, and what is made once per run."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from docs_pages import not_run
from installed import install
from once import RealStudy, TrainedExperiment, predict_real_study, train_tiny_experiment
from soak import IS_WHOLE, SEED

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores; before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")

_LONGEST = ("test_docs.py", "test_journey_", "test_parity.py", "test_page")
MakeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real annotations and CT, which is not part of the project."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("RENALSEG_REAL_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set RENALSEG_REAL_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def shared_root(tmp_path_factory) -> Path:
    """A folder that all workers of this run have in common."""
    root = tmp_path_factory.getbasetemp()
    return root.parent if "PYTEST_XDIST_WORKER" in os.environ else root


@pytest.fixture(scope="session")
def ray_lock(shared_root) -> FileLock:
    """Held by whoever runs a Ray cluster: `ray stop` ends every one of this machine."""
    return FileLock(shared_root / "ray.lock")


@pytest.fixture(scope="session")
def make_once(shared_root) -> MakeOnce:
    """Make a folder once per run, for all workers of pytest-xdist; tests copy what they change."""

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = shared_root / f"once-{name}", shared_root / f"once-{name}.done"
        with FileLock(shared_root / f"once-{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def installed_command(make_once) -> Path:
    """The console command of a wheel in an environment of its own; ``journey`` runs it."""
    command = make_once("installed", install) / "bin" / "renalseg"
    os.environ["RENALSEG_COMMAND"] = str(command)
    return command


@pytest.fixture(scope="session")
def trained_experiment(make_once, installed_command) -> TrainedExperiment:
    """The tiny experiment, run by the installed command on a cohort that it made."""
    return TrainedExperiment(make_once("experiment", train_tiny_experiment))


@pytest.fixture(scope="session")
def trained_ensemble(trained_experiment) -> Path:
    """An ensemble folder of trained networks, quick and small; it finds next to nothing."""
    return trained_experiment.ensemble


@pytest.fixture(scope="session")
def bundled_prediction(make_once, installed_command, real_data) -> RealStudy:
    """A real CT as DICOM and NIfTI, segmented by the bundled model into every format."""
    return RealStudy(make_once("prediction", lambda folder: predict_real_study(folder, real_data)))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave soak tests to soaks, and begin with the longest files, so that no worker ends late."""
    if not IS_WHOLE:
        config.hook.pytest_deselected(items=[item for item in items if _is_soak(item)])
        items[:] = [item for item in items if not _is_soak(item)]
    items.sort(key=lambda item: not item.path.name.startswith(_LONGEST))


def _is_soak(item: pytest.Item) -> bool:
    return item.get_closest_marker("soak") is not None


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Number tests of bytes: as ids no terminal shows them, and zips hold the time of day."""
    return argname if isinstance(val, bytes) else None


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
