"""MetaImage files (``.mha``, and ``.mhd`` with a file of voxels).

The header is read here and never by ITK, whose rules are looser: it takes ``:`` for ``=`` and a
later field for an earlier one. The geometry is ITK's (metaImage.cxx, itkMetaImageIO.cxx).
"""

import re
from pathlib import Path

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import Affine
from renalseg.volume.files import StoredImage
from renalseg.volume.orientation import LPS_RAS
from renalseg.volume.stream import Packing, damage_named
from renalseg.volume.text_header import Fields, TextHeader
from renalseg.volume.voxel_file import VoxelFile, linked_file

_FIELD = re.compile(r"[ \t]*([^=:]*[^=:\s])[ \t]*=[ \t]*(.*?)[ \t]*")
_LAST = "ElementDataFile"
_LOCAL = ("LOCAL", "Local", "local")
_MOST_AXES = 8
_TYPES = {
    "MET_CHAR": "i1",
    "MET_ASCII_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
#: Names of one thing.
_ORDER = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
_ORIGIN = ("Offset", "Origin", "Position")
_MATRIX = ("TransformMatrix", "Rotation", "Orientation")
_SPACING = ("ElementSpacing", "ElementSize")
_KNOWN = (
    *(*_ORDER, *_ORIGIN, *_MATRIX, *_SPACING, _LAST, "ObjectType", "NDims", "DimSize"),
    *("ElementType", "BinaryData", "CompressedData", "CompressedDataSize", "HeaderSize"),
    *("ElementNumberOfChannels", "DistanceUnits"),
)
_BOOLS = {"true": "yes", "t": "yes", "1": "yes", "false": "", "f": "", "0": ""}
_UNSCALED = {"ElementToIntensityFunctionSlope": 1.0, "ElementToIntensityFunctionOffset": 0.0}


def read_meta(path: Path, *, voxels: bool) -> StoredImage:
    """Read a MetaImage file.

    Raises:
        VolumeError: It is truncated, damaged, or not a 3D scalar image, its header can be read in
            more than one way, or its voxels lie in several files or outside of its folder.
    """
    with damage_named(path, "image"):
        header = TextHeader(path, "MetaImage")
        fields = _fields(header)
        axes, shape = _shape(path, fields)
        dtype = _dtype(path, fields)
        affine, remarks = _affine(fields, axes)
        stored = _voxel_file(path, fields, header.end)
        if voxels and 0 not in shape:
            array, junk = stored.read(shape, dtype)
            remarks += ("what follows its compressed data is ignored",) if junk else ()
        else:
            array = np.broadcast_to(np.zeros((), np.uint8), shape)
    return StoredImage(array, affine, remarks=remarks)


def _fields(header: TextHeader) -> Fields:
    fields = Fields(header)
    known = {name.lower(): name for name in (*_KNOWN, *_UNSCALED)}
    for line in header.lines():
        if not line.strip():
            continue
        field = _FIELD.fullmatch(line)
        if field is None:
            raise header.malformed(line)
        name, value = field.groups()
        # ITK ends a name at a blank as well
        near = {name.split()[0].lower(), "".join(name.split()).lower()} & set(known)
        spelled = {known[word] for word in near} or {name}
        if spelled != {name} or (near and value.startswith(("=", ":"))):
            raise header.malformed(line)
        fields.add(name, value)
        if name == _LAST:
            return fields
    raise EOFError(f"its header has no {_LAST}")


def _shape(path: Path, fields: Fields) -> tuple[int, tuple[int, ...]]:
    """The number of axes, and the length of three."""
    if fields.text("ObjectType", "Image") != "Image":
        raise fields.wrong("ObjectType", "Image")
    (axes,) = fields.wholes("NDims", 1)
    if not 1 <= axes <= _MOST_AXES:
        raise fields.wrong("NDims", "3")
    shape = tuple(fields.wholes("DimSize", axes))
    if axes < 3 or any(n != 1 for n in shape[3:]) or min(shape) < 0:
        raise VolumeError(f"{path}: expected a 3D image, got shape {shape}; give one 3D volume")
    return axes, shape[:3]


def _dtype(path: Path, fields: Fields) -> np.dtype[np.generic]:
    channels = fields.text("ElementNumberOfChannels", "1")
    if channels != "1":
        raise VolumeError(
            f"{path}: expected one number per voxel, got {channels[:20]}; export a plain CT"
        )
    name = fields.text("ElementType")
    if name not in _TYPES:
        raise fields.wrong("ElementType", f"one of {', '.join(_TYPES)}")
    for scaling, neutral in _UNSCALED.items():
        if scaling in fields and fields.numbers(scaling, 1) != [neutral]:
            raise fields.wrong(scaling, f"{neutral:g} (other programs ignore it)")
    orders = {_flag(fields, name) for name in _ORDER if name in fields}
    if len(orders) > 1:
        raise fields.header.error(f"{' and '.join(_ORDER)} contradict each other")
    return np.dtype((">" if True in orders else "<") + _TYPES[name])


def _flag(fields: Fields, name: str, default: str = "False") -> bool:
    return bool(fields.choice(name, _BOOLS, default))


def _affine(fields: Fields, axes: int) -> tuple[Affine, tuple[str, ...]]:
    """Voxel to world, RAS+, mm; and what a person should know of it."""
    if fields.text("DistanceUnits", "mm").lower() not in ("mm", "?"):
        raise fields.wrong("DistanceUnits", "mm, which other programs take it for")
    remarks: tuple[str, ...] = ()
    spacing = np.ones(3)
    for name in reversed(_SPACING):
        if name in fields:
            spacing = np.array(fields.numbers(name, axes))[:3]
    if not any(name in fields for name in _SPACING):
        remarks = ("it gives no spacing, so 1 mm is taken",)
    lps = np.eye(4)
    matrix = _one_of(fields, _MATRIX, axes * axes)
    if matrix is not None:
        # each axis's direction after the other
        lps[:3, :3] = np.array(matrix).reshape(axes, axes).T[:3, :3]
    lps[:3, :3] *= spacing
    lps[:3, 3] = np.array(_one_of(fields, _ORIGIN, axes) or [0.0] * axes)[:3]
    return np.asarray(LPS_RAS @ lps, dtype=np.float64), remarks


def _one_of(fields: Fields, names: tuple[str, ...], count: int) -> list[float] | None:
    """The numbers of a thing that has several names.

    Raises:
        VolumeError: Two of them differ.
    """
    given = {name: fields.numbers(name, count) for name in names if name in fields}
    values = list(given.values())
    if any(other != values[0] for other in values):
        raise fields.header.error(f"{' and '.join(given)} contradict each other")
    return values[0] if values else None


def _voxel_file(path: Path, fields: Fields, end: int) -> VoxelFile:
    if not _flag(fields, "BinaryData", "True"):
        raise fields.wrong("BinaryData", "True (voxels as text are not read)")
    name = fields.text(_LAST)
    local = name in _LOCAL
    data = path if local else linked_file(path, name)
    start = end if local else 0
    (before,) = fields.wholes("HeaderSize", 1) if "HeaderSize" in fields else [0]
    packed = _flag(fields, "CompressedData")
    if before < -1 or (before > 0 and local) or (before == -1 and packed):
        raise fields.wrong("HeaderSize", "0, or that of a file of voxels")
    if before > 0:
        start = before
    if not packed:
        return VoxelFile(path, data, start=start, at_end=before == -1)
    # 0 says that it is not known
    (limit,) = fields.wholes("CompressedDataSize", 1) if "CompressedDataSize" in fields else [0]
    if limit < 0:
        raise fields.wrong("CompressedDataSize", "0 or more")
    return VoxelFile(path, data, Packing.DEFLATE, start, limit=limit or None)
