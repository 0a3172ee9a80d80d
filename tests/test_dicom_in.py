"""CT series from DICOM."""

import os
import zipfile
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

from dicom_phantom import (
    COMPRESSED,
    ORIENTATIONS,
    PLAIN,
    make_series,
    make_volume,
    stored,
    uid,
    write_series,
)
from renalseg.archive import ZipLimits
from renalseg.errors import VolumeError
from renalseg.volume import Volume
from renalseg.volume.dicom import find_series, is_dicom_source, is_one_study, read_series

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def volume():
    return make_volume()


def labels_of(made):
    """A label in every voxel, different from its neighbours', as stored and as a volume."""
    array = (made.array.astype(int) % 251).astype(np.uint8)
    return array, Volume.from_stored(array, made.affine)


def assert_is(series, made):
    truth = made.truth
    np.testing.assert_array_equal(series.volume.array, truth.array)
    np.testing.assert_allclose(series.volume.affine, truth.affine, atol=1e-6)
    assert series.volume.array.dtype == np.int16


def positions(headers):
    return np.array([header.ImagePositionPatient for header in headers], float)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("multiframe", [False, True])
def test_orientations(tmp_path, volume, orientation, multiframe):
    made = make_series(volume, orientation, multiframe=multiframe)
    write_series(made.datasets, tmp_path)
    series = read_series(tmp_path)
    assert_is(series, made)
    assert series.notes == ()
    assert series.volume.array.flags.c_contiguous


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_labels_land_on_the_images(tmp_path, volume, orientation):
    made = make_series(volume, orientation)
    write_series(made.datasets, tmp_path)
    series = read_series(tmp_path)
    array, labels = labels_of(made)
    on_source = series.on_source(labels)
    assert on_source.dtype == np.uint8
    numbers = [int(header.InstanceNumber) - 1 for header in series.headers]
    np.testing.assert_array_equal(on_source, array[numbers])
    row, column = np.reshape(series.headers[0].ImageOrientationPatient, (2, 3)).astype(float)
    assert np.all(np.diff(positions(series.headers) @ np.cross(row, column)) > 0)


def test_labels_land_on_the_frames_as_they_are_stored(tmp_path, volume):
    made = make_series(volume, multiframe=True)
    image = made.datasets[0]
    shuffled = [5, 0, 7, 1, 3, 2, 6, 4]
    frames = list(image.PerFrameFunctionalGroupsSequence)
    image.PerFrameFunctionalGroupsSequence = [frames[i] for i in shuffled]
    pixels = np.frombuffer(image.PixelData, "<u2").reshape(made.array.shape)
    image.PixelData = pixels[shuffled].tobytes()
    write_series(made.datasets, tmp_path)
    series = read_series(tmp_path)
    assert_is(series, made)
    array, labels = labels_of(made)
    np.testing.assert_array_equal(series.on_source(labels), array[shuffled])
    assert len(series.headers) == 1


def test_labels_on_another_grid_are_refused(tmp_path, volume):
    write_series(make_series(volume).datasets, tmp_path)
    series = read_series(tmp_path)
    moved = volume.affine + np.eye(4)[:, [3]] @ np.ones((1, 4)) * 0.0
    moved[0, 3] += 1
    with pytest.raises(VolumeError, match="expected labels on the grid of series 2"):
        series.on_source(Volume(np.zeros(volume.shape, np.uint8), moved))
    with pytest.raises(VolumeError, match="expected an array of shape"):
        series.on_source(np.zeros((1, 2, 3), np.uint8))


@pytest.mark.parametrize("syntax", [*PLAIN, *COMPRESSED])
@pytest.mark.parametrize("multiframe", [False, True])
def test_transfer_syntaxes_and_rescale_of_each_slice(tmp_path, volume, syntax, multiframe):
    made = make_series(volume, syntax=syntax, multiframe=multiframe, rescale_each=True)
    write_series(made.datasets, tmp_path)
    assert_is(read_series(tmp_path), made)


def test_fractional_rescale_gives_float(tmp_path, volume):
    made = make_series(volume)
    for dataset in made.datasets:
        dataset.RescaleSlope = "0.5"
    write_series(made.datasets, tmp_path)
    series = read_series(tmp_path)
    assert series.volume.array.dtype == np.float32
    np.testing.assert_array_equal(series.volume.array, (made.truth.array + 1024) * 0.5 - 1024)


def test_values_beyond_int16_give_float(tmp_path, volume):
    made = make_series(volume)
    made.datasets[3].PixelData = np.full(made.array[0].shape, 60_000, "<u2").tobytes()
    write_series(made.datasets, tmp_path)
    with pytest.warns(UserWarning, match="voxels up to 58976 HU"):
        series = read_series(tmp_path)
    assert series.volume.array.dtype == np.float32
    assert series.volume.array[4].min() == 58976
    assert series.volume.array[5].min() == made.truth.array[5].min()


@pytest.mark.parametrize("signed", [False, True])
def test_bits_above_those_stored_are_cleared(tmp_path, volume, signed):
    made = make_series(volume)
    for dataset in made.datasets:
        values = np.frombuffer(dataset.PixelData, "<u2").astype(np.int32)
        if signed:
            values -= 1024
            dataset.RescaleIntercept = "0"
        dataset.PixelData = ((values & 0xFFF) | 0xA000).astype("<u2").tobytes()
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.PixelRepresentation = int(signed)
    write_series(made.datasets, tmp_path)
    assert_is(read_series(tmp_path), made)


def smooth(affine, shape):
    """A function of the place in the patient, HU."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(index @ affine[:3, :3].T + affine[:3, 3], -1, 0)
    return np.rint(400 * np.sin(x / 15) + 300 * np.cos(y / 25) + 5 * z).astype(np.int16)


@pytest.mark.parametrize("orientation", ["axial", "reversed", "oblique"])
@pytest.mark.parametrize("degrees", [-22.5, 3, 15])
def test_a_tilted_gantry_is_resampled_upright(tmp_path, orientation, degrees):
    base = make_volume((12, 60, 40), (3.0, 1.0, 1.0))
    affine = make_series(base, orientation, tilt_degrees=degrees).affine
    # the same shape and way, so that its voxels can be drawn where they lie
    made = make_series(base, orientation, tilt_degrees=degrees)
    drawn = smooth(affine, made.array.shape)
    for dataset, plane in zip(made.datasets, drawn, strict=True):
        dataset.PixelData = (plane.astype(np.int32) + 1024).astype("<u2").tobytes()
    write_series(made.datasets, tmp_path)
    series = read_series(tmp_path)
    assert f"lean by {abs(degrees):.3g} degrees" in series.notes[0]
    steps = series.volume.affine[:3, :3]
    gram = steps.T @ steps
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-6)
    source = series.volume.source
    stored_hu = source.way.backward(series.volume.array)
    expected = smooth(source.affine, stored_hu.shape)
    inside = np.zeros(stored_hu.shape, bool)
    for slice_, row, column in series.places:
        inside[slice_, row + 1 : row + 59, column + 1 : column + 39] = True
    assert inside.sum() > 0.9 * made.array.size * 58 / 60 * 38 / 40
    assert np.abs(stored_hu.astype(int) - expected)[inside].max() <= 3
    assert np.all(stored_hu[~inside & (stored_hu != -1024)] > -1100)


@pytest.mark.parametrize("degrees", [-22.5, 15])
def test_labels_of_a_tilted_series_land_voxel_for_voxel(tmp_path, degrees):
    made = make_series(make_volume((12, 60, 40), (3.0, 1.0, 1.0)), tilt_degrees=degrees)
    write_series(made.datasets, tmp_path)
    series = read_series(tmp_path)
    source = series.volume.source
    numbered = np.arange(np.prod(series.volume.shape)).reshape(series.volume.shape)
    on_source = series.on_source(numbered.astype(np.int64))
    # one to one, and each nearest to the voxel's own place
    assert len(np.unique(on_source)) == made.array.size
    index = np.stack(np.unravel_index(on_source, series.volume.shape), axis=-1)
    affine = series.volume.affine
    found = index @ affine[:3, :3].T + affine[:3, 3]
    grid = np.stack(np.meshgrid(*map(np.arange, made.array.shape), indexing="ij"), axis=-1)
    place = grid @ made.affine[:3, :3].T + made.affine[:3, 3]
    assert np.linalg.norm(found - place, axis=-1).max() <= 0.5001
    assert source.affine.shape == (4, 4)


def test_a_gap_is_refused_with_its_place(tmp_path, volume):
    made = make_series(volume)
    write_series([d for i, d in enumerate(made.datasets) if i not in (3, 4)], tmp_path)
    with pytest.raises(VolumeError, match=r"slices are missing between z 25 and z 34 mm, expected"):
        read_series(tmp_path)


def test_a_gap_is_interpolated_where_allowed(tmp_path, volume):
    made = make_series(volume)
    write_series([d for i, d in enumerate(made.datasets) if i not in (3, 4)], tmp_path)
    series = read_series(tmp_path, allow_gaps=True)
    assert series.notes == (
        "slices are missing between z 25 and z 34 mm: interpolated to every 3 mm",
    )
    np.testing.assert_allclose(series.volume.affine, volume.affine, atol=1e-6)
    found = series.volume.array[::-1].astype(float)
    low, high = made.array[2].astype(float), made.array[5].astype(float)
    for i in (0, 1, 2, 5, 6, 7):
        np.testing.assert_array_equal(found[i], made.array[i])
    np.testing.assert_allclose(found[3], low + (high - low) / 3, atol=0.5001)
    np.testing.assert_allclose(found[4], low + (high - low) / 3 * 2, atol=0.5001)
    array, labels = labels_of(made)
    np.testing.assert_array_equal(series.on_source(labels), array[[0, 1, 2, 5, 6, 7]])


def test_many_gaps_are_seen_as_such(tmp_path, volume):
    made = make_series(volume)
    write_series([made.datasets[i] for i in (0, 2, 3, 5, 7)], tmp_path)
    with pytest.raises(VolumeError, match=r"slices are missing .*expected every 3 mm"):
        read_series(tmp_path)
    series = read_series(tmp_path, allow_gaps=True)
    np.testing.assert_allclose(series.volume.affine, volume.affine, atol=1e-6)
    np.testing.assert_array_equal(
        series.volume.array[::-1][[0, 2, 3, 5, 7]], made.array[[0, 2, 3, 5, 7]]
    )


def test_more_gaps_than_slices_are_not_filled(tmp_path, volume):
    made = make_series(volume)
    write_series([made.datasets[i] for i in (0, 1, 7)], tmp_path)
    with pytest.raises(VolumeError, match="more than there are"):
        read_series(tmp_path, allow_gaps=True)


def move(dataset, axis, mm):
    place = [float(x) for x in dataset.ImagePositionPatient]
    place[axis] += mm
    dataset.ImagePositionPatient = [f"{x:.6f}" for x in place]


def test_uneven_slices(tmp_path):
    base = make_volume((9, 20, 24))
    made = make_series(base)
    for number, dataset in enumerate(made.datasets):
        dataset.PixelData = np.full((20, 24), 1000 + 30 * number, "<u2").tobytes()
    move(made.datasets[4], 2, 1.0)
    for number in (5, 6, 7, 8):
        move(made.datasets[number], 2, 1.0)
    # -24 + 30 n HU at z = 19 + 3 n mm, and 1 mm more from slice 4 on
    write_series(made.datasets, tmp_path)
    with pytest.raises(VolumeError, match="slices are unevenly spaced between z 25 and z 29 mm"):
        read_series(tmp_path)
    with pytest.warns(UserWarning, match="no voxel below -200 HU"):
        series = read_series(tmp_path, allow_gaps=True)
    assert "unevenly spaced between" in series.notes[0]
    heights = series.volume.affine[2, 3] - series.volume.spacing_mm[0] * np.arange(9)
    sources = np.array([float(d.ImagePositionPatient[2]) for d in made.datasets])
    expected = np.interp(heights, sources, -24 + 30 * np.arange(9))
    np.testing.assert_allclose(series.volume.array[:, 5, 5], expected, atol=0.51)
    np.testing.assert_allclose([heights[-1], heights[0]], [16, 41])


def test_a_stack_of_rounded_positions_is_even(tmp_path, volume):
    made = make_series(volume)
    for number, dataset in enumerate(made.datasets):
        move(dataset, 2, (-1) ** number * 0.01)
    write_series(made.datasets, tmp_path)
    series = read_series(tmp_path)
    assert series.notes == ()
    np.testing.assert_array_equal(series.volume.array, made.truth.array)
    np.testing.assert_allclose(series.volume.affine, volume.affine, atol=0.02)


def test_what_is_a_little_off_is_told(tmp_path, volume):
    made = make_series(volume)
    move(made.datasets[3], 2, 0.2)
    move(made.datasets[5], 0, 0.05)
    write_series(made.datasets, tmp_path)
    heights, lines = read_series(tmp_path).notes
    assert heights == "slices lie up to 0.17 mm off even distances (at z 28.2)"
    assert "out of line (at z 34)" in lines


@pytest.mark.parametrize("orientation", ["axial", "coronal"])
def test_duplicates_are_refused(tmp_path, volume, orientation):
    made = make_series(volume, orientation)
    again = deepcopy(made.datasets[2])
    again.SOPInstanceUID = uid("another")
    write_series([*made.datasets, again], tmp_path)
    with pytest.raises(VolumeError, match=r"two slices at one place: IM\d+.dcm and IM\d+.dcm at"):
        read_series(tmp_path, allow_gaps=True)


FAULTS = {
    "a slice out of line": (lambda d: move(d[3], 0, 2), "do not lie above one another"),
    "a turned slice": (
        lambda d: setattr(d[3], "ImageOrientationPatient", [1, 0, 0, 0, 0, -1]),
        "is mixed: IM.*has orientation 1, 0, 0, 0, 0, -1, of others 1, 0, 0, 0, 1, 0",
    ),
    "a slice of other pixels": (
        lambda d: setattr(d[3], "PixelSpacing", [1.5, 0.8]),
        "is mixed: IM.*has pixel spacing 1.5, 0.8, of others 1.5, 0.75",
    ),
    "a smaller slice": (lambda d: setattr(d[3], "Rows", 10), "rows x columns: 10 x 24, of others"),
    "a slice that is not rescaled": (
        lambda d: delattr(d[3], "RescaleSlope"),
        "has as rescale to HU: intercept alone, of others slope and intercept",
    ),
    "another frame of reference": (
        lambda d: setattr(d[3], "FrameOfReferenceUID", uid("other")),
        "a frame of reference of its own",
    ),
    "no position": (lambda d: delattr(d[3], "ImagePositionPatient"), "has no ImagePositionPatient"),
    "no number as position": (
        lambda d: setattr(d[3], "ImagePositionPatient", ["1", "NaN", "3"]),
        "expected 3 numbers as ImagePositionPatient, got 1, nan, 3",
    ),
    "half a position": (
        lambda d: setattr(d[3], "ImagePositionPatient", ["1", "2"]),
        "expected 3 numbers as ImagePositionPatient, got 1, 2",
    ),
    "skewed orientation": (
        lambda d: [setattr(one, "ImageOrientationPatient", [1, 0, 0, 0.5, 0.8, 0]) for one in d],
        "no pair of unit vectors at right angles",
    ),
    "no pixels": (lambda d: delattr(d[3], "PixelData"), "has no pixels, or is truncated"),
    "half the pixels": (
        lambda d: setattr(d[3], "PixelData", d[3].PixelData[:100]),
        r"truncated \(expected 960 bytes of pixels, got 100\)",
    ),
    "too many pixels": (
        lambda d: setattr(d[3], "PixelData", d[3].PixelData * 2),
        "holds 1920 bytes of pixels, expected 960",
    ),
    "colour": (lambda d: setattr(d[3], "SamplesPerPixel", 3), "expected one number of 8, 16 or 32"),
    "odd bits": (lambda d: setattr(d[3], "HighBit", 9), "pixels take bits up to 9, 16 of 16"),
    "no HU": (lambda d: [setattr(one, "RescaleIntercept", "99000") for one in d], "±100000"),
    "steep rescale": (lambda d: setattr(d[0], "RescaleSlope", "1e30"), "expected a rescale to HU"),
    "far away": (lambda d: setattr(d[0], "ImagePositionPatient", [0, 0, 1e9]), "lies 1e"),
    "slices far apart": (
        lambda d: [move(one, 2, 1500 * i) for i, one in enumerate(d)],
        "ImagePositionPatient lies 10.5 m away|expected a scan of a patient",
    ),
    "one slice without thickness": (
        lambda d: [delattr(d[0], "SliceThickness"), d.__delitem__(slice(1, None))],
        "one slice alone, and no SliceThickness",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_faults_are_told_in_a_line(tmp_path, volume, fault):
    made = make_series(volume)
    damage, said = FAULTS[fault]
    damage(made.datasets)
    write_series(made.datasets, tmp_path)
    with pytest.raises(VolumeError, match=said) as caught:
        read_series(tmp_path, allow_gaps=True)
    assert str(tmp_path) in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_truncated_file(tmp_path, volume):
    paths = write_series(make_series(volume).datasets, tmp_path)
    whole = paths[2].read_bytes()
    for size in (len(whole) - 1, len(whole) - 400, 900, 500, 140, 100, 0):
        paths[2].write_bytes(whole[:size])
        with pytest.raises(VolumeError, match=paths[2].name):
            read_series(tmp_path)


def test_damaged_compressed_pixels(tmp_path, volume):
    made = make_series(volume, syntax="JPEG-LS")
    image = made.datasets[4]
    image.PixelData = image.PixelData[:60] + bytes(len(image.PixelData) - 60)
    paths = write_series(made.datasets, tmp_path)
    with pytest.raises(VolumeError, match=paths[4].name):
        read_series(tmp_path)


def test_a_slice_alone(tmp_path, volume):
    made = make_series(volume)
    (path,) = write_series(made.datasets[:1], tmp_path)
    series = read_series(path)
    assert series.notes == ("one slice alone, taken to be 3 mm thick",)
    np.testing.assert_array_equal(series.volume.array[0], made.array[0])
    np.testing.assert_allclose(series.volume.spacing_mm, volume.spacing_mm)


def test_one_multi_frame_file(tmp_path, volume):
    made = make_series(volume, "oblique", multiframe=True)
    (path,) = write_series(made.datasets, tmp_path)
    assert is_dicom_source(path)
    assert_is(read_series(path), made)


def zipped(folder, path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder.parent))
    return path


def test_a_zip(tmp_path, volume):
    made = make_series(volume)
    write_series(made.datasets, tmp_path / "scan" / "deep")
    path = zipped(tmp_path / "scan", tmp_path / "scan.zip")
    assert is_dicom_source(path)
    assert_is(read_series(path), made)
    assert [info.slices for info in find_series(path)] == [8]


def test_zips_that_are_not_to_be_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr("renalseg.archive._USUAL", ZipLimits(small_bytes=1 << 20))
    path = tmp_path / "scan.zip"
    path.write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(VolumeError, match="the zip is damaged"):
        read_series(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../out.dcm", b"x")
    with pytest.raises(VolumeError, match="names files outside of its folder"):
        read_series(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(100 << 20))
    with pytest.raises(VolumeError, match="would unpack to 105 MB"):
        read_series(path)
    assert not (tmp_path.parent / "out.dcm").exists()


def test_other_files_are_left_out(tmp_path, volume):
    made = make_series(volume)
    write_series(made.datasets, tmp_path / "a" / "b")
    (tmp_path / "README.txt").write_text("no image")
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "._IM1.dcm").write_bytes(b"of a Mac")
    os.mkfifo(tmp_path / "pipe.dcm")
    (tmp_path / "notes.txt").symlink_to(tmp_path / "nothing")
    (tmp_path / "round").symlink_to(tmp_path)
    series = read_series(tmp_path)
    assert_is(series, made)
    assert series.notes == (f"links to folders are not followed: {tmp_path / 'round'}",)


def test_files_without_preamble(tmp_path, volume):
    made = make_series(volume, syntax="implicit")
    for path in write_series(made.datasets, tmp_path):
        whole = path.read_bytes()
        path.write_bytes(whole[132:])
        path.rename(path.with_suffix(""))
    assert_is(read_series(tmp_path), made)


def test_encrypted_files(tmp_path, volume):
    write_series(make_series(volume).datasets, tmp_path)
    (tmp_path / "IM00000.dcm").write_bytes(bytes.fromhex("308206092a864886f70d010703") + bytes(99))
    with pytest.raises(VolumeError, match="is encrypted"):
        read_series(tmp_path)


def test_no_dicom(tmp_path):
    with pytest.raises(VolumeError, match="no such file or folder"):
        read_series(tmp_path / "nowhere")
    with pytest.raises(VolumeError, match="no DICOM files in it"):
        read_series(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(VolumeError, match="not a DICOM file"):
        read_series(tmp_path / "a.txt")
    (tmp_path / "a.dcm").write_text("text")
    with pytest.raises(VolumeError, match="expected DICOM by its name, got other content"):
        read_series(tmp_path)


def with_type(made, *kind):
    for dataset in made.datasets:
        dataset.ImageType = list(kind)
    return made


@pytest.fixture
def study(tmp_path, volume):
    """Five series: a derived one, a short one, the one to take, a coronal one, an overview."""
    small = make_volume((5, 20, 24))
    write_series(
        with_type(make_series(make_volume((12, 20, 24)), series=3), "DERIVED", "PRIMARY").datasets,
        tmp_path / "derived",
    )
    write_series(make_series(small, series=4).datasets, tmp_path / "short")
    write_series(make_series(volume, series=5).datasets, tmp_path / "right")
    write_series(make_series(volume, "coronal", series=6).datasets, tmp_path / "coronal")
    overview = make_series(make_volume((1, 20, 24)), "coronal", series=1)
    write_series(
        with_type(overview, "ORIGINAL", "PRIMARY", "LOCALIZER").datasets, tmp_path / "overview"
    )
    return tmp_path


def test_the_rule(study):
    found = find_series(study)
    assert [info.number for info in found] == [5, 4, 6, 3, 1]
    assert str(found[0]) == "5 'Portal venous 5' (CT, original axial, 24 x 20 x 8)"
    assert str(found[-1]) == "1 'Portal venous 1' (CT, localiser, 24 x 1 x 20)"
    assert found[0].uid == uid("series", 5)
    assert read_series(study).info.number == 5


def test_a_series_by_number_and_uid(study):
    assert read_series(study, "4").info.slices == 5
    assert read_series(study, uid("series", 3)).info.number == 3
    with pytest.raises(VolumeError, match=r"no series 9; expected one of 5 'Portal"):
        read_series(study, "9")
    with pytest.raises(VolumeError, match=r"expected slices of CT, got 1 .*localiser"):
        read_series(study, "1")


def test_series_that_fit_alike_are_listed(tmp_path, volume):
    write_series(make_series(volume, series=3).datasets, tmp_path / "a")
    write_series(make_series(volume, series=4).datasets, tmp_path / "b")
    with pytest.raises(VolumeError, match=r"2 series fit alike: 3 'Portal.* 4 'Portal.*--series"):
        read_series(tmp_path)
    assert read_series(tmp_path, "4").info.number == 4


def test_two_studies_are_not_chosen_from(tmp_path, volume):
    write_series(make_series(volume, series=3).datasets, tmp_path / "a")
    other = make_series(make_volume((4, 20, 24)), series=4)
    for dataset in other.datasets:
        dataset.StudyInstanceUID = uid("another study")
    write_series(other.datasets, tmp_path / "b")
    with pytest.raises(VolumeError, match="holds 2 studies, expected one"):
        read_series(tmp_path)
    assert read_series(tmp_path, "3").info.number == 3


def test_other_modalities(tmp_path, volume):
    made = make_series(volume)
    for dataset in made.datasets:
        dataset.Modality = "MR"
    write_series(made.datasets, tmp_path)
    with pytest.raises(VolumeError, match=r"expected slices of CT, got 2 .*MR, original axial"):
        read_series(tmp_path)


def test_an_anonymised_series_without_uids(tmp_path, volume):
    made = make_series(volume)
    for dataset in made.datasets:
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "SeriesNumber"):
            setattr(dataset, keyword, None)
    for path in write_series(made.datasets, tmp_path):
        assert path.is_file()
    assert_is(read_series(tmp_path), made)


def test_headers_are_whole_but_for_pixels(tmp_path, volume):
    write_series(make_series(volume).datasets, tmp_path)
    series = read_series(tmp_path)
    assert len(series.headers) == 8
    for header in series.headers:
        assert "PixelData" not in header
        assert header.PatientName == "Phantom^Paula"
        assert header.file_meta.MediaStorageSOPInstanceUID == header.SOPInstanceUID


def test_which_paths_are_dicom(tmp_path, volume):
    assert not is_dicom_source(tmp_path / "scan.nii.gz")
    assert is_dicom_source(tmp_path / "scan.dcm")
    assert is_dicom_source(tmp_path / "scan.zip")
    assert not is_dicom_source(tmp_path)
    write_series(make_series(volume).datasets, tmp_path / "deep" / "deeper")
    assert is_dicom_source(tmp_path)
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    assert is_dicom_source(tmp_path)
    for number in range(8):
        (tmp_path / f"{number}.nii.gz").write_bytes(b"")
    assert not is_dicom_source(tmp_path)  # nine images, eight slices


def test_which_folders_are_one_study(tmp_path, volume):
    one, other = make_series(volume, series=1), make_series(volume, series=2)
    write_series(one.datasets, tmp_path / "a")
    write_series(other.datasets, tmp_path / "b")
    assert is_one_study(tmp_path)
    assert is_one_study(tmp_path / "a")
    for uid_ in (uid("other study"), ""):
        for dataset in other.datasets:
            dataset.StudyInstanceUID = uid_
        write_series(other.datasets, tmp_path / "b")
        assert not is_one_study(tmp_path)
    for file in (tmp_path / "b").iterdir():
        file.write_bytes(file.read_bytes()[:140])
    assert not is_one_study(tmp_path)


def test_save_as_nifti_keeps_the_place(tmp_path, volume):
    import nibabel

    made = make_series(volume, "oblique")
    write_series(made.datasets, tmp_path / "scan")
    read_series(tmp_path / "scan").volume.save(tmp_path / "scan.nii.gz")
    image = nibabel.load(tmp_path / "scan.nii.gz")
    array, affine = stored(volume, "oblique")
    np.testing.assert_allclose(image.affine, affine, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(image.dataobj), array)


def test_a_real_series_equals_simpleitk(real_data: Path):
    import SimpleITK

    folder = real_data / "ct" / "dicom_series"
    series = read_series(folder)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    source = series.volume.source
    np.testing.assert_allclose(source.affine, (LPS @ affine)[:, [2, 1, 0, 3]], atol=1e-9)
    hu = SimpleITK.GetArrayFromImage(image)
    np.testing.assert_array_equal(source.way.backward(series.volume.array), hu)
    assert series.notes == ()
    np.testing.assert_allclose(
        positions(series.headers),
        [image.TransformIndexToPhysicalPoint((0, 0, i)) for i in range(20)],
    )
