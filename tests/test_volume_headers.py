"""Headers of text: what other programs would read otherwise is refused, and nothing is read from
outside of an image's folder."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renalseg.errors import VolumeError
from renalseg.volume import read_grid, read_image, read_labels

VOXELS = (np.arange(60).reshape(3, 4, 5) * 30 - 1000).astype(np.int16)
STORED = VOXELS.tobytes()
SECRET = b"secret: " + bytes(range(256))
META = (
    "ObjectType = Image\nNDims = 3\nDimSize = 5 4 3\nElementSpacing = 1 1 1\n"
    "ElementType = MET_SHORT\n"
)
LOCAL = "ElementDataFile = LOCAL\n"
NRRD = (
    "NRRD0004\ntype: short\ndimension: 3\nsizes: 5 4 3\nspace: LPS\nendian: little\n"
    "encoding: raw\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n"
)


def refused(match, path, read=read_image):
    with pytest.raises(VolumeError, match=match) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()
    assert path.name in str(caught.value)


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode("latin-1"))
    return path


@pytest.fixture
def folders(tmp_path):
    """A folder for the image, and a secret outside of it and in it as links."""
    inside = tmp_path / "in" / "sub"
    inside.mkdir(parents=True)
    for place in (tmp_path / "secret", tmp_path / "in" / "secret", inside / "secret"):
        place.write_bytes(SECRET)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in" / "loop")
    (tmp_path / "in" / "away").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "in" / "pipe")
    return tmp_path / "in"


OUTSIDE = (
    *("{}/secret", "../secret", "./../secret", "sub/secret", "sub/../../secret", "away/secret"),
    *("link", "loop", "pipe", "/dev/zero", "/dev/stdin", "/etc/passwd", "/proc/self/environ"),
    *("..", ".", "./", "sub", "C:\\secret", "..\\secret", "file:///etc/passwd", "~/secret", "|id"),
    *(
        "LIST",
        "list",
        "LIST 2",
        "secret%d",
        "%s",
        "s%03d.raw 1 3 1",
        "secret 0 1 1",
        "LIST\tsecret",
    ),
)


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", ["a.mhd", "a.mha", "a.nrrd", "a.nhdr"])
def test_voxels_outside_of_the_folder(folders, name, kind):
    name = name.format(folders.parent)
    text = META + f"ElementDataFile = {name}\n" if kind[2] == "m" else NRRD + f"data file: {name}\n"
    for read in (read_image, read_labels, read_grid):
        refused("its voxels lie in|, the line .* is no field", written(folders / kind, text), read)


@pytest.mark.parametrize("name", ["secret", "./secret"])
def test_voxels_beside_the_header_are_read(tmp_path, name):
    (tmp_path / "secret").write_bytes(STORED)
    for path in (
        written(tmp_path / "a.mhd", META + f"ElementDataFile = {name}\n"),
        written(tmp_path / "a.nhdr", NRRD + f"data file: {name}\n"),
    ):
        np.testing.assert_array_equal(np.unique(read_image(path).array), VOXELS.ravel())


@pytest.mark.parametrize("name", ["sub/../data", "{}/data", "./sub/../data", "././data"])
def test_paths_that_lead_back_are_refused_too(folders, name):
    name = name.format(folders)
    (folders / "data").write_bytes(STORED)
    match = "expected the name of a file in the same folder"
    refused(match, written(folders / "a.mhd", META + f"ElementDataFile = {name}\n"))
    refused(match, written(folders / "a.nhdr", NRRD + f"data file: {name}\n"))


@pytest.mark.parametrize("name", ["LIST", "list", "LIST 2", "data%d", "%03d.raw 1 3 1"])
def test_lists_of_files_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(STORED)
    match = "its voxels lie in several files .* convert it to one file"
    refused(match, written(tmp_path / "a.mhd", META + f"ElementDataFile = {name}\n"))
    refused(match, written(tmp_path / "a.nhdr", NRRD + f"data file: {name}\n"))


@pytest.mark.parametrize(
    ("name", "text", "promised"),
    [
        ("a.mha", META.replace("5 4 3", "2000 1000 1000") + LOCAL, 4 * 10**9),
        ("a.nrrd", NRRD.replace("5 4 3", "2000 1000 1000") + "\n", 4 * 10**9),
        ("b.nrrd", NRRD.replace("5 4 3", "999 999 99").replace("raw", "gzip") + "\n", 197604198),
    ],
)
def test_a_header_that_promises_more_than_its_file_has(tmp_path, name, text, promised):
    path = written(tmp_path / name, text.encode() + bytes(100))
    refused(f"its header promises {promised} bytes, the file has 100", path)


def test_a_link_within_the_folder_is_followed(tmp_path):
    (tmp_path / "data").write_bytes(STORED)
    (tmp_path / "link").symlink_to("data")
    assert read_image(written(tmp_path / "a.nhdr", NRRD + "data file: link\n")).shape == (3, 4, 5)


#: Lines before the last one by which another program would take the voxels from elsewhere.
META_ATTACKS = (
    "ElementDataFile : secret\n",
    "ElementDataFile: secret\n",
    "ElementDataFile secret\n",
    "ElementDataFile =secret\rElementDataFile = LOCAL\n",
    "Comment = x\rElementDataFile = secret\n",
    "ElementDataFile\0 = secret\n",
    "ElementDataFile\0x = secret\n",
    "Comment = x\0\nElementDataFile = secret\n",
    "ElementDataFile = : secret\n",
    "ElementDataFile = = secret\n",
    "elementdatafile = secret\n",
    "ELEMENTDATAFILE = secret\n",
    "Element Data File = secret\n",
    "ElementDataFile x = secret\n",
    "Comment : x = y\n",
    "ElementDataFile\x0b= secret\n",
    "ElementDataFile\x0c = secret\n",
    "\x1bElementDataFile = secret\n",
    "# ElementDataFile\n",
    "DimSize = 9 9 9\n",
    "ElementSpacing = 2 2 2\n",
    "Offset = 1 2 3\nPosition = 4 5 6\n",
    "Rotation = 1 0 0 0 1 0 0 0 1\nOrientation = -1 0 0 0 -1 0 0 0 1\n",
    "BinaryDataByteOrderMSB = True\nElementByteOrderMSB = False\n",
)


@pytest.mark.parametrize("attack", META_ATTACKS)
def test_metaimage_headers_that_can_be_read_otherwise(folders, attack):
    path = written(folders / "a.mha", (META + attack + LOCAL).encode() + STORED)
    refused("in its MetaImage header|is no field|its voxels lie in", path)


NRRD_ATTACKS = (
    "space origin: (0,0,0)\rdata file: secret\n",
    "\rdata file: secret\n",
    "data file: secret\0\n",
    "a:=b\rdata file: secret\n",
    "data file:secret\n",
    "data file :secret\n",
    "data file : secret\n",
    " data file: secret\n",
    "DATA FILE\t: secret\n",
    "data_file: secret\n",
    "foo: bar\n",
    "data file\n",
    "a: b:=c\n",
    "encoding: raw\n",
    "space dimension: 3\n",
    "spacings: 1 1 1\n",
    "sizes: 5 4 3\n",
    "\x0bdata file: secret\n",
    "key:=a\nkey:=b\n",
)


@pytest.mark.parametrize("attack", NRRD_ATTACKS)
def test_nrrd_headers_that_can_be_read_otherwise(folders, attack):
    path = written(folders / "a.nrrd", (NRRD + attack + "\n").encode() + STORED)
    refused("in its NRRD header|contradict", path)


def test_a_carriage_return_right_after_the_magic(folders):
    text = NRRD.replace("NRRD0004\n", "NRRD0004\rdata file: secret\n") + "\n"
    refused("in its NRRD header, control", written(folders / "a.nrrd", text.encode() + STORED))


@pytest.mark.filterwarnings("ignore::renalseg.volume.UnusualImageWarning")
@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["mha", "nrrd"]),
    st.integers(0, 9),
    st.text(st.sampled_from("=:\r\n\0\t %x/.#ElmntDaFi"), max_size=12),
    st.sampled_from(["ElementDataFile = ../secret", "data file: ../secret", "../secret", ""]),
)
def test_no_header_shows_a_file_outside(tmp_path_factory, kind, line, noise, attack):
    folder = tmp_path_factory.mktemp("attack") / "in"
    folder.mkdir()
    (folder.parent / "secret").write_bytes(b"\x42\x42" * 200)
    lines = (META + LOCAL if kind == "mha" else NRRD + "\n").splitlines(keepends=True)
    lines.insert(line % len(lines), noise + attack + noise + "\n")
    path = written(folder / f"a.{kind}", "".join(lines).encode() + STORED)
    try:
        voxels = read_labels(path, max_label=None).array
    except VolumeError:
        return
    assert not np.any(voxels == 0x42)


@pytest.mark.parametrize(
    ("match", "old", "new"),
    [
        ("'NDims' should be 3, got '99'", "NDims = 3", "NDims = 99"),
        ("'NDims' is missing", "NDims = 3\n", ""),
        ("'DimSize' should be 3 whole numbers, got '5 4'", "DimSize = 5 4 3", "DimSize = 5 4"),
        ("'DimSize' should be 3 whole numbers", "DimSize = 5 4 3", "DimSize = 5 4 3.5"),
        ("expected a 3D image, got shape", "DimSize = 5 4 3", "DimSize = 5 -4 3"),
        ("expected voxels, got shape", "DimSize = 5 4 3", "DimSize = 5 0 3"),
        ("'ElementType' should be one of MET_CHAR", "MET_SHORT", "MET_BOOL"),
        ("'ElementType' is missing", "ElementType = MET_SHORT\n", ""),
        ("'ElementSpacing' should be 3 numbers", "= 1 1 1", "= 1,5 1,5 3"),
        ("the affine holds NaN or infinite", "= 1 1 1", "= 1 nan 1"),
        ("expected a spacing above zero, got 1 x 0 x 1", "= 1 1 1", "= 1 0 1"),
        ("'ObjectType' should be Image, got 'Tube'", "= Image", "= Tube"),
        ("'DistanceUnits' should be mm", "NDims", "DistanceUnits = cm\nNDims"),
        ("'BinaryData' should be True", "NDims", "BinaryData = False\nNDims"),
        ("'CompressedData' should be one of true", "NDims", "CompressedData = maybe\nNDims"),
        ("'HeaderSize' should be", "NDims", "HeaderSize = 12\nNDims"),
        (r"FunctionSlope' should be 1", "NDims", "ElementToIntensityFunctionSlope = 2\nNDims"),
    ],
)
def test_faults_of_a_metaimage_header_are_named(tmp_path, match, old, new):
    text = (META + LOCAL).replace(old, new, 1)
    refused(match, written(tmp_path / "a.mha", text.encode() + STORED))


@pytest.mark.parametrize(
    ("match", "old", "new"),
    [
        ("expected a NRRD file, got one that begins with 'NRRD0009'", "NRRD0004", "NRRD0009"),
        ("'dimension' should be 3, got '17'", "dimension: 3", "dimension: 17"),
        ("'sizes' should be 3 whole numbers", "sizes: 5 4 3", "sizes: 5 4"),
        ("'type' should be one of signed char", "type: short", "type: block"),
        ("'endian' should be one of little, big", "endian: little", "endian: middle"),
        ("'endian' is missing", "endian: little\n", ""),
        ("'encoding' is missing", "encoding: raw\n", ""),
        ("'encoding' should be one of raw, gz, gzip, bz2, bzip2", "encoding: raw", "encoding: hex"),
        ("'space' should be one of left-posterior", "space: LPS", "space: LPST"),
        ("'space directions' are there without a space", "space: LPS\n", ""),
        ("'spacedirections' should be 3 vectors", "(0,0,1)", "(0,1)"),
        ("'spacedirections' should be 3 vectors", "(0,0,1)", "0,0,1"),
        ("'spacedirections' should be 3 vectors", "(0,0,1)", "(0,0,1)x"),
        ("expected a 3D image", "(0,0,1)", "none"),
        ("the affine cannot be inverted", "(0,0,1)", "(0,1,0)"),
        ("'byteskip' should be 0 or more", "type", "byte skip: -2\ntype"),
        ("'lineskip' should be 0 or more", "type", "line skip: -1\ntype"),
        ("'kinds' should be 3 words", "type", "kinds: domain\ntype"),
        ("begin at byte 9999999999", "type", "byte skip: 9999999999\ntype"),
    ],
)
def test_faults_of_a_nrrd_header_are_named(tmp_path, match, old, new):
    refused(
        match, written(tmp_path / "a.nrrd", (NRRD.replace(old, new, 1) + "\n").encode() + STORED)
    )


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_truncation_is_called_that(tmp_path, name):
    text = META + LOCAL if name == "a.mha" else NRRD + "\n"
    refused("not a whole image", written(tmp_path / name, text.encode() + STORED[:-1]))
    refused("not a whole image", written(tmp_path / name, b""))
    refused("not a whole image", written(tmp_path / "a.mha", META.encode()))


def test_a_header_without_an_end(tmp_path):
    lines = b"".join(b"key %d:=\n" % number for number in range(100_000))
    refused("no end within", written(tmp_path / "a.nrrd", NRRD.encode() + lines))
    refused("no end within", written(tmp_path / "b.nrrd", NRRD.encode() + b"#" * (1 << 21)))


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = written(tmp_path / "a.nrrd", NRRD.encode() + b"\n" + STORED)

    def denied(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", denied)
    refused(r"cannot be read \(Permission denied\)", path)
