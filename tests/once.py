"""What takes long to make and is made once per run: see the fixtures of ``conftest``."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dicom_phantom import make_series, write_series
from journey import renalseg
from renalseg.cohort.phantom import PhantomConfig, write_liver_cohort
from renalseg.formats import Format
from renalseg.volume import Volume, read_image

TINY = Path(__file__).with_name("tiny.yaml")
#: Every format, as options of ``renalseg predict``.
EVERY_FORMAT = tuple(word for one in Format for word in ("--format", one.value))
#: Of the real CT: enough slices from the head that both kidneys are whole.
_SLICES = 64
#: What a CT of 12 bits holds.
_HU = (-1024, 3071)


@dataclass(frozen=True)
class TrainedExperiment:
    """The tiny experiment as ``renalseg experiment run`` left it.

    Attributes:
        folder: The experiment's, with its ``cohort`` and its ``liver`` in it.
    """

    folder: Path

    @property
    def cohort(self) -> Path:
        return self.folder / "cohort"

    @property
    def ensemble(self) -> Path:
        return self.folder / "ensemble"

    @property
    def printed(self) -> str:
        """What the command printed on standard output."""
        return (self.folder / "printed.txt").read_text()


@dataclass(frozen=True)
class RealStudy:
    """A real CT and what the bundled model made of it with ``--uncertainty``.

    Attributes:
        folder: Of all that follows.
    """

    folder: Path

    @property
    def dicom(self) -> Path:
        """The CT as a folder of DICOM files."""
        return self.folder / "study"

    @property
    def scan(self) -> Path:
        """The same voxels as NIfTI."""
        return self.folder / "scan.nii.gz"

    @property
    def mask(self) -> Path:
        """The mask as NIfTI; every other result lies next to it."""
        return self.folder / "results" / "study.nii.gz"

    @property
    def shown(self) -> str:
        """What the command showed meanwhile."""
        return (self.folder / "shown.txt").read_text()


def train_tiny_experiment(folder: Path) -> None:
    """Make the cohorts of ``tiny.yaml``, and run it on them by the command."""
    grid = {"in_plane_mm": (8.0, 8.0), "slice_mm": (8.0, 9.0)}
    renalseg(
        *("data", "phantom", folder / "cohort", "--cases", 4, "--seed", 1),
        *("--in-plane-mm", *grid["in_plane_mm"], "--slice-mm", *grid["slice_mm"]),
    )
    write_liver_cohort(folder / "liver", PhantomConfig(cases=2, seed=2, **grid))
    done = renalseg(
        *("experiment", "run", TINY, "-c", folder / "cohort", "--liver", folder / "liver"),
        *("-o", folder, "--jobs", 1, "--device", "cpu"),
    )
    (folder / "printed.txt").write_text(done.stdout)


def predict_real_study(folder: Path, real_data: Path) -> None:
    """Write the real CT in both forms, and segment it by the command into every format."""
    ct = read_image(real_data / "ct" / "abdomen_3mm.nii.gz")
    study = RealStudy(folder)
    part = Volume(np.clip(ct.array[:_SLICES], *_HU).astype(np.int16), ct.affine)
    part.save(study.scan)
    write_series(make_series(part).datasets, study.dicom)
    done = renalseg(
        *("predict", study.dicom, "-o", study.mask, *EVERY_FORMAT),
        *("--profile", "fast", "--uncertainty", "--device", "cpu"),
    )
    (folder / "shown.txt").write_text(done.stderr)
