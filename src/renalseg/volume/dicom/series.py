"""A CT series read from DICOM, and the way of labels back onto its images."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import AnyArray, LabelArray
from renalseg.volume.checks import check_extent, check_grid, check_hu
from renalseg.volume.dicom.alike import check_alike, check_patient
from renalseg.volume.dicom.concatenation import check_parts, in_order
from renalseg.volume.dicom.decoder import Decoder
from renalseg.volume.dicom.files import dicom_files
from renalseg.volume.dicom.info import SeriesInfo, choose, scan
from renalseg.volume.dicom.padding import AIR_HU, NO_AIR_HU
from renalseg.volume.dicom.passes import choose_pass, split_pass
from renalseg.volume.dicom.pixels import PixelFile
from renalseg.volume.dicom.slices import Slice, is_multi_frame, slices_of
from renalseg.volume.dicom.stack import Stack, stack
from renalseg.volume.orientation import to_canonical
from renalseg.volume.volume import SourceGrid, Volume

if TYPE_CHECKING:
    from pydicom import Dataset

_MOST_VOXELS = 1 << 31
#: So many files stay open, for the slices of several may lie between one another.
_MOST_OPEN = 16


@dataclass(frozen=True, eq=False)
class Series:
    """A CT series.

    Attributes:
        volume: HU in canonical orientation: int16 where that holds every value, else float32.
        headers: One per slice without its pixels, sorted along the normal of the slices; of
            multi-frame images one per image, as they count themselves.
        info: What it is.
        notes: What a person should know of how it was read.
        places: Slice, row and column of the volume's stored grid that the first pixel of each
            slice lies at: slices in the order of ``headers``, or of their frames.
        pixels: Rows and columns of each slice.
    """

    volume: Volume
    headers: "tuple[Dataset, ...]"
    info: SeriesInfo
    notes: tuple[str, ...]
    places: AnyArray
    pixels: tuple[int, int]

    def on_source(self, labels: Volume | LabelArray) -> LabelArray:
        """Labels on the pixels of the images.

        Args:
            labels: On the grid of ``volume``.

        Returns:
            Slice, row, column: slices in the order of ``headers`` (of multi-frame images, of their
            frames, one image after the other), rows and columns as each stores them.

        Raises:
            VolumeError: The labels lie on another grid.
        """
        if isinstance(labels, Volume) and not self.volume.same_grid(labels):
            raise VolumeError(
                f"expected labels on the grid of series {self.info}, {self.volume.shape}, got "
                f"{labels.shape} or another affine; bring them there first"
            )
        array = labels.array if isinstance(labels, Volume) else labels
        source = self.volume.like(array).source
        assert source is not None  # read_series sets it
        stored = source.way.backward(array)
        rows, columns = self.pixels
        found = np.empty((len(self.places), rows, columns), array.dtype)
        for target, (height, row, column) in zip(found, self.places, strict=True):
            target[:] = stored[height, row : row + rows, column : column + columns]
        return found


def find_series(path: Path | str) -> list[SeriesInfo]:
    """The series of a folder, a zip or a file; what would be taken stands first.

    Raises:
        VolumeError: It holds no DICOM, or is damaged, encrypted or hostile.
    """
    path = Path(path)
    with dicom_files(path) as files:
        return [one.info for one in scan(files.paths)]


def read_series(path: Path | str, series: str | None = None, allow_gaps: bool = False) -> Series:
    """Read a CT series in HU.

    Args:
        path: A folder (with all below it), a zip of one, or a file (one of many frames).
        series: Series Instance UID or Series Number, with ``:2`` for the second pass of one that
            holds several; None chooses by rule: CT, original, axial, most slices.
        allow_gaps: Interpolate missing slices, and make unevenly spaced ones even.

    Returns:
        The series. Slices are ordered by their position along the normal. A stack that leans, of a
        tilted gantry, is resampled to an upright grid. ``notes`` say what was interpolated.

    Raises:
        VolumeError: There is no CT series or more than one; slices are missing, twice there,
            unevenly spaced or of several scans; a file is damaged, truncated or encrypted; or the
            voxels cannot be HU.

    Warns:
        UnusualImageWarning: The voxels are hardly HU.
    """
    path = Path(path)
    wanted, number = split_pass(series)
    with dicom_files(path) as files, Decoder() as decoder:
        found = choose(scan(files.paths), wanted, path)
        check_patient(found, path)
        many = is_multi_frame(found.headers[0][1])
        if many:
            found = replace(found, headers=in_order(found.headers))
        notes = [*files.notes, *found.notes, *check_parts(found, path)]
        name = f"{path}: series {found.info}"
        slices, pass_notes = choose_pass(slices_of(found, path), number, name, found.info.label)
        frame_notes = check_alike(found, slices, path)
        # slices whose frames of reference say nothing must show by their places that they fit
        stacked = stack(slices, name, allow_gaps=allow_gaps and not frame_notes)
        _check_size(path, stacked)
        way = to_canonical(stacked.affine)
        array = np.empty([stacked.shape[axis] for axis in way.permutation], np.int16)
        with _Files(decoder) as opened:
            for height, plane in _planes(stacked, [slices[i] for i in stacked.order], opened):
                if plane.dtype != array.dtype and array.dtype == np.int16:
                    array = array.astype(np.float32)
                way.backward(array)[height] = plane
    check_hu(path, array)
    volume = Volume(
        array,
        way.forward_affine(stacked.affine, stacked.shape),
        SourceGrid(stacked.affine, way),
    )
    # frames stay in the order of their files, single images are sorted along the normal
    order = list(range(len(slices))) if many else list(stacked.order)
    rank = np.argsort(stacked.order)
    notes += [*pass_notes, *frame_notes, *dict.fromkeys(n for s in slices for n in s.rescale.notes)]
    return Series(
        volume,
        tuple(opened.headers[file] for file in dict.fromkeys(slices[i].path for i in order)),
        replace(found.info, slices=len(slices)),
        (*notes, *stacked.notes, *opened.notes(float(array.min()))),
        stacked.places[rank[order]],
        slices[0].shape,
    )


def _check_size(path: Path, stacked: Stack) -> None:
    check_grid(path, stacked.shape, stacked.affine)
    check_extent(path, stacked.shape, stacked.affine)
    if np.prod(stacked.shape, dtype=float) > _MOST_VOXELS:
        shown = " x ".join(map(str, stacked.shape))
        raise VolumeError(
            f"{path}: promises {shown} voxels, expected {_MOST_VOXELS} at most; give a plain CT"
        )


class _Files:
    """The files of a series, each opened when its first slice is read.

    Attributes:
        headers: Of those that were opened.
    """

    def __init__(self, decoder: Decoder) -> None:
        self.headers: dict[Path, Dataset] = {}
        self._decoder = decoder
        self._stack = ExitStack()
        self._open: dict[Path, PixelFile] = {}
        self._padded, self._lowest_hu = False, np.inf

    def __enter__(self) -> Self:
        """Open nothing yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close what is open."""
        self._stack.close()

    def hu(self, one: Slice) -> AnyArray:
        """A slice in HU."""
        file = self._open.get(one.path)
        if file is None:
            if len(self._open) >= _MOST_OPEN:
                self._stack.close()
                self._open.clear()
            file = self._stack.enter_context(PixelFile(one.path, self._decoder))
            self._open[one.path] = file
            self.headers[one.path] = file.header
        hu = file.hu(one)
        self._padded |= file.padded
        self._lowest_hu = min(self._lowest_hu, file.lowest_hu)
        return hu

    def notes(self, lowest_hu: float) -> Iterator[str]:
        """What a person should know of padding.

        Args:
            lowest_hu: The lowest of all voxels, with padding.
        """
        if self._padded:
            yield f"padding that would lie above air is read as {AIR_HU} HU"
        if lowest_hu <= NO_AIR_HU < self._lowest_hu < np.inf:
            yield (
                f"no voxel below {self._lowest_hu:g} HU but padding: cropped, or an offset of "
                "-1024 not applied?"
            )


def _planes(stacked: Stack, ordered: list[Slice], files: _Files) -> Iterator[tuple[int, AnyArray]]:
    """Each plane of the grid, from the slice on it or interpolated between two.

    Args:
        stacked: The grid.
        ordered: Slices, sorted along the normal.
        files: Where their pixels are.
    """
    below: tuple[float, AnyArray] | None = None
    for one, height, offset in zip(ordered, stacked.heights, stacked.offsets, strict=True):
        plane = _upright(files.hu(one), offset, stacked.shape[1:])
        if below is None:
            yield 0, plane
        else:
            yield from _between(*below, float(height), plane)
        below = float(height), plane


def _between(
    low: float, plane_low: AnyArray, high: float, plane_high: AnyArray
) -> Iterator[tuple[int, AnyArray]]:
    """The planes of the grid above one slice up to the next, that included."""
    kind = np.result_type(plane_low, plane_high)
    for height in range(int(np.floor(low)) + 1, int(np.floor(high)) + 1):
        if height == high:
            yield height, plane_high
            continue
        part = (height - low) / (high - low)
        mixed = (1 - part) * plane_low + part * plane_high.astype(np.float32)
        yield height, np.rint(mixed).astype(kind) if kind == np.int16 else mixed.astype(kind)


def _upright(hu: AnyArray, offset: AnyArray, shape: tuple[int, int]) -> AnyArray:
    """A slice moved within its plane, air around it; linear between pixels."""
    if not offset.any() and hu.shape == shape:
        return hu
    moved = np.full(shape, AIR_HU, np.float32)
    (row, column), part = np.floor(offset + 1e-6).astype(int), (offset + 1e-6) % 1
    moved[row : row + hu.shape[0], column : column + hu.shape[1]] = hu
    for axis in (0, 1):
        if part[axis] > 1e-5:
            moved = (1 - part[axis]) * moved + part[axis] * np.roll(moved, 1, axis)
    return np.rint(moved).astype(np.int16) if hu.dtype == np.int16 else moved
