"""NIfTI headers as people have them: units, sform against qform and pixdim, and odd fields."""

import gzip
import itertools

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from renalseg.errors import VolumeError
from renalseg.volume import UnusualImageWarning, read_grid, read_image, read_labels

SHAPE = (8, 7, 6)
RAS = np.diag([1.5, 1.5, 3.0, 1.0])
RAS[:3, 3] = [-40, -30, -20]
CT = (np.arange(np.prod(SHAPE)).reshape(SHAPE) * 5 - 1000).astype(np.int16)
#: Where the fields lie in a NIfTI-1 header.
AT = {
    **{"dim": 40, "datatype": 70, "pixdim": 76, "vox_offset": 108, "scl_slope": 112},
    **{"scl_inter": 116, "xyzt_units": 123, "quatern_b": 256, "srow_x": 280, "magic": 344},
}
UNIT_SFORM = [1, 0, 0, -40, 0, 1, 0, -30, 0, 0, 1, -20]
LABELS = (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 4).astype(np.uint8)


def f4(*values):
    return np.array(values, "<f4").tobytes()


def i2(*values):
    return np.array(values, "<i2").tobytes()


def written(path, data=CT, affine=RAS, qform=1, sform=1, unit="mm", **fields):
    """A file with header fields set to bytes, as nibabel would not write them."""
    image = nib.Nifti1Image(data, affine)
    image.set_sform(affine, sform)
    image.set_qform(affine, qform)
    image.header.set_xyzt_units(unit)
    content = bytearray(image.to_bytes())
    for name, value in fields.items():
        place = AT[name]
        content[place : place + len(value)] = value
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else bytes(content))
    return path


def refused(match, path, read=read_image):
    with pytest.raises(VolumeError, match=match) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    assert "not a whole" not in str(caught.value)


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("meter", 1e-3), ("micron", 1e3)])
@pytest.mark.parametrize("read", [read_image, read_grid, read_labels])
def test_units(tmp_path, unit, factor, read):
    scaled = RAS * [[factor], [factor], [factor], [1]]
    data = LABELS if read is read_labels else CT
    volume = read(written(tmp_path / "a.nii.gz", data, scaled, unit=unit))
    assert volume.spacing_mm == pytest.approx((3, 1.5, 1.5))
    np.testing.assert_allclose(volume.source.affine, RAS, rtol=1e-6)


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1e-3), ("micron", 1e3)])
def test_a_mask_lies_on_its_scan_in_any_unit_and_for_any_reader(tmp_path, unit, factor):
    scaled = RAS * [[factor], [factor], [factor], [1]]
    scan = read_image(written(tmp_path / "a.nii.gz", affine=scaled, unit=unit))
    scan.like(scan.array > 0).save(tmp_path / "mask.nii.gz")
    scan.like(scan.array > 0).save(tmp_path / "mask.nrrd")
    assert read_labels(tmp_path / "mask.nii.gz").same_grid(scan)
    assert read_labels(tmp_path / "mask.nrrd").same_grid(scan)
    before, after = nib.load(tmp_path / "a.nii.gz"), nib.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(before.affine, after.affine)
    seen = [
        SimpleITK.ReadImage(str(tmp_path / name))
        for name in ("a.nii.gz", "mask.nii.gz", "mask.nrrd")
    ]
    for other in seen[1:]:
        assert other.GetSpacing() == pytest.approx(seen[0].GetSpacing())
        assert other.GetOrigin() == pytest.approx(seen[0].GetOrigin(), rel=1e-5)


def test_unknown_unit_is_mm(tmp_path):
    assert read_image(written(tmp_path / "a.nii", xyzt_units=b"\0")).spacing_mm == (3, 1.5, 1.5)


@pytest.mark.parametrize("code", [b"\x07", b"\xff", b"\x84"])
def test_a_unit_that_does_not_exist_is_taken_as_mm(tmp_path, code):
    with pytest.warns(UnusualImageWarning, match="unit of length [47], which NIfTI lacks"):
        volume = read_image(written(tmp_path / "a.nii", xyzt_units=code))
    assert volume.spacing_mm == (3, 1.5, 1.5)


@pytest.mark.parametrize("read", [read_image, read_labels, read_grid])
def test_a_unit_that_makes_a_giant_is_named(tmp_path, read):
    data = LABELS if read is read_labels else CT
    path = written(tmp_path / "a.nii", data, unit="meter")
    refused(r"expected a scan of a patient, got one of 12 x .* mend .* in metres", path, read)


@pytest.mark.parametrize("read", [read_image, read_labels, read_grid])
def test_an_sform_without_the_voxel_size(tmp_path, read):
    data = LABELS if read is read_labels else CT
    path = written(tmp_path / "a.nii", data, srow_x=f4(*UNIT_SFORM))
    with pytest.warns(UnusualImageWarning, match=r"1 x 1 x 1 in its sform, 1\.5 x 1\.5 x 3 in its"):
        volume = read(path)
    np.testing.assert_allclose(volume.source.affine, RAS)


def test_an_sform_without_the_voxel_size_and_no_qform(tmp_path):
    path = written(tmp_path / "a.nii", qform=0, srow_x=f4(*UNIT_SFORM))
    with pytest.warns(UnusualImageWarning, match="its pixdim is taken"):
        np.testing.assert_allclose(read_image(path).source.affine, RAS)


def test_a_qform_and_pixdim_overrule_an_sform_of_another_size(tmp_path):
    rows = RAS[:3] * [2, 2, 2, 1]
    path = written(tmp_path / "a.nii", srow_x=f4(*rows.ravel()))
    with pytest.warns(UnusualImageWarning, match="its qform and pixdim are taken"):
        volume = read_image(path)
    np.testing.assert_allclose(volume.source.affine, RAS)
    assert SimpleITK.ReadImage(str(path)).GetSpacing() == (1.5, 1.5, 3)


def test_a_pixdim_that_was_never_set_yields_to_the_sform(tmp_path):
    path = written(tmp_path / "a.nii", qform=0, pixdim=f4(1, 1, 1, 1))
    with pytest.warns(UnusualImageWarning, match="its sform is taken"):
        np.testing.assert_allclose(read_image(path).source.affine, RAS)


@pytest.mark.parametrize(("qform", "pixdim"), [(0, (2, 2, 2)), (1, (1, 1, 1))])
def test_a_voxel_size_that_cannot_be_decided_is_refused(tmp_path, qform, pixdim):
    path = written(tmp_path / "a.nii", qform=qform, pixdim=f4(1, *pixdim))
    refused(r"spacing 1\.5 x 1\.5 x 3 in its sform, \d x \d x \d in its pixdim; mend", path)


def test_a_rounded_pixdim_is_no_contradiction(tmp_path):
    assert read_image(written(tmp_path / "a.nii", pixdim=f4(1, 1.501, 1.499, 3))).spacing_mm[0] == 3


def test_sizes_that_differ_a_little_are_shown_so(tmp_path):
    path = written(tmp_path / "a.nii", qform=0, pixdim=f4(1, 1.50015, 1.5, 3.1))
    refused(r"1\.5 x 1\.5 x 3 in its sform, 1\.5001\d* x 1\.5 x 3\.1 in its pixdim", path)


def test_sform_and_qform_that_differ_a_little(tmp_path):
    moved = RAS.copy()
    moved[0, 3] += 2
    path = written(tmp_path / "a.nii", srow_x=f4(*moved[:3].ravel()))
    with pytest.warns(UnusualImageWarning, match="place its corners up to 2 apart; its sform is"):
        np.testing.assert_allclose(read_image(path).source.affine, moved)


@pytest.mark.parametrize("turn", [(-1, 1, 1), (-1, -1, 1), (1, 1, -1)])
def test_sform_and_qform_of_other_axes_are_refused(tmp_path, turn):
    turned = RAS @ np.diag([*turn, 1.0])
    path = written(tmp_path / "a.nii", srow_x=f4(*turned[:3].ravel()))
    refused("its sform and qform contradict each other .*axes [RL]-[AP]-[SI] against R-A-S", path)


@pytest.mark.parametrize("rows", [[0] * 12, [np.nan] * 12, [1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0]])
def test_an_sform_that_is_none_yields_to_the_qform(tmp_path, rows):
    path = written(tmp_path / "a.nii", srow_x=f4(*rows))
    with pytest.warns(UnusualImageWarning, match="its sform is no affine; its qform is taken"):
        np.testing.assert_allclose(read_image(path).source.affine, RAS)


def test_a_quaternion_a_rounding_too_long(tmp_path):
    path = written(tmp_path / "a.nii", sform=0, quatern_b=f4(0, 0.7071069, 0.7071070))
    volume = read_image(path)
    seen = SimpleITK.ReadImage(str(path))
    direction = np.diag([-1, -1, 1]) @ np.array(seen.GetDirection()).reshape(3, 3)
    np.testing.assert_allclose(
        volume.source.affine[:3, :3], direction * seen.GetSpacing(), atol=1e-5
    )
    volume.save(tmp_path / "b.nii")  # nibabel does not read such a qform
    assert read_image(tmp_path / "b.nii").same_grid(volume)


def test_a_quaternion_that_is_none(tmp_path):
    path = written(tmp_path / "a.nii", sform=0, quatern_b=f4(0, 0.9, 0.9))
    refused(r"its qform is no rotation \(quaternion 0 0\.9 0\.9\)", path)
    path = written(tmp_path / "a.nii", quatern_b=f4(np.nan, 0, 0))
    with pytest.warns(UnusualImageWarning, match="its qform is no rotation; its sform is taken"):
        read_image(path)


def test_a_negative_pixdim(tmp_path):
    path = written(tmp_path / "a.nii", pixdim=f4(1, 1.5, 1.5, -3))
    with pytest.warns(UnusualImageWarning, match="its pixdim is negative; its sform is taken"):
        np.testing.assert_allclose(read_image(path).source.affine, RAS)
    path = written(tmp_path / "a.nii", sform=0, pixdim=f4(1, 1.5, 1.5, -3))
    refused(r"expected a spacing above zero in pixdim, got 1\.5 x 1\.5 x -3", path)


def test_a_pixdim_of_zero(tmp_path):
    path = written(tmp_path / "a.nii", pixdim=f4(1, 0, 0, 0))
    with pytest.warns(UnusualImageWarning, match="its pixdim is not set; its sform is taken"):
        np.testing.assert_allclose(read_image(path).source.affine, RAS)
    path = written(tmp_path / "a.nii", sform=0, pixdim=f4(1, 1.5, 0, 3))
    refused(r"expected a spacing above zero, got 1\.5 x 0 x 3", path)


def test_small_shears_are_read_as_they_are(tmp_path):
    sheared = RAS.copy()
    sheared[0, 1], sheared[1, 2] = 0.05, 0.08
    volume = read_image(written(tmp_path / "a.nii", affine=sheared, qform=0))
    np.testing.assert_allclose(volume.source.affine, sheared)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3), st.booleans(), st.booleans())
def test_qforms_are_read_as_simpleitk_reads_them(tmp_path_factory, vector, flip, byteswap):
    path = tmp_path_factory.mktemp("qform") / "a.nii"
    image = nib.Nifti1Image(CT, None)
    header = image.header
    length = max(1.0, float(np.linalg.norm(vector)))
    for name, value in zip("bcd", vector, strict=True):
        header[f"quatern_{name}"] = value / length
    header["pixdim"][:4] = [-1 if flip else 1, 1.5, 1.25, 3]
    header["qform_code"], header["qoffset_y"] = 1, 7
    content = bytearray(header.as_byteswapped(">" if byteswap else "<").binaryblock)
    content[108:112] = np.array(352, ">f4" if byteswap else "<f4").tobytes()
    content[344:348] = b"n+1\0"
    voxels = CT.astype(">i2" if byteswap else "<i2").tobytes(order="F")
    path.write_bytes(bytes(content) + bytes(4) + voxels)
    volume, seen = read_image(path), SimpleITK.ReadImage(str(path))
    direction = np.diag([-1, -1, 1]) @ np.array(seen.GetDirection()).reshape(3, 3)
    affine = volume.source.affine
    np.testing.assert_allclose(affine[:3, :3], direction * seen.GetSpacing(), atol=2e-5)
    np.testing.assert_allclose(affine[:3, 3], np.array(seen.GetOrigin()) * [-1, -1, 1], atol=1e-5)
    stored = volume.source.way.backward(volume.array)
    np.testing.assert_array_equal(stored.transpose(), SimpleITK.GetArrayFromImage(seen))


@pytest.mark.parametrize("slope", [0, np.nan])
def test_a_slope_of_zero_or_none_does_not_scale(tmp_path, slope):
    path = written(tmp_path / "a.nii", scl_slope=f4(slope), scl_inter=f4(-1024))
    np.testing.assert_array_equal(np.unique(read_image(path).array), np.unique(CT))


@pytest.mark.parametrize(("slope", "inter"), [(1, np.nan), (np.inf, 0), (2, -np.inf)])
def test_a_scaling_that_makes_no_sense_is_named(tmp_path, slope, inter):
    path = written(tmp_path / "a.nii", scl_slope=f4(slope), scl_inter=f4(inter))
    refused(f"its header scales the voxels by {slope:g} and adds {inter:g}", path)


def test_voxels_right_behind_the_header(tmp_path):
    path = written(tmp_path / "a.nii", vox_offset=f4(0))
    np.testing.assert_array_equal(np.unique(read_image(path).array), np.unique(CT))


@pytest.mark.parametrize(
    "dim", [(4, *SHAPE, 0, 0, 0, 0), (3, *SHAPE, 0, 0, 0, 0), (7, *SHAPE, *[1] * 4)]
)
def test_axes_beyond_the_third_may_be_unset(tmp_path, dim):
    assert read_image(written(tmp_path / "a.nii", dim=i2(*dim))).shape == (6, 7, 8)


@pytest.mark.parametrize(
    ("match", "fields"),
    [
        ("expected a 3D image, got shape", {"dim": i2(4, *SHAPE, 2)}),
        ("expected a 3D image, got shape", {"dim": i2(3, 8, -7, 6)}),
        ("expected 3 axes in its header, got 99", {"dim": i2(99)}),
        ("expected voxels, got shape", {"dim": i2(3, 8, 0, 6)}),
        ("names data type 9999, which NIfTI lacks", {"datatype": i2(9999)}),
        ("expected one number per voxel, got RGB", {"datatype": i2(128)}),
        ("begin at byte nan, expected 352", {"vox_offset": f4(np.nan)}),
        ("begin at byte -352, expected 352", {"vox_offset": f4(-352)}),
        ("begin at byte 100, expected 352", {"vox_offset": f4(100)}),
        (r"begin at byte 1\d{30}, expected", {"vox_offset": f4(1e30)}),
        ("voxels lie in an .img file", {"magic": b"ni1\0"}),
        (r"mark of a NIfTI header, got '\\x00\\x00\\x00'", {"magic": bytes(4)}),
    ],
)
def test_faults_of_a_header_are_named(tmp_path, match, fields):
    refused(match, written(tmp_path / "a.nii", **fields))


def test_junk_behind_gzip(tmp_path):
    packed = written(tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "zeros.nii.gz").write_bytes(packed + bytes(512))
    np.testing.assert_array_equal(
        np.unique(read_image(tmp_path / "zeros.nii.gz").array), np.unique(CT)
    )
    for junk in (b"junk", b"\x1f\x8bno gzip", bytes(9) + b"x"):
        (tmp_path / "junk.nii.gz").write_bytes(packed + junk)
        with pytest.warns(UnusualImageWarning, match="follows its compressed data is ignored"):
            volume = read_image(tmp_path / "junk.nii.gz")
        np.testing.assert_array_equal(np.unique(volume.array), np.unique(CT))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 1000), max_size=4))
def test_gzip_of_several_members(tmp_path_factory, cuts):
    path = written(tmp_path_factory.mktemp("members") / "a.nii")
    content, ends = path.read_bytes(), [0, *sorted(cuts), None]
    members = [gzip.compress(content[a:b]) for a, b in itertools.pairwise(ends)]
    path.write_bytes(b"".join(members))
    np.testing.assert_array_equal(np.unique(read_image(path).array), np.unique(CT))
    path.write_bytes(b"".join(members)[:-9])
    with pytest.raises(VolumeError, match="not a whole NIfTI image"):
        read_image(path)


@pytest.mark.parametrize("level", [0, 1, 9])
def test_gzip_of_more_than_a_chunk(tmp_path, level):
    # chunks of packed and of unpacked bytes end at different places
    noise = np.random.default_rng(0).integers(-1000, 1000, (128, 128, 100))
    noise[:64] = -1000
    content = written(tmp_path / "a.nii", noise.astype(np.int16)).read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content, compresslevel=level))
    raw, packed = read_image(tmp_path / "a.nii"), read_image(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(raw.array, packed.array)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (gzip.compress(gzip.compress(bytes(400))), "compressed by gzip twice"),
        (b"PK\3\4" + bytes(400), "a zip archive"),
        (b"NRRD0004\n" + bytes(400), "an NRRD file"),
        (bytes(128) + b"DICM" + bytes(300), "a DICOM file"),
    ],
    ids=["gzip twice", "zip", "NRRD", "DICOM"],
)
def test_another_file_is_called_what_it_is(tmp_path, content, what):
    (tmp_path / "a.nii.gz").write_bytes(content)
    refused(f"expected a NIfTI file, got .*{what}", tmp_path / "a.nii.gz")


@pytest.mark.parametrize(
    ("stored", "labels"), [(np.int16, (0, 1, 2)), (np.uint8, (0, 1, 2)), (np.uint8, (0, 3))]
)
def test_labels_that_were_scaled_to_whole_numbers(tmp_path, stored, labels):
    header = nib.Nifti1Header()
    header.set_data_dtype(stored)
    given = np.array(labels, float)[LABELS % len(labels)]
    nib.save(nib.Nifti1Image(given, RAS, header), tmp_path / "a.nii.gz")
    volume = read_labels(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume.source.way.backward(volume.array), given)


@pytest.mark.parametrize(("value", "shown"), [(1.3, "1.3"), (1.02, "1.02"), (2.0150001, r"2\.015")])
def test_labels_between_numbers_are_refused(tmp_path, value, shown):
    given = np.where(LABELS == 1, value, 0).astype(np.float32)
    refused(
        f"expected whole numbers as labels, got {shown};",
        written(tmp_path / "a.nii", given),
        read_labels,
    )


def test_a_label_that_is_too_high_by_a_rounding_is_taken(tmp_path):
    given = np.where(LABELS == 1, 3.004, -0.004).astype(np.float32)
    assert set(np.unique(read_labels(written(tmp_path / "a.nii", given)).array)) == {0, 3}
    given[0, 0, 0] = 3.02
    refused(
        r"expected labels 0 to 3, got -0\.004 to 3\.02",
        written(tmp_path / "a.nii", given),
        read_labels,
    )
