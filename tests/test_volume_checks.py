"""What is refused, and what is read with a warning; each in one line."""

import gzip
import warnings

import nibabel as nib
import numpy as np
import pytest

from renalseg.errors import VolumeError
from renalseg.volume import UnusualImageWarning, Volume, read_grid, read_image, read_labels

IPL = np.array([[0, 0, -0.8, 90], [0, -0.7, 0, 70], [-3, 0, 0, 30], [0, 0, 0, 1]], float)


def ct(low=-1000, high=1000, shape=(4, 5, 6)):
    return np.linspace(low, high, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def saved(tmp_path, array, affine=IPL, name="ct.nii.gz"):
    nib.save(nib.Nifti1Image(np.asarray(array), affine), tmp_path / name)
    return tmp_path / name


def refused(match, path, read=read_image):
    with pytest.raises(VolumeError, match=match) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


def test_missing_file(tmp_path):
    refused("no such file; check the path", tmp_path / "ct.nii.gz")


def test_folder(tmp_path):
    (tmp_path / "ct.nii.gz").mkdir()
    refused("expected an image file, got a folder", tmp_path / "ct.nii.gz")


def test_unknown_suffix(tmp_path):
    refused(r"unknown suffix; expected one of \.nii\.gz, \.nii", tmp_path / "ct.png")


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 7, 2), (5, 6, 7, 1, 3)])
def test_not_3d(tmp_path, shape):
    refused("expected a 3D image, got shape", saved(tmp_path, np.zeros(shape, np.int16)))


def test_2d_mha_and_colour_mha(tmp_path):
    import SimpleITK

    SimpleITK.WriteImage(SimpleITK.Image(5, 6, SimpleITK.sitkInt16), str(tmp_path / "a.mha"))
    refused(r"expected a 3D image, got shape \(5, 6\)", tmp_path / "a.mha")
    colour = SimpleITK.Image([5, 6, 7], SimpleITK.sitkVectorUInt8, 3)
    SimpleITK.WriteImage(colour, str(tmp_path / "b.mha"))
    refused("expected one number per voxel, got 3", tmp_path / "b.mha")


def test_complex_voxels(tmp_path):
    refused("expected one number per voxel", saved(tmp_path, np.zeros((2, 3, 4), np.complex64)))


def test_no_voxels(tmp_path):
    image = nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), IPL)
    raw = bytearray(image.to_bytes())
    raw[44:46] = (0).to_bytes(2, "little")  # dim[2]
    (tmp_path / "ct.nii").write_bytes(raw)
    refused(r"expected voxels, got shape \(4, 0, 6\)", tmp_path / "ct.nii")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("kept", [0, 0.1, 0.9])
def test_truncated(tmp_path, suffix, kept):
    noise = np.random.default_rng(0).integers(-1000, 1000, (20, 30, 40)).astype(np.int16)
    path = tmp_path / f"ct{suffix}"
    Volume(noise, IPL).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    refused("not a whole .*image .*; copy or export it again", path)


def test_damaged_bits(tmp_path):
    # the voxels still decompress, but not to what the checksum at the end says
    path = saved(tmp_path, ct())
    whole = bytearray(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=0))
    whole[-100] ^= 1
    path.write_bytes(whole)
    refused("CRC check failed", path)


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        *((".nii", "NIfTI"), (".nii.gz", "NIfTI"), (".mha", "MetaImage"), (".mhd", "MetaImage")),
        *((".nrrd", "NRRD"), (".nhdr", "NRRD")),
    ],
)
def test_not_an_image(tmp_path, suffix, kind):
    path = tmp_path / f"ct{suffix}"
    path.write_text("This is not an image. " * 100)
    refused(f"expected a {kind} file, got one that begins with b?'This is", path)


def test_missing_data_file(tmp_path):
    Volume(ct(), IPL).save(tmp_path / "ct.mhd")
    (tmp_path / "ct.zraw").unlink()
    refused("not a whole image", tmp_path / "ct.mhd")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinite_voxels(tmp_path, value):
    array = ct()
    array[1, 2, 3] = value
    refused("1 voxels are NaN or infinite", saved(tmp_path, array))
    refused("1 voxels are NaN or infinite", saved(tmp_path, array), read_labels)


def raw_affine(tmp_path, rows):
    """A NIfTI file with the given sform, which nibabel would not write."""
    image = nib.Nifti1Image(ct(), IPL)
    raw = bytearray(image.to_bytes())
    raw[252:256] = np.array([0, 2], "<i2").tobytes()  # qform_code, sform_code
    raw[280:328] = np.asarray(rows, "<f4").tobytes()
    (tmp_path / "ct.nii").write_bytes(raw)
    return tmp_path / "ct.nii"


def test_zero_spacing(tmp_path):
    path = raw_affine(tmp_path, [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]])
    refused(r"expected a spacing above zero, got 1 x 0 x 1 mm", path)
    refused(r"expected a spacing above zero", path, read_grid)


def test_nan_affine(tmp_path):
    path = raw_affine(tmp_path, [[1, 0, 0, np.nan], [0, 1, 0, 0], [0, 0, 1, 0]])
    refused("the affine holds NaN or infinite", path)


def test_flat_affine(tmp_path):
    path = raw_affine(tmp_path, [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]])
    refused("the affine cannot be inverted", path)


@pytest.mark.parametrize(
    ("low", "high", "match"),
    [
        (7, 7, "every voxel is 7"),
        (0, 1, "normalised to 0 to 1;"),
        (0, 255, "normalised to 0 to 255"),
        (-3, 3, "expected HU, which span 100 and more, got -3 to 3"),
        (-1000, 2e5, "expected HU within ±100000"),
        (-2000, -600, "expected soft tissue, got -2000 to -600 HU, which is air"),
    ],
)
def test_no_hu(tmp_path, low, high, match):
    refused(match, saved(tmp_path, ct(low, high)))


@pytest.mark.parametrize(
    ("low", "high", "match"),
    [
        (0, 4095, "no voxel below -200 HU"),
        (-1000, 20_000, "voxels up to 20000 HU, above 10000"),
    ],
)
def test_unusual_hu(tmp_path, low, high, match):
    with pytest.warns(UnusualImageWarning, match=match):
        read_image(saved(tmp_path, ct(low, high)))


@pytest.mark.parametrize("low", [-1024, -2048, -3024])
def test_padding_is_no_problem(tmp_path, low):
    assert read_image(saved(tmp_path, ct(low, 1500))).array.min() == low


def test_unplaced_image_is_read_with_a_warning(tmp_path):
    image = nib.Nifti1Image(ct(), None)
    image.header.set_sform(None, 0)
    nib.save(image, tmp_path / "ct.nii")
    with pytest.warns(UnusualImageWarning, match="neither qform nor sform is set"):
        read_image(tmp_path / "ct.nii")


@pytest.mark.parametrize("kind", ["uint8", "int16", "int32", "float32", "float64"])
def test_labels_of_any_type_become_uint8(tmp_path, kind):
    labels = (np.arange(120).reshape(4, 5, 6) % 4).astype(kind)
    found = read_labels(saved(tmp_path, labels)).array
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, labels)


def test_labels_must_be_whole(tmp_path):
    refused(
        "expected whole numbers as labels, got 1.5",
        saved(tmp_path, np.where(ct() > 0, 1.5, 0).astype(np.float32)),
        read_labels,
    )


@pytest.mark.parametrize("odd", [-1, 4])
def test_labels_must_be_known(tmp_path, odd):
    labels = np.zeros((4, 5, 6), np.int16)
    labels[0, 0, 0] = odd
    refused("expected labels 0 to 3, got", saved(tmp_path, labels), read_labels)


def test_other_labels_on_request(tmp_path):
    labels = np.zeros((4, 5, 6), np.int16)
    labels[0, 0, 0] = 117
    path = saved(tmp_path, labels)
    assert read_labels(path, max_label=None).array.max() == 117
    labels[0, 0, 0] = 256
    refused(
        "expected labels 0 to 255",
        saved(tmp_path, labels),
        lambda p: read_labels(p, max_label=None),
    )


def test_an_empty_mask_is_a_label_map(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not read_labels(saved(tmp_path, np.zeros((4, 5, 6), np.uint8))).array.any()


def test_a_label_map_that_was_not_fetched_is_called_that(tmp_path):
    (tmp_path / "mask.nii.gz").symlink_to("../.git/annex/objects/a/mask.nii.gz")
    with pytest.raises(
        VolumeError, match=r"mask\.nii\.gz: cannot be read \(a link to nothing.*datalad get"
    ):
        read_labels(tmp_path / "mask.nii.gz")
