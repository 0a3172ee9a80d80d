"""A scan and its mask as files of this computer, as the page in the browser asks for them."""

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from renalseg.errors import RenalsegError, VolumeError
from renalseg.labels import DiameterLine
from renalseg.volume import Volume, read_labels
from renalseg.volume.source import read_source

#: The one study's identifier.
ID = "scan"


@dataclass(frozen=True)
class Version:
    """A mask.

    Attributes:
        number: Counted from 1.
        labels: The mask, on the scan's grid.
        by: Who made it.
        at: When.
        path: Its file.
        made_from: The version that it corrects.
    """

    number: int
    labels: Volume
    by: str
    at: datetime
    path: Path
    made_from: int | None = None

    def record(self) -> dict[str, Any]:
        """As the page's contract has it."""
        return {
            "number": self.number,
            "by": self.by,
            "at": self.at.isoformat(),
            "from": self.made_from,
            "saved_as": self.path.name,
        }


@dataclass(eq=False)
class LocalStudy:
    """One scan with its masks.

    Attributes:
        path: The scan's file or DICOM folder.
        scan: The scan.
        notes: What a person should know of how it was read.
        versions: Its masks; corrections are added.
        diameter: The line that scores take for a tumor's largest diameter.
    """

    path: Path
    scan: Volume
    notes: tuple[str, ...] = ()
    versions: list[Version] = field(default_factory=list)
    diameter: DiameterLine = DiameterLine.AXIAL
    _measured: dict[int, str] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @classmethod
    def open(
        cls,
        scan: Path,
        mask: Path | None = None,
        diameter: DiameterLine = DiameterLine.AXIAL,
    ) -> "LocalStudy":
        """Read the files.

        Raises:
            VolumeError: One cannot be read, or the mask does not lie on the scan's grid.
        """
        source = read_source(scan)
        study = cls(scan, source.volume, source.notes, diameter=diameter)
        if mask is not None:
            labels = read_labels(mask)
            if not labels.same_grid(study.scan):
                raise VolumeError(
                    f"{mask}: expected the grid of {scan} (shape {study.scan.shape}), got shape "
                    f"{labels.shape} or another place; give the mask that belongs to the scan"
                )
            made = datetime.fromtimestamp(mask.stat().st_mtime, UTC)
            study.versions.append(Version(1, labels, mask.name, made, mask))
        return study

    def record(self) -> dict[str, Any]:
        """The study as the page's contract has it."""
        return {
            "id": ID,
            "name": self.path.name,
            "state": "done",
            "position": None,
            "progress": 1,
            "step": "",
            "problem": None,
            "created": None,
            "expires": None,
            "shape": self.scan.shape,
            "spacing_mm": self.scan.spacing_mm,
            "warnings": self.notes,
            "versions": [version.record() for version in self.versions],
            "has_uncertainty": False,
            "has_raw": False,
            "is_dicom": False,
        }

    def version(self, number: int) -> Version:
        """A mask by its number.

        Raises:
            RenalsegError: There is none.
        """
        for version in self.versions:
            if version.number == number:
                return version
        raise RenalsegError(f"{self.path.name} has no version {number}")

    def measurements(self, number: int) -> str:
        """What is measured of a version, as JSON; measured once."""
        version = self.version(number)
        with self._lock:
            if number not in self._measured:
                from renalseg.clinical import measure

                found = measure(version.labels, self.scan, diameter=self.diameter)
                self._measured[number] = found.model_dump_json()
            return self._measured[number]

    def correct(self, corrected: Volume, made_from: int) -> Version:
        """Save a corrected mask beside the one that it corrects; no file is ever overwritten.

        Raises:
            VolumeError: It does not lie on the scan's grid, or cannot be written.
        """
        if not corrected.same_grid(self.scan):
            raise VolumeError("the corrected mask does not lie on the scan's grid")
        with self._lock:
            number = len(self.versions) + 1
            beside = self.path.with_name(f"{_stem(self.path)}-mask.nii.gz")
            path = _free(self.versions[0].path if self.versions else beside, number)
            owner = self.versions[0].labels if self.versions else self.scan
            labels = owner.like(corrected.array)
            labels.save(path)
            version = Version(number, labels, "you", datetime.now(UTC), path, made_from or None)
            self.versions.append(version)
            return version


def canonical(volume: Volume) -> Volume:
    """The volume without its way back to the file: its own grid is the canonical one, in mm."""
    return replace(volume, source=None)


def _free(path: Path, number: int) -> Path:
    """The name of a version's file that is not taken."""
    while True:
        candidate = path.with_name(f"{_stem(path)}-v{number}.nii.gz")
        if not os.path.lexists(candidate):
            return candidate
        number += 1


def _stem(path: Path) -> str:
    name = path.name
    for suffix in (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name
