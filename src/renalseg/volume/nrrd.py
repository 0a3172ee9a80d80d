"""NRRD files (``.nrrd``, and ``.nhdr`` with a file of voxels).

The format is http://teem.sourceforge.net/nrrd/format.html. The header is read here and never by
ITK; what a field means, and how it may be written, is as in the library that ITK uses.
"""

import re
from pathlib import Path

import numpy as np

from renalseg.errors import VolumeError
from renalseg.volume.files import StoredImage
from renalseg.volume.nrrd_grid import NrrdAxes, read_affine, read_axes
from renalseg.volume.segments import Segment, read_segments
from renalseg.volume.stream import Packing, damage_named
from renalseg.volume.text_header import Fields, TextHeader
from renalseg.volume.voxel_file import VoxelFile, linked_file

_MAGIC = re.compile(r"NRRD(000[1-5]|00\.01)")
#: Fields by their names without blanks; those of one row are one.
_NAMES = (
    *("type", "dimension", "sizes", "encoding", "endian", "content", "number", "spacings"),
    *("thicknesses", "axismins", "axismaxs", "labels", "units", "min", "max", "blocksize"),
    *("kinds", "space", "spacedimension", "spaceunits", "spaceorigin", "spacedirections"),
    *("measurementframe", "sampleunits", "oldmin", "oldmax", "lineskip", "byteskip", "datafile"),
    *("centerings", "centers"),
)
_SAME = {"centers": "centerings"}
_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int"), "i2"),
    **dict.fromkeys(("int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int"), "u2"),
    **dict.fromkeys(("uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long"), "i8"),
    **dict.fromkeys(("signed long long int", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int"), "u8"),
    **dict.fromkeys(("uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
_PACKINGS = {
    "raw": Packing.NONE.value,
    **dict.fromkeys(("gz", "gzip"), Packing.DEFLATE.value),
    **dict.fromkeys(("bz2", "bzip2"), Packing.BZIP2.value),
}


def read_nrrd(path: Path, *, voxels: bool) -> StoredImage:
    """Read a NRRD file, Slicer's segmentations among them.

    Raises:
        VolumeError: It is truncated, damaged, or not a 3D scalar image or segmentation, its header
            can be read in more than one way, or its voxels lie in several files or outside of its
            folder.
    """
    with damage_named(path, "image"):
        header = TextHeader(path, "NRRD")
        fields, keys = _fields(header)
        axes = read_axes(path, fields)
        segments = read_segments(path, keys)
        _check_values(path, axes, segments)
        dtype = _dtype(fields)
        affine, remarks = read_affine(fields, axes)
        stored = _voxel_file(path, fields, header.end)
        if voxels and 0 not in axes.sizes:
            array, junk = stored.read(axes.sizes, dtype)
            remarks += ("what follows its compressed data is ignored",) if junk else ()
        else:
            array = np.broadcast_to(np.zeros((), np.uint8), axes.sizes)
    array = np.moveaxis(array, axes.spatial, (-3, -2, -1))
    if not segments or axes.values == 1:
        array = array.reshape(array.shape[-3:])
    return StoredImage(array, affine, remarks=remarks, segments=segments)


def _fields(header: TextHeader) -> tuple[Fields, dict[str, str]]:
    """The fields by name, in lower case and without blanks; and keys with their values."""
    fields, keys = Fields(header), Fields(header)
    lines = header.lines()
    first = next(lines)
    if not _MAGIC.fullmatch(first):
        raise header.malformed(first)
    for line in lines:
        if not line:
            break
        if line.startswith("#"):
            continue
        name, colon, value = line.partition(": ")
        key, assigned, text = line.partition(":=")
        if assigned and (not colon or len(key) < len(name)):
            keys.add(key, text)
            continue
        name = name.lower()
        plain = name.replace(" ", "")
        if not colon or plain not in _NAMES or name != name.strip():
            raise header.malformed(line)
        fields.add(_SAME.get(plain, plain), value.strip(" "))
        if plain == "datafile" and value.strip().upper().startswith("LIST"):
            break
    return fields, keys.values


def _check_values(path: Path, axes: NrrdAxes, segments: tuple[Segment, ...]) -> None:
    """Refuse several numbers per voxel, but for a segmentation's layers."""
    if axes.values == 1:
        return
    if not segments:
        raise VolumeError(
            f"{path}: expected one number per voxel, got {axes.values}; export a plain CT"
        )
    if len(axes.sizes) != 4:
        raise VolumeError(
            f"{path}: expected segments in three axes and one of layers; export again"
        )


def _dtype(fields: Fields) -> np.dtype[np.generic]:
    code = fields.choice("type", _TYPES)
    order = ""
    if code[-1] != "1" or "endian" in fields:
        order = fields.choice("endian", {"little": "<", "big": ">"})
    return np.dtype(order + code)


def _voxel_file(path: Path, fields: Fields, end: int) -> VoxelFile:
    packing = Packing(fields.choice("encoding", _PACKINGS))
    linked = "datafile" in fields
    data = linked_file(path, fields.text("datafile")) if linked else path
    start = 0 if linked else end
    (lines,) = fields.wholes("lineskip", 1) if "lineskip" in fields else [0]
    (before,) = fields.wholes("byteskip", 1) if "byteskip" in fields else [0]
    if lines < 0:
        raise fields.wrong("lineskip", "0 or more")
    if before < -1 or (before == -1 and packing is not Packing.NONE):
        raise fields.wrong("byteskip", "0 or more")
    start = _after_lines(data, start, lines)
    return VoxelFile(path, data, packing, start, max(0, before), at_end=before == -1)


def _after_lines(data: Path, start: int, lines: int) -> int:
    """Offset behind a number of lines."""
    with data.open("rb") as file:
        file.seek(start)
        for _ in range(lines):
            if not file.readline(1 << 20).endswith(b"\n"):
                raise EOFError("it ends within the lines to skip")
        return file.tell()
