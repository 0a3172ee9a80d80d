"""Damaged and hostile scans: refused in one line, or segmented."""

import gzip
import io
import os
import zlib
from itertools import product

import nibabel
import numpy as np
import pytest

from fuzzing import IPL, SHAPE, damage_bytes, noted, run_predict, scan_array, seeded
from models import write_model
from renalseg.volume import Volume
from soak import sampled

pytestmark = pytest.mark.filterwarnings("ignore::renalseg.volume.UnusualImageWarning")

SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".mha")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "model", folds=(0,))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The same scan in each format, as bytes by suffix."""
    folder = tmp_path_factory.mktemp("whole")
    for suffix in SUFFIXES:
        Volume(scan_array(), IPL).save(folder / f"scan{suffix}")
    return {suffix: (folder / f"scan{suffix}").read_bytes() for suffix in SUFFIXES}


@pytest.fixture
def predict(model, tmp_path, monkeypatch, capsys):
    """The command on a scan of this name, of these bytes."""
    folder = tmp_path / "scans"
    folder.mkdir()
    (tmp_path / "masks").mkdir()

    def run(name: str, content: bytes | None = None) -> int:
        if content is not None:
            (folder / name).write_bytes(content)
        mask = tmp_path / "masks" / "mask.nii.gz"
        return run_predict(folder / name, mask, model, monkeypatch, capsys)

    run.folder = folder
    return run


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_whole_scans_are_segmented(whole, predict, suffix):
    assert predict(f"scan{suffix}", whole[suffix]) == 0


@pytest.mark.parametrize(("suffix", "number"), sampled(product(SUFFIXES, range(15)), 25))
def test_damaged_bytes(whole, predict, suffix, number):
    damaged, said = damage_bytes(whole[suffix], seeded(f"bytes {suffix}", number))
    with noted(said):
        predict(f"scan{suffix}", damaged)


FLOATS = (0, 1, -1, 2, 0.5, 1e-30, 1e-3, 1e3, 1e10, 3e38, -3e38, np.nan, np.inf, -np.inf)
WHOLES = (0, 1, -1, 2, 3, 4, 7, 8, 16, 64, 255, 512, 1000, 2**15 - 1, -(2**15), 2**31 - 1, -(2**31))
FIELDS = (
    *(
        "sizeof_hdr",
        "dim",
        "dim",
        "dim",
        "dim",
        "datatype",
        "datatype",
        "bitpix",
        "pixdim",
        "pixdim",
    ),
    *("vox_offset", "vox_offset", "scl_slope", "scl_slope", "scl_inter", "magic", "xyzt_units"),
    *("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z", "srow_z", "intent_code", "cal_max", "slice_code", "glmin"),
)


def damage_field(header, seed) -> str:
    """Change one number of a NIfTI header."""
    name = seed.choice([field for field in FIELDS if field in header.dtype.names])
    field = header[name]
    if field.dtype.kind == "S":
        header[name] = seed.choice((b"", b"ni1", b"n+2", b"n+1\x00", b"\xff" * 4))
        return f"{name} = {header[name]}"
    value = seed.choice(FLOATS if field.dtype.kind == "f" else WHOLES)
    with np.errstate(over="ignore"):
        value = np.array(value).astype(field.dtype)
    if field.ndim == 0:
        header[name] = value
        return f"{name} = {value}"
    place = seed.randrange(min(field.size, 5))
    field[place] = value
    return f"{name}[{place}] = {value}"


@pytest.mark.parametrize(
    ("kind", "number"), sampled(product(["nifti1", "nifti2", "big", "gz"], range(30)), 30)
)
def test_damaged_nifti_headers(predict, kind, number):
    seed = seeded(f"nifti {kind}", number)
    image = (nibabel.Nifti2Image if kind == "nifti2" else nibabel.Nifti1Image)(scan_array(), IPL)
    image.header.set_sform(IPL, code=seed.choice((0, 1, 2)))
    image.header.set_qform(IPL, code=seed.choice((0, 1)))
    voxels = scan_array()
    header = image.header
    if kind == "big":
        header, voxels = header.as_byteswapped(">"), voxels.astype(">i2")
    raw = header.structarr.copy()
    raw["vox_offset"] = 544 if kind == "nifti2" else 352
    raw["magic"] = b"n+2\0\r\n\x1a\n" if kind == "nifti2" else b"n+1"
    said = "; ".join(damage_field(raw, seed) for _ in range(seed.choice((1, 1, 1, 2, 3))))
    extension = seed.choice((bytes(4), bytes(4), bytes(4), b"\1\0\0\0" + seed.randbytes(16)))
    content = raw.tobytes() + extension + voxels.tobytes(order="F")
    with noted(said):
        predict("scan.nii.gz" if kind == "gz" else "scan.nii", content)


TEXTS = (
    *("", "0", "-1", "1", "2", "3", "4", "99", "1000000000", "99999999999999999999", "nan", "inf"),
    *("1e400", "0 0 0", "1 1 1", "-1 -1 -1", "nan nan nan", "100000 100000 100000", "1 2", "x"),
    *("9 8", "9 8 6 1", "2147483647 1 1", "65536 65536 65536", "True", "False", "raw", "gzip"),
    *("ascii", "hex", "bzip2", "LOCAL", "LIST", "/dev/zero", "/etc/passwd", "../scans", "%03d.raw"),
    *("MET_DOUBLE", "MET_CHAR_ARRAY", "MET_NONE", "float", "block", "unsigned char", "int64"),
    *("(1,0,0) (0,1,0) (0,0,0)", "none (1,0,0) (0,1,0)", "(nan,0,0) (0,1,0) (0,0,1)", "%s%n" * 9),
    *("left-posterior-superior", "x" * 5000, "\x1b[2J", "\xff\xfe", "1 0 0 0 1 0 0 0 0"),
)


def damage_text(content: bytes, end: bytes, sign: bytes, seed) -> tuple[bytes, str]:
    """Change lines of a header of text."""
    place = content.index(end) + (
        0 if end == b"\n\n" else content[content.index(end) :].index(b"\n")
    )
    lines, rest, said = content[:place].split(b"\n"), content[place:], []
    for _ in range(seed.choice((1, 1, 1, 2, 3))):
        number = seed.randrange(len(lines))
        name = lines[number].split(sign)[0]
        value = seed.choice(TEXTS)
        kind = seed.choice(("value", "value", "value", "value", "drop", "twice", "swap"))
        if kind == "value":
            lines[number] = name + sign + value.encode("latin-1")
        elif kind == "drop":
            lines[number] = b""
        elif kind == "twice":
            lines.insert(seed.randrange(len(lines)), lines[number])
        else:
            seed.shuffle(lines)
        said.append(f"{name!r}: {kind} {value if kind == 'value' else ''}")
    return b"\n".join(line for line in lines if line) + rest, "; ".join(said)


@pytest.mark.parametrize("number", sampled(range(45), 12))
def test_damaged_metaimage_headers(whole, predict, number):
    damaged, said = damage_text(whole[".mha"], b"ElementDataFile", b" = ", seeded("mha", number))
    with noted(said):
        predict("scan.mha", damaged)


@pytest.mark.parametrize("number", sampled(range(45), 12))
def test_damaged_nrrd_headers(whole, predict, number):
    damaged, said = damage_text(whole[".nrrd"], b"\n\n", b": ", seeded("nrrd", number))
    with noted(said):
        predict("scan.nrrd", damaged)


def _claiming(*dims, extra: bytes = b"") -> bytes:
    """A NIfTI header that promises so many voxels, and what follows."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(dims)
    header.set_sform(IPL, code=1)
    header["magic"], header["vox_offset"] = b"n+1", 352
    return header.binaryblock + bytes(4) + extra


def _extended(size: int) -> bytes:
    """A NIfTI file whose header is followed by an extension that claims a size."""
    return (
        _claiming(*SHAPE)[:348]
        + b"\1\0\0\0"
        + np.array([size, 4], np.int32).tobytes()
        + scan_array().tobytes(order="F")
    )


def _zeros(first: bytes, count: int) -> bytes:
    """A gzip file of a few bytes and many zeros."""
    stream = io.BytesIO()
    with gzip.GzipFile("", "wb", 9, stream, mtime=0) as file:
        file.write(first)
        for _ in range(count >> 20):
            file.write(bytes(1 << 20))
    return stream.getvalue()


DICOM = (
    bytes(128) + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00\xff\xff\xff\xff" + b"\x08\x00\x05\x00" * 99
)
OTHERS = {
    "empty.nii.gz": b"",
    "empty.nii": b"",
    "empty.nrrd": b"",
    "empty.mha": b"",
    "text.nii": b"not an image",
    "text.nrrd": b"NRRD0004\n",
    "text.mha": b"NDims = 3\n",
    "dicom.dcm": DICOM,
    "dicom.nii": DICOM,
    "dicom.nii.gz": DICOM,
    "dicom.nrrd": DICOM,
    "dicom.mha": DICOM,
    "claims-2-40.nii": _claiming(1 << 14, 1 << 13, 1 << 13),
    "claims-2-31.nii": _claiming(2047, 1024, 1024),
    "claims-2-40.nii.gz": gzip.compress(_claiming(1 << 14, 1 << 13, 1 << 13)),
    "claims-2-30.nii.gz": gzip.compress(_claiming(1024, 1024, 1024)),
    "claims-none.nii": _claiming(0, 5, 5),
    "claims-4d.nii": _claiming(*SHAPE, 2, extra=bytes(4000)),
    "flat.nii": _claiming(*SHAPE, extra=bytes(SHAPE[0] * SHAPE[1] * SHAPE[2] * 2)),
    "half-a-gzip.nii.gz": gzip.compress(_claiming(*SHAPE))[:100],
    "bare-deflate.nii.gz": zlib.compress(_claiming(*SHAPE)),
    "gzip-in-gzip.nii.gz": gzip.compress(gzip.compress(_claiming(*SHAPE))),
    "bomb-behind.nii.gz": _zeros(
        _claiming(*SHAPE, extra=scan_array().tobytes(order="F")), 256 << 20
    ),
    "bomb-extension.nii.gz": _zeros(_extended(2**31 - 8), 256 << 20),
    "extension-negative.nii": _extended(-(2**31)),
    "extension-zero.nii": _extended(0),
    "claims.nrrd": b"NRRD0004\ntype: short\ndimension: 3\nsizes: 65536 65536 65536\n"
    b"endian: little\nencoding: raw\n\n" + bytes(100),
    "claims.mha": b"ObjectType = Image\nNDims = 3\nDimSize = 65536 65536 65536\n"
    b"ElementType = MET_SHORT\nElementDataFile = LOCAL\n" + bytes(100),
    "claims-some.mha": b"ObjectType = Image\nNDims = 3\nDimSize = 2000 1000 1000\n"
    b"ElementType = MET_SHORT\nElementDataFile = LOCAL\n" + bytes(100),
    "axes.mha": b"ObjectType = Image\nNDims = 1000\nDimSize = " + b"1 " * 1000 + b"\n"
    b"ElementType = MET_SHORT\nElementDataFile = LOCAL\n" + bytes(100),
    "packed.mha": b"ObjectType = Image\nNDims = 3\nDimSize = 9 8 6\nCompressedData = True\n"
    b"CompressedDataSize = 9999999999999\nElementType = MET_SHORT\nElementDataFile = LOCAL\nx",
    "channels.mha": b"ObjectType = Image\nNDims = 3\nDimSize = 9 8 6\nElementNumberOfChannels = "
    b"2000000000\nElementType = MET_SHORT\nElementDataFile = LOCAL\n" + bytes(900),
    "skip.nrrd": b"NRRD0004\ntype: short\ndimension: 3\nsizes: 9 8 6\nendian: little\n"
    b"byte skip: 9999999999\nencoding: raw\n\n" + bytes(900),
    "lines.nrrd": b"NRRD0004\n" + b"a:=b\n" * 300_000,
    "device.mhd": b"ObjectType = Image\nNDims = 3\nDimSize = 9 8 6\nElementType = MET_SHORT\n"
    b"ElementDataFile = /dev/zero\n",
    "device.nhdr": b"NRRD0004\ntype: short\ndimension: 3\nsizes: 9 8 6\nendian: little\n"
    b"encoding: raw\ndata file: /dev/zero\n\n",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_as_a_scan(predict, name):
    expected = 0 if name.startswith("extension") else 1
    assert predict(name, OTHERS[name]) == expected


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mhd", ".nhdr"])
@pytest.mark.parametrize("what", ["folder", "loop", "pipe", "nothing", "broken link", "long name"])
def test_what_is_no_file(predict, suffix, what):
    place = predict.folder / f"scan{suffix}"
    if what == "folder":
        place.mkdir()
    elif what == "loop":
        place.symlink_to(place)
    elif what == "pipe":
        os.mkfifo(place)
    elif what == "broken link":
        place.symlink_to(predict.folder / "nowhere.nii")
    name = "x" * 300 + suffix if what == "long name" else place.name
    assert predict(name) == 1


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_voxels_in_a_pipe(predict, suffix):
    os.mkfifo(predict.folder / "pipe.raw")
    header = OTHERS[f"device{suffix}"].replace(b"/dev/zero", b"pipe.raw")
    assert predict(f"scan{suffix}", header) == 1


@pytest.mark.parametrize("name", ["a b.nii.gz", "[red].nii.gz", "%s.nii", "é.nii", "-o.nii"])
def test_names_of_damaged_scans(predict, name):
    assert predict(name, b"not an image") == 1
