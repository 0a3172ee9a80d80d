"""The text that NRRD and MetaImage files begin with, read before ITK is let near them."""

from dataclasses import dataclass
from pathlib import Path

from renalseg.errors import VolumeError

#: ITK's readers keep sizes of each axis in arrays of ten.
_MOST_AXES = 8
_MOST_BYTES = 1 << 20
_HERE = ("local", "")
_PACKED = ("gz", "gzip", "bz2", "bzip2")


@dataclass(frozen=True)
class ItkHeader:
    """What decides how much is read, and from where.

    Attributes:
        data: The file that holds the voxels: the image itself, or one beside it.
        compressed: Whether they are compressed.
        is_text: Whether they are written as text.
    """

    data: Path
    compressed: bool
    is_text: bool


def is_meta(path: Path) -> bool:
    """Whether a file is a MetaImage one, by its name."""
    return path.suffix.lower() in (".mha", ".mhd")


def read_header(path: Path) -> ItkHeader:
    """Read the header of a NRRD or MetaImage file.

    Raises:
        VolumeError: It is no such header, or says that the voxels lie in several files, outside of
            its folder, or in something that is no file.
    """
    meta = is_meta(path)
    fields = _meta_fields(path) if meta else _nrrd_fields(path)
    axes = fields.get("ndims" if meta else "dimension", "")
    if not axes.isdecimal() or not 1 <= int(axes[:4]) <= _MOST_AXES:
        raise VolumeError(
            f"{path}: not a whole image ({axes[:20]!r} axes); copy or export it again"
        )
    if meta:
        _check_packed(path, fields.get("compresseddatasize", "0"))
        data = _data_file(path, fields.get("elementdatafile", ""))
        text = fields.get("binarydata", "true").lower() == "false"
        return ItkHeader(data, fields.get("compresseddata", "").lower() == "true", text)
    encoding = fields.get("encoding", "raw").lower()
    data = _data_file(path, fields.get("datafile", ""))
    return ItkHeader(data, encoding in _PACKED, encoding not in (*_PACKED, "raw"))


def _check_packed(path: Path, size: str) -> None:
    """ITK takes as much memory as the header says before it reads."""
    if not size.isdecimal() or int(size[:20]) > path.stat().st_size:
        raise VolumeError(
            f"{path}: not a whole image (its header promises {size[:20]!r} compressed bytes, the "
            f"file has {path.stat().st_size}); copy or export it again"
        )


def _meta_fields(path: Path) -> dict[str, str]:
    fields = {}
    for line in _lines(path):
        name, equals, value = line.partition("=")
        if not equals:
            continue
        fields[name.strip().lower()] = value.strip()
        if name.strip().lower() == "elementdatafile":
            break
    return fields


def _nrrd_fields(path: Path) -> dict[str, str]:
    fields = {}
    for line in _lines(path):
        if not line.strip():
            break
        name, colon, value = line.partition(": ")
        if colon:
            fields[name.strip().lower().replace(" ", "")] = value.strip()
    return fields


def _lines(path: Path) -> list[str]:
    with path.open("rb") as file:
        return file.read(_MOST_BYTES).decode("latin-1").split("\n")


def _data_file(path: Path, name: str) -> Path:
    if name.lower() in _HERE:
        return path
    data = path.parent / name
    outside = Path(name).is_absolute() or ".." in Path(name).parts
    if outside or not data.is_file():
        raise VolumeError(
            f"{path}: not a whole image (its voxels lie in {name[:80]!r}, expected a file beside "
            "it); copy or export both"
        )
    return data
