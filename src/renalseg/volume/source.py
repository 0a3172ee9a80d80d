"""A scan in any form in which it comes: an image file, or a DICOM series."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from renalseg.errors import VolumeError
from renalseg.volume.presence import why_absent
from renalseg.volume.read import read_image
from renalseg.volume.volume import Volume

if TYPE_CHECKING:
    from renalseg.volume.dicom import Series


@dataclass(frozen=True)
class Reading:
    """How DICOM is read; image files leave no choice.

    Attributes:
        series: UID or number of the series to take, and perhaps of a pass in it (``3:2``); None
            chooses by rule.
        allow_gaps: Whether missing slices may be filled in.
    """

    series: str | None = None
    allow_gaps: bool = False


@dataclass(frozen=True, eq=False)
class Source:
    """A scan that was read.

    Attributes:
        path: Where it was read from.
        volume: Its voxels in HU.
        series: The DICOM series that it is; None of an image file.
    """

    path: Path
    volume: Volume
    series: "Series | None" = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how it was read."""
        return () if self.series is None else self.series.notes


def read_source(path: Path, reading: Reading | None = None) -> Source:
    """Read a scan: an image file, or a folder, zip or file of DICOM.

    Args:
        path: The file or folder.
        reading: Which series, and what is allowed.

    Raises:
        VolumeError: If it cannot be read, its content was not fetched, or the series are none or
            too many.
    """
    from renalseg.volume.dicom import is_dicom_source

    if why := why_absent(path):
        raise VolumeError(f"{path}: cannot be read ({why}); fetch or mend it")
    if not is_dicom_source(path):
        return Source(path, read_image(path))
    from renalseg.volume.dicom import read_series

    reading = reading or Reading()
    series = read_series(path, reading.series, reading.allow_gaps)
    return Source(path, series.volume, series)
