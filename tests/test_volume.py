"""Volumes: geometry, and the way back to the file."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import renalseg.volume
from renalseg.errors import VolumeError
from renalseg.volume import UnusualImageWarning, Volume, read_grid, read_image, read_labels

SUFFIXES = [".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr"]
#: Spacing 3 x 0.7 x 0.8 mm, stored as KiTS stores it.
IPL = np.array([[0, 0, -0.8, 90], [0, -0.7, 0, 70], [-3, 0, 0, 30], [0, 0, 0, 1]], float)


def ct(shape=(5, 6, 7)):
    """A small CT with distinct voxels from -1000 HU up."""
    return (np.arange(np.prod(shape)).reshape(shape) * 8 - 1000).astype(np.int16)


def tilted(affine, degrees=10):
    """The same grid, turned about the patient's x and z axes."""
    a, b = np.deg2rad([degrees, degrees / 2])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    turned = affine.copy()
    turned[:3] = about_x @ about_z @ affine[:3]
    return turned


def test_public_names():
    assert set(renalseg.volume.__all__) >= {
        "UnusualImageWarning",
        "Volume",
        "read_grid",
        "read_image",
        "read_labels",
    }


def test_spacing_is_slice_row_column():
    assert Volume(ct(), IPL).spacing_mm == pytest.approx((3, 0.7, 0.8))


def test_array_must_have_three_axes():
    with pytest.raises(VolumeError, match=r"3 axes, got shape \(2, 2\)"):
        Volume(np.zeros((2, 2)), IPL)


def test_affine_must_be_canonical():
    with pytest.raises(VolumeError, match=r"expected an affine with axes I-P-L, got R-A-S"):
        Volume(ct(), np.eye(4))


def test_like_refuses_another_shape():
    with pytest.raises(VolumeError, match=r"expected an array of shape \(5, 6, 7\)"):
        Volume(ct(), IPL).like(np.zeros((5, 6, 8)))


def test_same_grid():
    volume = Volume(ct(), IPL)
    shifted = IPL.copy()
    shifted[0, 3] += 0.01
    assert volume.same_grid(Volume(ct() * 0, IPL + 1e-5 * (IPL != 0)))
    assert not volume.same_grid(Volume(ct(), shifted))
    assert not volume.same_grid(Volume(ct((5, 6, 8)), IPL))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("affine", [IPL, tilted(IPL), np.diag([0.8, 0.7, 3, 1])])
def test_every_format_round_trips(tmp_path, suffix, affine):
    path = tmp_path / f"ct{suffix}"
    volume = Volume.from_stored(ct(), affine)
    volume.save(path)
    again = read_image(path)
    assert again.array.dtype == np.int16
    np.testing.assert_array_equal(again.array, volume.array)
    np.testing.assert_allclose(again.affine, volume.affine, atol=1e-5)
    assert again.same_grid(read_grid(path))


@pytest.mark.parametrize("source", SUFFIXES)
@pytest.mark.parametrize("target", SUFFIXES)
def test_result_lies_on_the_source_grid(tmp_path, source, target):
    affine = tilted(np.array([[0, 0.8, 0, 1], [-0.7, 0, 0, 2], [0, 0, 3, 3], [0, 0, 0, 1.0]]))
    Volume.from_stored(ct(), affine).save(tmp_path / f"ct{source}")
    scan = read_image(tmp_path / f"ct{source}")
    scan.like(scan.array > 0).save(tmp_path / f"mask{target}")
    mask = read_labels(tmp_path / f"mask{target}")
    np.testing.assert_allclose(mask.source.affine, affine, atol=1e-5)
    np.testing.assert_array_equal(mask.source.way.backward(mask.array), ct() > 0)


def test_mha_agrees_with_nifti_about_the_patient(tmp_path):
    # the reference is SimpleITK's own reader and writer
    import SimpleITK

    Volume.from_stored(ct(), tilted(np.diag([0.8, 0.7, 3, 1]))).save(tmp_path / "a.nii")
    SimpleITK.WriteImage(SimpleITK.ReadImage(str(tmp_path / "a.nii")), str(tmp_path / "a.mha"))
    nifti, mha = read_image(tmp_path / "a.nii"), read_image(tmp_path / "a.mha")
    assert nifti.same_grid(mha)
    np.testing.assert_array_equal(nifti.array, mha.array)


def test_nifti_geometry_is_kept_bit_for_bit(tmp_path):
    image = nib.Nifti1Image(ct(), None)
    image.header.set_qform(tilted(np.diag([0.8, 0.7, 3, 1])), code=1)
    image.header.set_sform(tilted(np.diag([0.8, 0.7, 3, 1]), 11), code=2)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(
        nib.Nifti1Image(ct(), image.header.get_best_affine(), image.header), tmp_path / "a.nii"
    )
    with pytest.warns(UnusualImageWarning, match=r"place its corners up to 0\.\d+ apart"):
        read_image(tmp_path / "a.nii").save(tmp_path / "b.nii.gz")
    before = nib.load(tmp_path / "a.nii").header
    after = nib.load(tmp_path / "b.nii.gz").header
    for field in (
        "pixdim",
        "qform_code",
        "sform_code",
        "quatern_b",
        "quatern_c",
        "quatern_d",
        "srow_x",
        "srow_y",
        "srow_z",
        "qoffset_x",
        "xyzt_units",
    ):
        np.testing.assert_array_equal(before[field], after[field])


def test_gzip_bytes_are_the_same_every_time(tmp_path):
    Volume(ct(), IPL).save(tmp_path / "a.nii.gz")
    Volume(ct(), IPL).save(tmp_path / "other" / "b.nii.gz")
    first = (tmp_path / "a.nii.gz").read_bytes()
    assert first == (tmp_path / "other" / "b.nii.gz").read_bytes()
    assert first[4:8] == bytes(4)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("bool", "uint8"),
        ("uint8", "uint8"),
        ("int16", "int16"),
        ("int64", "int16"),
        ("float64", "float32"),
        ("float16", "float32"),
    ],
)
def test_stored_type(tmp_path, given, stored):
    Volume(np.ones((2, 2, 2), given), IPL).save(tmp_path / "a.nii")
    assert nib.load(tmp_path / "a.nii").get_data_dtype() == np.dtype(stored)


def test_big_integers_are_stored_whole(tmp_path):
    Volume(np.full((2, 2, 2), 70_000), IPL).save(tmp_path / "a.nii")
    assert nib.load(tmp_path / "a.nii").get_data_dtype() == np.int32


def test_unknown_suffix_is_refused_on_writing(tmp_path):
    with pytest.raises(VolumeError, match=r"a\.img: unknown suffix; expected one of \.nii\.gz"):
        Volume(ct(), IPL).save(tmp_path / "a.img")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nib.Nifti1Image, "to_file_map", fail)
    (tmp_path / "a.nii").write_text("what stood before")
    with pytest.raises(VolumeError, match=r"a\.nii: cannot be written \(No space left"):
        Volume(ct(), IPL).save(tmp_path / "a.nii")
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii"]
    assert (tmp_path / "a.nii").read_text() == "what stood before"


@pytest.mark.parametrize("suffix", [".NII", ".Nii.Gz", ".MHA", ".MHD", ".NRRD", ".NHDR"])
def test_suffix_in_capitals(tmp_path, suffix):
    Volume(ct(), IPL).save(tmp_path / f"CT{suffix}")
    np.testing.assert_array_equal(read_image(tmp_path / f"CT{suffix}").array, ct())


def test_plain_nifti_named_gz_is_read(tmp_path):
    Volume(ct(), IPL).save(tmp_path / "a.nii")
    (tmp_path / "a.nii").rename(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_image(tmp_path / "a.nii.gz").array, ct())


def test_scaled_nifti_is_read_in_hu(tmp_path):
    image = nib.Nifti1Image((ct() + 1024).astype(np.uint16), IPL)
    image.header.set_slope_inter(1, -1024)
    # nibabel divides the scaling out again on writing, so the raw field is set by hand
    raw = bytearray(image.to_bytes())
    raw[116:120] = np.float32(-1024).tobytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(bytes(raw)))
    expected = np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj)
    found = read_image(tmp_path / "a.nii.gz").array
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_one_volume_in_four_dimensions_is_accepted(tmp_path):
    nib.save(nib.Nifti1Image(ct()[..., None], IPL), tmp_path / "a.nii")
    volume = read_image(tmp_path / "a.nii")
    assert volume.shape == (5, 6, 7)
    volume.save(tmp_path / "b.nii")
    assert nib.load(tmp_path / "b.nii").shape == (5, 6, 7)


def test_real_ct(real_data: Path, tmp_path):
    path = real_data / "ct" / "abdomen_3mm.nii.gz"
    scan = read_image(path)
    assert scan.spacing_mm == (3, 3, 3)
    scan.save(tmp_path / "again.nii.gz")
    before, after = nib.load(path), nib.load(tmp_path / "again.nii.gz")
    assert nib.aff2axcodes(after.affine) == ("R", "A", "S")
    np.testing.assert_array_equal(before.affine, after.affine)
    np.testing.assert_array_equal(before.dataobj, after.dataobj)
    # the spine is at the patient's back: bone is denser in the rear half of the array
    bone = scan.array > 300
    rows = scan.shape[1]
    assert bone[:, rows // 2 :].sum() > bone[:, : rows // 2].sum()


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.uint64])
def test_numbers_of_eight_bytes_are_read_in_half_the_memory(tmp_path, dtype):
    labels = (np.arange(5 * 6 * 7) % 4).reshape(5, 6, 7)
    nib.save(nib.Nifti1Image(labels.astype(dtype), IPL, dtype=dtype), tmp_path / "a.nii.gz")
    found = read_labels(tmp_path / "a.nii.gz")
    assert found.array.dtype == np.uint8
    np.testing.assert_array_equal(found.array, labels)


def test_a_number_that_four_bytes_do_not_hold_is_refused_as_a_label(tmp_path):
    labels = np.full((4, 4, 4), 2**40)
    nib.save(nib.Nifti1Image(labels, IPL, dtype=np.int64), tmp_path / "a.nii.gz")
    with pytest.raises(VolumeError, match="expected labels 0 to 3"):
        read_labels(tmp_path / "a.nii.gz")


def test_what_is_read_may_be_written_to(tmp_path):
    for affine in (IPL, np.diag([1.0, 1, 1, 1])):
        nib.save(nib.Nifti1Image(np.ones((4, 5, 6), np.uint8), affine), tmp_path / "a.nii.gz")
        read_labels(tmp_path / "a.nii.gz").array[0] = 2
