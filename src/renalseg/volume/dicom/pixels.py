"""The pixels of a DICOM file as HU, one slice at a time."""

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import AnyArray
from renalseg.volume.dicom.decoder import Decoder, PixelFormat, UndecodableError
from renalseg.volume.dicom.header import damaged, printable, read_header, required
from renalseg.volume.dicom.padding import as_air, padding_of
from renalseg.volume.dicom.slices import Slice
from renalseg.volume.dicom.syntaxes import (
    COMPRESSED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    GE_BIG_PIXELS,
    IMPLICIT_LITTLE,
    NATIVE,
    name_of,
)

if TYPE_CHECKING:
    from pydicom import Dataset

_PIXELS, _FLOATS = (0x7FE0, 0x0010), ((0x7FE0, 0x0008), (0x7FE0, 0x0009))
#: As a length these are odd, which no length is.
_PIXEL_VRS = (b"OB", b"OW", b"UN")
_UNKNOWN_LENGTH = 0xFFFFFFFF
#: An image of this many bytes may be compressed to next to nothing; one of more, to this part.
_SMALL_BYTES = 1 << 23
_MOST_COMPRESSED = 1000


@dataclass(frozen=True)
class _Place:
    """Where the value of Pixel Data lies: first byte, and bytes; None of compressed pixels."""

    start: int
    length: int | None


class PixelFile:
    """A file whose slices are read; to be used in a ``with`` statement.

    Attributes:
        path: The file.
        header: All of its header; no pixels.
        padded: Whether padding was read that did not lie at or below air, and became air.
        lowest_hu: The lowest that was read beside padding.

    Raises:
        VolumeError: Its header cannot be read, or is that of no grey image.
    """

    def __init__(self, path: Path, decoder: Decoder) -> None:
        self.path, self.padded, self.lowest_hu = path, False, np.inf
        self._decoder = decoder
        self._stream = path.open("rb")
        try:
            self.header = read_header(path, self._stream)
            self._format = _format(path, self.header)
            self._padding = padding_of(self.header, self._format)
            self._place = self._find_pixels()
        except BaseException:
            self._stream.close()
            raise

    def __enter__(self) -> Self:
        """The file is open."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self._stream.close()

    def hu(self, one: Slice) -> AnyArray:
        """One slice in HU: rows, columns; int16 where that holds every value, else float32.

        Raises:
            VolumeError: Its pixels are missing or damaged.
        """
        pixels = self._format
        if (pixels.rows, pixels.columns) != one.shape:
            raise VolumeError(f"{self.path}: changed while it was read; read it again")
        compressed = self._place.length is None
        words = self._decoded(one.frame) if compressed else self._native(one.frame)
        values = words if compressed else _without_other_bits(words, pixels)
        hu = one.rescale.hu(values)
        if self._padding is None:
            self.lowest_hu = min(self.lowest_hu, float(hu.min()))
        else:
            padding = self._padding.find(words, values)
            self.padded |= as_air(hu, padding)
            lowest = hu.min(where=~padding, initial=np.iinfo(np.int32).max)
            self.lowest_hu = min(self.lowest_hu, float(lowest))
        return _narrow(hu)

    def _find_pixels(self) -> _Place:
        """Read the head of Pixel Data, at which the header ended."""
        order: Literal["little", "big"] = "little" if self.header.original_encoding[1] else "big"
        head = self._stream.read(12)
        tag = tuple(int.from_bytes(head[i : i + 2], order) for i in (0, 2))
        if tag in _FLOATS:
            raise VolumeError(
                f"{self.path}: its pixels are floating-point numbers, expected whole ones; give "
                "the CT as the scanner stores it"
            )
        if len(head) < 12 or tag != _PIXELS:
            raise VolumeError(f"{self.path}: has no pixels, or is truncated; copy it again")
        at = 8 if head[4:6] in _PIXEL_VRS else 4  # explicit VR, or implicit
        length = int.from_bytes(head[at : at + 4], order)
        start = self._stream.tell() - 12 + at + 4
        compressed = self._format.transfer_syntax not in NATIVE
        if compressed != (length == _UNKNOWN_LENGTH):
            raise VolumeError(
                f"{self.path}: damaged DICOM (its pixels are not in the transfer syntax that it "
                f"names, {name_of(self._format.transfer_syntax)}); copy it again"
            )
        return _Place(start, None if compressed else length)

    def _native(self, frame: int) -> AnyArray:
        pixels = self._format
        frames = int(self.header.get("NumberOfFrames") or 1)
        row_bytes = pixels.columns * pixels.bits_allocated // 8
        frame_bytes = pixels.rows * row_bytes
        length = self._place.length or 0
        size = os.fstat(self._stream.fileno()).st_size
        has = min(length, size - self._place.start)
        if has < frames * frame_bytes:
            raise VolumeError(
                f"{self.path}: truncated (expected {frames * frame_bytes} bytes of pixels, got "
                f"{has}); copy it again"
            )
        if length >= frames * frame_bytes + row_bytes + 1:
            raise VolumeError(
                f"{self.path}: holds {length} bytes of pixels, expected {frames * frame_bytes}; "
                "export it again"
            )
        self._stream.seek(self._place.start + frame * frame_bytes)
        is_big = pixels.transfer_syntax == GE_BIG_PIXELS or not self.header.original_encoding[1]
        order = ">" if is_big else "<"
        kind = f"{order}{'i' if pixels.is_signed else 'u'}{pixels.bits_allocated // 8}"
        words = np.frombuffer(self._stream.read(frame_bytes), kind)
        return words.reshape(pixels.rows, pixels.columns)

    def _decoded(self, frame: int) -> AnyArray:
        from pydicom.encaps import get_frame

        pixels = self._format
        count = int(self.header.get("NumberOfFrames") or 1)
        self._stream.seek(self._place.start)
        try:
            packed = get_frame(self._stream, frame, number_of_frames=count)
        except Exception as error:  # pydicom raises what it stumbles over
            raise damaged(self.path, error) from error
        claimed = pixels.rows * pixels.columns * pixels.bits_allocated // 8
        if claimed > max(_SMALL_BYTES, _MOST_COMPRESSED * len(packed)):
            raise VolumeError(
                f"{self.path}: not a whole image (its header promises {claimed} bytes of pixels, "
                f"it has {len(packed)} compressed ones); copy it again"
            )
        try:
            return self._decoder.decode(packed, pixels)
        except UndecodableError as error:
            raise VolumeError(
                f"{self.path}: its compressed pixels cannot be decoded ({error}); copy it again, "
                "or convert it to a plain transfer syntax"
            ) from error


def _format(path: Path, header: "Dataset") -> PixelFormat:
    def number(keyword: str) -> int:
        return required(path, keyword, lambda: int(header[keyword].value))

    syntax = ""
    if header.file_meta is not None:
        syntax = str(header.file_meta.get("TransferSyntaxUID", ""))
    if not syntax:  # a file without a preamble
        implicit, little = header.original_encoding
        explicit = EXPLICIT_LITTLE if little else EXPLICIT_BIG
        syntax = IMPLICIT_LITTLE if implicit else explicit
    if syntax not in (*NATIVE, *COMPRESSED):
        raise VolumeError(
            f"{path}: its transfer syntax, {name_of(printable(syntax[:64]))}, is not read; convert "
            "it to a plain one"
        )
    allocated, stored = number("BitsAllocated"), number("BitsStored")
    if number("SamplesPerPixel") != 1 or allocated not in (8, 16, 32):
        raise VolumeError(
            f"{path}: expected one number of 8, 16 or 32 bits per pixel, got "
            f"{number('SamplesPerPixel')} of {allocated}; give a plain CT"
        )
    if not 1 <= stored <= allocated or number("HighBit") != stored - 1:
        raise VolumeError(
            f"{path}: says that pixels take bits up to {number('HighBit')}, {stored} of "
            f"{allocated}; export it again"
        )
    return PixelFormat(
        rows=number("Rows"),
        columns=number("Columns"),
        bits_allocated=allocated,
        bits_stored=stored,
        is_signed=number("PixelRepresentation") == 1,
        transfer_syntax=syntax,
    )


def _without_other_bits(array: AnyArray, pixels: PixelFormat) -> AnyArray:
    """Clear what is above the stored bits (overlays once were there), and carry the sign there."""
    spare = pixels.bits_allocated - pixels.bits_stored
    return array if not spare else (array << spare) >> spare


def _narrow(hu: AnyArray) -> AnyArray:
    """HU as int16 where they are whole numbers that it holds, else float32."""
    if np.issubdtype(hu.dtype, np.integer) and hu.min() >= -(2**15) and hu.max() < 2**15:
        return hu.astype(np.int16)
    return hu.astype(np.float32)
