"""MetaImage and NRRD files: geometry and voxels are those that SimpleITK reads."""

import bz2
import gzip
import warnings
import zlib

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from renalseg.errors import VolumeError
from renalseg.volume import UnusualImageWarning, read_grid, read_image, read_labels
from renalseg.volume.files import read_file

SIZE = (5, 4, 3)
VOXELS = (np.arange(60).reshape(3, 4, 5) * 30 - 1000).astype(np.int16)
STORED = VOXELS.tobytes()
META = "ObjectType = Image\nNDims = 3\nDimSize = 5 4 3\n"
SPACING = "ElementSpacing = 1.5 1.25 3\n"
SHORT = "ElementType = MET_SHORT\n"
LOCAL = "ElementDataFile = LOCAL\n"
NRRD = "type: short\ndimension: 3\nsizes: 5 4 3\n"
LPS = "space: left-posterior-superior\n"
PLACE = "space directions: (1.5,0,0) (0,1.25,0) (0,0,3)\nspace origin: (-10,-20,-30)\n"
RAW = "endian: little\nencoding: raw\n"

NUMBERS = st.floats(-1000, 1000, allow_subnormal=False).map(lambda x: round(x, 3))
SIZES = st.floats(0.1, 9).map(lambda x: round(x, 3))
TYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")


def rotations():
    """Right-angled turns and tilts, mirrored ones among them."""

    def rotation(seed, mirrored):
        turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
        if (np.linalg.det(turn) < 0) != mirrored:
            turn[:, 0] *= -1
        return turn if seed % 3 else np.round(turn, 3)

    return st.builds(rotation, st.integers(0, 999), st.booleans()) | st.permutations(range(3)).map(
        lambda order: np.eye(3)[list(order)]
    )


def same_as_simpleitk(path, seen=None):
    """Read a file both ways; returns our voxels in the order of SimpleITK's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusualImageWarning)
        image = read_file(path)
        grid = read_grid(path)
    seen = seen or SimpleITK.ReadImage(str(path))
    expected = np.eye(4)
    axes = seen.GetDimension()
    direction = np.array(seen.GetDirection()).reshape(axes, axes)[:3, :3]
    expected[:3, :3] = direction * np.array(seen.GetSpacing()[:3])
    expected[:3, 3] = seen.GetOrigin()[:3]
    expected[:2] *= -1
    np.testing.assert_allclose(image.affine, expected, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(grid.source.affine, expected, rtol=1e-12, atol=1e-9)
    voxels = SimpleITK.GetArrayFromImage(seen).reshape(image.array.shape[::-1])
    np.testing.assert_array_equal(image.array.transpose(), voxels)
    return image.array.transpose()


def nrrd(path, fields, data=STORED, sizes=NRRD, version="NRRD0005", end="\n"):
    text = f"{version}\n{sizes}{fields}\n".replace("\n", end)
    path.write_bytes(text.encode() + data)
    return path


def meta(path, text, data=STORED):
    path.write_bytes(text.encode() + data)
    return path


def refused(match, path, read=read_image):
    with pytest.raises(VolumeError, match=match) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(
    suffix=st.sampled_from([".mha", ".mhd", ".nrrd", ".nhdr"]),
    dtype=st.sampled_from(TYPES),
    shape=st.tuples(*[st.integers(1, 5)] * 3),
    spacing=st.tuples(*[SIZES] * 3),
    origin=st.tuples(*[NUMBERS] * 3),
    direction=rotations(),
    packed=st.booleans(),
    about=st.dictionaries(
        st.sampled_from(["a", "Patient Name", "0008|0031", "x=y"]), st.text("ab =:.")
    ),
)
def test_what_simpleitk_writes(
    tmp_path_factory, suffix, dtype, shape, spacing, origin, direction, packed, about
):
    path = tmp_path_factory.mktemp("written") / f"a{suffix}"
    voxels = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    image = SimpleITK.GetImageFromArray(voxels)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction.ravel())
    for key, text in about.items() if "x=y" not in about else ():
        image.SetMetaData(key, text)
    SimpleITK.WriteImage(image, str(path), useCompression=packed)
    np.testing.assert_array_equal(same_as_simpleitk(path), voxels)


def texts(*choices):
    return st.sampled_from(choices)


@st.composite
def metaimages(draw):
    """A header by hand, and the voxels as it says that they are stored."""
    big = draw(st.booleans())
    data = VOXELS.astype(">i2" if big else "<i2").tobytes()
    lines = [
        draw(texts("ObjectType = Image", "ObjectType=Image", "Comment = a: b = c")),
        "NDims = 3",
    ]
    fields = [
        "DimSize = 5 4 3",
        "ElementType\t=\tMET_SHORT",
        draw(texts("BinaryDataByteOrderMSB", "ElementByteOrderMSB")) + f" = {big}",
        draw(texts("Offset", "Origin", "Position")) + " = -10 2.5 1e2",
        draw(texts("ElementSpacing", "ElementSize")) + " = 1.5 1.25 +3.",
        draw(texts("BinaryData = True", "CenterOfRotation = 1 2 3", "Any Name = 9", "")),
    ]
    if draw(st.booleans()):
        matrix = draw(rotations()).T.ravel()
        name = draw(texts("TransformMatrix", "Rotation", "Orientation"))
        fields.append(f"{name} = {' '.join(f'{x:.6f}' for x in matrix)}")
    linked = draw(st.booleans())
    packed, before = draw(st.booleans()), 0
    if packed:
        data = draw(st.sampled_from([zlib.compress, gzip.compress]))(data)
        fields += ["CompressedData = True", f"CompressedDataSize = {len(data)}"]
    if linked:
        before = draw(st.integers(0, 40))
        fields.append(f"HeaderSize = {before}")
    elif not packed and draw(st.booleans()):
        before = draw(st.integers(0, 40))
        fields.append("HeaderSize = -1")
    lines += draw(st.permutations(fields))
    name = (
        draw(texts("data.raw", "./data.raw", "d ata.zraw"))
        if linked
        else draw(texts("LOCAL", "Local"))
    )
    lines.append(f"ElementDataFile = {name}")
    end = draw(texts("\n", "\r\n"))
    return end.join([*filter(None, lines), ""]), name if linked else None, b"x" * before + data


@settings(max_examples=60, deadline=None)
@given(metaimages())
def test_metaimage_headers_by_hand(tmp_path_factory, drawn):
    text, linked, data = drawn
    path = tmp_path_factory.mktemp("meta") / "a.mhd"
    path.write_bytes(text.encode() + (b"" if linked else data))
    if linked:
        (path.parent / linked).write_bytes(data)
    np.testing.assert_array_equal(same_as_simpleitk(path), VOXELS)


@st.composite
def nrrds(draw):
    """A header by hand, and the voxels as it says that they are stored."""
    big = draw(st.booleans())
    data = VOXELS.astype(">i2" if big else "<i2").tobytes()
    kind = draw(texts("short", "signed short int", "int16", "int16_t", "Short"))
    fields = [f"type: {kind}", f"{draw(texts('endian', 'Endian'))}: {'big' if big else 'little'}"]
    if draw(st.booleans()):
        names = ("left-posterior-superior", "LPS", "right-anterior-superior", "ras", "LAS")
        others = ("left-anterior-superior", "scanner-xyz", "3D-right-handed", "3D-left-handed")
        space = draw(
            st.sampled_from([*(f"space: {name}" for name in names + others), "space dimension: 3"])
        )
        steps = draw(rotations()) * [1.5, 1.25, 3]
        vectors = " ".join("(" + ", ".join(f"{x:.6f}" for x in step) + ")" for step in steps.T)
        placed = [draw(texts("space directions", "spacedirections")) + f": {vectors}"]
        placed += draw(texts([], ["space origin: (-10,2.5, 1e2)"]))
        placed += draw(texts([], ["measurement frame: (1,0,0) (0,1,0) (0,0,1)"]))
        fields = [*fields, space, *placed]
    else:
        fields.append("spacings: 1.5 -1.25 3")
        fields += draw(texts([], ["axis mins: -10 2.5 100"]))
        fields += draw(texts([], ["centerings: node cell ???"], ["centers: node node node"]))
        fields += draw(texts([], ["axis maxs: 1 2 3"]))
    fields += draw(texts([], ["kinds: domain domain domain"], ["kinds: ??? space ???"]))
    fields += draw(texts([], ["# note: this"], ["a b:=c: d"], ["content: x: y"], ["DICOM_1:=x:=y"]))
    before = b"x" * draw(st.integers(0, 9))
    skipped = b"ab\n" * draw(st.integers(0, 2))
    packed = draw(st.booleans())
    if packed:
        data = skipped + gzip.compress(before + data)
        fields.append(draw(texts("encoding: gzip", "encoding: GZ")))
    else:
        data = skipped + before + data
        fields.append("encoding: raw")
    at_end = not packed and draw(st.booleans())
    if before or at_end:
        fields.append(f"byte skip: {-1 if at_end else len(before)}")
    if skipped:
        fields.append(f"line skip: {skipped.count(bytes([10]))}")
    linked = draw(texts(None, "data.raw", "./data.raw.gz"))
    if linked:
        fields.append(f"{draw(texts('data file', 'datafile'))}: {linked}")
    end = draw(texts("\n", "\r\n"))
    version = draw(texts("NRRD0001", "NRRD0004", "NRRD0005"))
    lines = [version, "dimension: 3", "sizes: 5 4 3", *fields]
    return end.join([*lines, "", ""]), linked, data


@settings(max_examples=60, deadline=None)
@given(nrrds())
def test_nrrd_headers_by_hand(tmp_path_factory, drawn):
    text, linked, data = drawn
    path = tmp_path_factory.mktemp("nrrd") / "a.nhdr"
    path.write_bytes(text.encode() + (b"" if linked else data))
    if linked:
        (path.parent / linked).write_bytes(data)
    np.testing.assert_array_equal(same_as_simpleitk(path), VOXELS)


@pytest.mark.parametrize("encoding", ["bzip2", "bz2"])
def test_bzip2(tmp_path, encoding):
    fields = LPS + PLACE + f"endian: little\nencoding: {encoding}\nbyte skip: 3\n"
    packed = bz2.compress(b"abc" + VOXELS.tobytes()[:50]) + bz2.compress(VOXELS.tobytes()[50:])
    volume = read_image(nrrd(tmp_path / "a.nrrd", fields, packed))
    raw = read_image(nrrd(tmp_path / "b.nrrd", LPS + PLACE + RAW))
    assert volume.same_grid(raw)
    np.testing.assert_array_equal(volume.array, raw.array)
    refused("not a whole image", nrrd(tmp_path / "a.nrrd", fields, packed[:-9]))


@pytest.mark.parametrize(
    ("unit", "factor"), [("m", 1e-3), ("mm", 1), ("um", 1e3), ("micron", 1e3), ("cm", 0.1)]
)
@pytest.mark.parametrize("read", [read_image, read_labels, read_grid])
def test_units_of_nrrd(tmp_path, unit, factor, read):
    data = (VOXELS % 3 if read is read_labels else VOXELS).tobytes()
    expected = read(nrrd(tmp_path / "a.nrrd", LPS + PLACE + RAW, data))
    x, y, z, *origin = (f"{n * factor:.9g}" for n in (1.5, 1.25, 3, -10, -20, -30))
    place = f"space directions: ({x},0,0) (0,{y},0) (0,0,{z})\nspace origin: ({','.join(origin)})\n"
    units = f'space units: "{unit}" "{unit}" "{unit}"\n'
    assert read(nrrd(tmp_path / "b.nrrd", LPS + place + units + RAW, data)).same_grid(expected)


def test_units_of_axes_without_a_space(tmp_path):
    fields = 'spacings: 0.0015 0.00125 0.003\nunits: "m" "m" "m"\n' + RAW
    with pytest.warns(UnusualImageWarning, match="orientation is a guess"):
        assert read_image(nrrd(tmp_path / "a.nrrd", fields)).spacing_mm == (3, 1.25, 1.5)


def test_a_unit_that_is_no_length_is_refused(tmp_path):
    units = 'space units: "s" "mm" "mm"\n'
    refused("the unit 's' is none of length", nrrd(tmp_path / "a.nrrd", LPS + PLACE + units + RAW))


@pytest.mark.parametrize(
    "place", ["space: scanner-xyz\n" + PLACE, "space dimension: 3\n" + PLACE, "spacings: 1 1 1\n"]
)
def test_a_space_that_does_not_say_how_the_patient_lies(tmp_path, place):
    with pytest.warns(UnusualImageWarning, match="does not say how it lies in the patient"):
        read_image(nrrd(tmp_path / "a.nrrd", place + RAW))


def test_files_without_spacing(tmp_path):
    with pytest.warns(UnusualImageWarning, match="it gives no spacing, so 1 mm is taken"):
        assert read_image(meta(tmp_path / "a.mha", META + SHORT + LOCAL)).spacing_mm == (1, 1, 1)
    with pytest.warns(UnusualImageWarning, match="it gives no spacing, so 1 mm is taken"):
        assert read_image(nrrd(tmp_path / "a.nrrd", LPS + RAW)).spacing_mm == (1, 1, 1)


def test_compressed_metaimage_without_a_size(tmp_path):
    text = META + SPACING + SHORT + "CompressedData = True\n" + LOCAL
    path = meta(tmp_path / "a.mha", text, zlib.compress(VOXELS.tobytes()))
    stored = read_file(path)
    np.testing.assert_array_equal(stored.array.transpose(), VOXELS)


def test_one_volume_in_four_dimensions(tmp_path):
    text = (META + SPACING).replace("NDims = 3", "NDims = 4").replace("4 3\n", "4 3 1\n")
    text = text.replace("1.25 3\n", "1.25 3 1\n") + "Offset = 1 2 3 4\n" + SHORT + LOCAL
    same_as_simpleitk(meta(tmp_path / "a.mha", text))
    sizes = NRRD.replace("dimension: 3", "dimension: 4").replace("sizes: 5", "sizes: 1 5")
    place = LPS + PLACE.replace("directions: ", "directions: none ")
    fields = place + "kinds: list domain domain domain\n" + RAW
    same_as_simpleitk(nrrd(tmp_path / "a.nrrd", fields, sizes=sizes))
    sizes = sizes.replace("sizes: 1 5 4 3", "sizes: 5 4 3 1")
    same_as_simpleitk(nrrd(tmp_path / "b.nrrd", "spacings: 1 2 3 nan\n" + RAW, sizes=sizes))


def test_several_numbers_per_voxel_are_refused(tmp_path):
    sizes = NRRD.replace("dimension: 3", "dimension: 4").replace("sizes: 5", "sizes: 2 5")
    fields = LPS + PLACE.replace("directions: ", "directions: none ") + RAW
    refused("expected one number per voxel, got 2", nrrd(tmp_path / "a.nrrd", fields, sizes=sizes))
    text = META + SPACING + SHORT + "ElementNumberOfChannels = 3\n" + LOCAL
    refused("expected one number per voxel, got 3", meta(tmp_path / "a.mha", text))


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_label_maps_and_grids_of_giants_are_refused(tmp_path, name):
    text = META + "ElementSpacing = 1500 1500 3000\n" + SHORT + LOCAL
    place = PLACE.replace("1.5,0", "1500,0")
    path = tmp_path / name
    meta(path, text) if name == "a.mha" else nrrd(path, LPS + place + RAW)
    for read in (read_image, read_labels, read_grid):
        refused("expected a scan of a patient, got one of 7.5 x", path, read)
