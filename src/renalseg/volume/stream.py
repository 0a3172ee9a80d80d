"""Streams of voxels: the bytes of a file, decompressed as they are asked for."""

import bz2
import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import AnyArray

_CHUNK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_BZIP2_MAGIC = b"BZh"
#: zlib's window size, and that the header says whether the data are gzip or zlib.
_EITHER_HEADER = 32 + zlib.MAX_WBITS


class Packing(StrEnum):
    """Compression of a file's voxels."""

    NONE = "none"
    DEFLATE = "gzip"
    BZIP2 = "bzip2"


def is_gzip(start: bytes) -> bool:
    """Check for the first bytes of a gzip file."""
    return start.startswith(_GZIP_MAGIC)


class DamagedDataError(ValueError):
    """Compressed data that cannot be decompressed."""


class Unpacked(io.RawIOBase):
    """A file's decompressed bytes; memory is taken for as many as are asked for.

    Several compressed members in a row are read as one. What follows the last one and is no
    further member is left out.

    Attributes:
        junk: Whether something other than zeros followed the last member.
    """

    def __init__(self, file: IO[bytes], packing: Packing, limit: int | None = None) -> None:
        """Read a file from where it stands.

        Args:
            file: The compressed file.
            packing: How it is compressed.
            limit: The number of compressed bytes; None is all that are left.
        """
        self._file = file
        self._left = limit
        self._packing = packing
        self._input = b""
        self._member: Any = None
        self._members = 0
        self._ended = False
        self.junk = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer in part or whole.

        Returns:
            The number of bytes; 0 at the end.

        Raises:
            EOFError: The compressed data stop within a member.
            DamagedDataError: They cannot be decompressed.
        """
        view = memoryview(buffer).cast("B")
        while len(view) and not self._ended:
            if self._member is None and not self._next_member():
                break
            data = self._decompress(len(view))
            if data:
                view[: len(data)] = data
                return len(data)
        return 0

    def _next_member(self) -> bool:
        """Begin the next member; at the end of the last one, note what follows."""
        if len(self._input) < len(_BZIP2_MAGIC):
            self._input += self._read()
        magic = _GZIP_MAGIC if self._packing is Packing.DEFLATE else _BZIP2_MAGIC
        if self._members and not self._input.startswith(magic):
            self._ended = True
            while self._input and not self.junk:
                self.junk = bool(self._input.strip(b"\0"))
                self._input = self._read()
            return False
        self._member = _decompressor(self._packing)
        self._members += 1
        return True

    def _decompress(self, most: int) -> bytes:
        member = self._member
        if not self._input and (self._packing is Packing.DEFLATE or member.needs_input):
            self._input = self._read()
            if not self._input:
                raise EOFError("its compressed data end early")
        try:
            data = cast("bytes", member.decompress(self._input, most))
        except _errors() as error:
            reason = str(error).split(": ")[-1]
            if reason == "incorrect data check":
                reason = "CRC check failed"
            raise DamagedDataError(f"its compressed data are damaged: {reason}") from None
        self._input = b"" if self._packing is Packing.BZIP2 else member.unconsumed_tail
        if member.eof:
            self._input, self._member = member.unused_data, None
        return data

    def _read(self) -> bytes:
        count = _CHUNK_BYTES if self._left is None else min(self._left, _CHUNK_BYTES)
        data = self._file.read(count)
        if self._left is not None:
            self._left -= len(data)
        return data

    def at_first_member(self) -> bool:
        """Return whether nothing but the first member has been read."""
        return self._members <= 1


@contextmanager
def damage_named(path: Path, kind: str) -> Iterator[None]:
    """Turn the errors of reading a file into one line.

    Args:
        path: The file.
        kind: What it should be: "NIfTI image".

    Raises:
        VolumeError: The file is truncated, damaged, cannot be read, or does not fit in memory.
    """
    try:
        yield
    except (EOFError, DamagedDataError) as error:
        raise VolumeError(
            f"{path}: not a whole {kind} ({error}); copy or export it again"
        ) from None
    except OverflowError as error:
        raise VolumeError(f"{path}: {error}; copy or export it again") from None
    except OSError as error:
        reason = error.strerror or error
        raise VolumeError(f"{path}: cannot be read ({reason}); check it and its folder") from None
    except MemoryError:
        raise VolumeError(f"{path}: does not fit in memory; give a smaller image") from None


def _decompressor(packing: Packing) -> Any:
    if packing is Packing.BZIP2:
        return bz2.BZ2Decompressor()
    from zlib_ng import zlib_ng  # many times as fast as zlib on a label map

    return zlib_ng.decompressobj(_EITHER_HEADER)


def _errors() -> tuple[type[Exception], ...]:
    from zlib_ng import zlib_ng

    return (OSError, zlib.error, cast("type[Exception]", zlib_ng.error))


@contextmanager
def opened(
    path: Path, packing: Packing, *, start: int = 0, limit: int | None = None
) -> Iterator[IO[bytes]]:
    """Open a file's bytes for reading, decompressed.

    Args:
        path: The file.
        packing: How it is compressed.
        start: Where its data begin.
        limit: How many bytes of it are compressed data; None is all from ``start``.
    """
    with path.open("rb") as file:
        file.seek(start)
        if packing is Packing.NONE:
            yield file
        else:
            yield io.BufferedReader(Unpacked(file, packing, limit), _CHUNK_BYTES)


def skip(stream: IO[bytes], count: int) -> None:
    """Read on without keeping the bytes; a compressed stream cannot seek.

    Raises:
        EOFError: There are fewer.
    """
    while count > 0:
        data = stream.read(min(count, _CHUNK_BYTES))
        if not data:
            raise EOFError("it ends before its voxels")
        count -= len(data)


def finish(stream: IO[bytes], most: int) -> bool:
    """Read on to the end, where a compressed stream has its checksum.

    Args:
        stream: As ``opened`` gives it.
        most: How many bytes may follow.

    Returns:
        Whether what follows the compressed data is something other than zeros.

    Raises:
        OverflowError: There are more; nobody pads by so much.
        EOFError: The compressed data stop early.
        DamagedDataError: They are damaged.
    """
    unpacked = getattr(stream, "raw", None)
    if not isinstance(unpacked, Unpacked):
        return False
    first = unpacked.at_first_member()
    try:
        while chunk := stream.read(_CHUNK_BYTES):
            most -= len(chunk)
            if most < 0:
                raise OverflowError("it holds far more than its header says")
    except (DamagedDataError, EOFError):
        if not first or unpacked.at_first_member():
            raise
        return True  # it only looked like a further member
    return unpacked.junk


def read_voxels(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> AnyArray:
    """Read an array whose first axis is the fastest.

    Args:
        stream: Where they come from.
        shape: Length of each axis.
        dtype: Type of a stored voxel.

    Returns:
        The array; types of eight bytes are read as four.

    Raises:
        EOFError: There are fewer voxels.
    """
    count = math.prod(shape)
    array = np.empty(count, _narrow(dtype))
    step = _CHUNK_BYTES // dtype.itemsize
    wide = np.empty(0 if array.dtype == dtype else step, dtype)
    for start in range(0, count, step):
        part = array[start : start + step]
        if not wide.size:
            _fill(stream, part)
            continue
        read = wide[: part.size]
        _fill(stream, read)
        with np.errstate(over="ignore"):
            part[:] = read if dtype.kind == "f" else np.clip(read, -(2**31), 2**31 - 1)
    return array.reshape(shape, order="F")


def _narrow(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """4 bytes for numbers of more: no HU and no label needs them, and it halves the memory."""
    if dtype.itemsize <= 4:
        return dtype
    return np.dtype(np.float32 if dtype.kind == "f" else np.int32)


def _fill(stream: IO[bytes], array: AnyArray) -> None:
    """Read an array; a megabyte at a time stays in the cache and takes half of nibabel's time."""
    left = memoryview(array.view(np.uint8))
    while left:
        count = stream.readinto(left)  # type: ignore[attr-defined]
        if not count:
            raise EOFError(f"{len(left)} bytes of voxels or more are missing")
        left = left[count:]
