"""Where the files of studies stand. No name on the disk comes from a user."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StudyFolder:
    """The files of one study.

    Attributes:
        path: Its folder.
    """

    path: Path

    @property
    def upload(self) -> Path:
        """The folder of what was sent."""
        return self.path / "upload"

    @property
    def image(self) -> Path:
        """The CT on its own grid."""
        return self.path / "image.nii.gz"

    @property
    def thumbnail(self) -> Path:
        """A small picture."""
        return self.path / "thumbnail.webp"

    @property
    def raw(self) -> Path:
        """The mask before post-processing."""
        return self.path / "raw.nii.gz"

    @property
    def entropy(self) -> Path:
        """How undecided the ensemble is, 0 to 1."""
        return self.path / "entropy.nii.gz"

    def mask(self, number: int) -> Path:
        """A version of the mask."""
        return self.path / f"mask-{number}.nii.gz"

    def measurements(self, number: int) -> Path:
        """What was measured of a version."""
        return self.path / f"measurements-{number}.json"

    def results(self, number: int) -> Path:
        """The folder of other files that were made of a version."""
        return self.path / f"results-{number}"

    def make(self) -> None:
        """Make the folder, for its owner alone."""
        self.path.mkdir(mode=0o700, parents=True)
        self.upload.mkdir(mode=0o700)

    def remove(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)


@dataclass(frozen=True)
class DataFolder:
    """The files of all studies.

    Attributes:
        path: The server's data folder.
    """

    path: Path

    @property
    def studies(self) -> Path:
        """The folder of studies."""
        return self.path / "studies"

    def of(self, identifier: str) -> StudyFolder:
        """A study's folder."""
        return StudyFolder(self.studies / identifier)

    def make(self) -> None:
        """Make the folders where they are not there, for their owner alone."""
        self.studies.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)

    def present(self) -> Iterator[str]:
        """Identifiers of the studies that have a folder."""
        return (path.name for path in self.studies.iterdir())

    def free_bytes(self) -> int:
        """What is left on the disk."""
        return shutil.disk_usage(self.path).free
