"""From what was sent to a scan."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from renalseg.errors import VolumeError
from renalseg.volume import SUFFIXES, UnusualImageWarning, Volume, read_grid, read_image
from renalseg.web.archive import unpack
from renalseg.web.folder import StudyFolder
from renalseg.web.settings import Limits

if TYPE_CHECKING:
    from renalseg.volume.dicom import Series

_UNPACKED = "unpacked"
#: What a scan and its masks take at least: see ``renalseg.inference.memory.scan_bytes``.
_VOXEL_BYTES = 12
_catching = Lock()


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan that was sent.

    Attributes:
        volume: Its voxels in HU.
        path: The image file; the folder of a DICOM series.
        series: The DICOM series that it is.
        warnings: What a person should know of how it was read.
    """

    volume: Volume
    path: Path
    series: "Series | None" = None
    warnings: tuple[str, ...] = ()


def read_scan(folder: StudyFolder, limits: Limits, memory_gb: float | None = None) -> Scan:
    """Read what was sent, an archive unpacked first.

    Raises:
        RefusedError: The archive is damaged or too large.
        VolumeError: It holds no scan, or several, or one that cannot be read or is too large.
    """
    path = _find(folder, limits)
    with _caught() as found:
        if path.is_dir():
            from renalseg.volume.dicom import read_series

            series = read_series(path)
            return Scan(series.volume, path, series, series.notes + _texts(found))
        _check_memory(read_grid(path), memory_gb)
        volume = read_image(path)
    return Scan(volume, path, warnings=_texts(found))


def read_kept_image(folder: StudyFolder) -> Volume:
    """The CT as it was kept when the study was worked on."""
    with _caught():
        return read_image(folder.image)


def _find(folder: StudyFolder, limits: Limits) -> Path:
    """The image file, or the folder of DICOM files."""
    upload = folder.upload
    unpacked = upload / _UNPACKED
    archives = list(upload.glob("[!.]*.zip"))
    if archives:
        if not unpacked.is_dir():
            unpack(archives[0], unpacked, limits)
        archives[0].unlink()
    place = unpacked if unpacked.is_dir() else upload
    images = [path for path in _files(place) if path.name.endswith(SUFFIXES)]
    others = [path for path in _files(place) if path not in images]
    if len(images) == 1 and not others:
        return images[0]
    if len(images) > len(others):  # a stray one beside a DICOM series is left out
        raise VolumeError("the archive holds several scans; send one of them")
    if not others:
        raise VolumeError(
            "the archive holds no scan; expected DICOM files, or a NIfTI, NRRD or MHA file"
        )
    return place


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))


def _check_memory(grid: Volume, memory_gb: float | None) -> None:
    slices, rows, columns = grid.shape
    needed_gb = slices * rows * columns * _VOXEL_BYTES / 1e9
    if memory_gb is not None and needed_gb > memory_gb:
        raise VolumeError(
            f"a scan of {slices} x {rows} x {columns} voxels needs {needed_gb:.1f} GB and more, "
            f"this server gives {memory_gb:g} GB; send the part that holds the kidneys"
        )


@contextmanager
def _caught() -> Iterator[list[warnings.WarningMessage]]:
    """Collect warnings; Python keeps one list for all threads, so they take turns."""
    with _catching, warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield found


def _texts(found: list[warnings.WarningMessage]) -> tuple[str, ...]:
    mine = [str(w.message) for w in found if issubclass(w.category, UnusualImageWarning)]
    return tuple(dict.fromkeys(mine))
