"""Enhanced CT of one series in several files: read as one, and what results say of it."""

import numpy as np
import pytest
from pydicom import dcmread

from dicom_phantom import make_series, make_volume, split_frames, uid, write_series
from renalseg.dicom import write_segmentation
from renalseg.errors import VolumeError
from renalseg.volume.dicom import read_series
from test_dicom_out import GRID, Study, errors_of, make_labels

SIZES = (5, 3, 4)


@pytest.fixture(scope="module")
def made():
    return make_series(make_volume((12, 20, 24)), "oblique", multiframe=True, rescale_each=True)


@pytest.mark.parametrize("concatenation", [True, False])
def test_the_parts_are_one_volume(tmp_path, made, concatenation):
    parts = split_frames(made.datasets[0], SIZES, concatenation=concatenation)
    write_series(parts, tmp_path)
    series = read_series(tmp_path)
    np.testing.assert_array_equal(series.volume.array, made.truth.array)
    assert series.notes == ()
    assert series.info.slices == 12
    assert [header.SOPInstanceUID for header in series.headers] == [p.SOPInstanceUID for p in parts]
    numbered = made.array.astype(np.int64)  # noise: no two frames are alike
    on_source = series.on_source(series.volume.array.astype(np.int64))
    np.testing.assert_array_equal(on_source, numbered)


def test_frames_of_two_files_may_lie_between_one_another(tmp_path, made):
    image = made.datasets[0]
    order = [*range(0, 12, 2), *range(1, 12, 2)]
    groups = list(image.PerFrameFunctionalGroupsSequence)
    pixels = np.frombuffer(image.PixelData, "<u2").reshape(made.array.shape)
    shuffled = split_frames(image, (12,), concatenation=False)[0]
    shuffled.PerFrameFunctionalGroupsSequence = [groups[i] for i in order]
    shuffled.PixelData = pixels[order].tobytes()
    write_series(split_frames(shuffled, (6, 6)), tmp_path)
    series = read_series(tmp_path)
    np.testing.assert_array_equal(series.volume.array, made.truth.array)
    on_source = series.on_source(series.volume.array)
    np.testing.assert_array_equal(on_source, made.array[order])


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_missing_part_is_named(tmp_path, made, missing):
    parts = split_frames(made.datasets[0], SIZES)
    del parts[missing]
    write_series(parts, tmp_path)
    line = rf"split over 3 files, and part {missing + 1} is missing: got IM\d+.dcm \(part \d of 3\)"
    with pytest.raises(VolumeError, match=line):
        read_series(tmp_path)


def test_one_part_alone_is_no_scan(tmp_path, made):
    parts = split_frames(made.datasets[0], SIZES)
    (path, *_) = write_series(parts, tmp_path)
    with pytest.raises(VolumeError, match=r"parts 2, 3 are missing: got .* \(part 1 of 3\)"):
        read_series(path)


def test_frames_are_counted_where_parts_are_not(tmp_path, made):
    parts = split_frames(made.datasets[0], SIZES)
    for part in parts:
        del part.InConcatenationTotalNumber
    paths = write_series(parts, tmp_path)
    assert "do not say of how many parts" in read_series(tmp_path).notes[0]
    parts[1].InConcatenationNumber = 3
    parts[2].InConcatenationNumber = 2
    parts[2].save_as(paths[2])
    paths[1].unlink()
    with pytest.raises(VolumeError, match="frames 6 to 8 are missing"):
        read_series(tmp_path)


def test_parts_without_a_word_that_leave_a_gap_are_refused(tmp_path, made):
    parts = split_frames(made.datasets[0], SIZES, concatenation=False)
    write_series([parts[0], parts[2]], tmp_path)
    with pytest.raises(VolumeError, match="slices are missing between"):
        read_series(tmp_path)


def test_single_and_multi_frame_files_are_not_mixed(tmp_path, made):
    single = make_series(make_volume((12, 20, 24)), "oblique", rescale_each=True).datasets[:2]
    for number, one in enumerate(single):
        one.SOPInstanceUID = uid("single", number)
    write_series([*made.datasets, *single], tmp_path)
    with pytest.raises(VolumeError, match=r"files of one frame \(IM.*\) and of many \(IM"):
        read_series(tmp_path)


@pytest.mark.parametrize("empty", [False, True], ids=["kidneys", "empty"])
def test_results_of_a_split_series_are_valid(tmp_path, empty):
    study = Study(make_volume(**GRID), "mirrored", empty=empty, multiframe=True)
    study.headers = split_frames(study.headers[0], SIZES)
    written = study.write(tmp_path)
    assert {kind: errors_of(tmp_path / f"{kind}.dcm") for kind in written} == {
        kind: [] for kind in written
    }


def test_each_frame_of_a_segmentation_names_its_part(tmp_path):
    volume = make_volume(**GRID)
    made = make_series(volume, multiframe=True)
    parts = split_frames(made.datasets[0], SIZES)
    write_series(parts, tmp_path / "ct")
    series = read_series(tmp_path / "ct")
    labels = series.on_source(make_labels(volume))
    write_segmentation(labels, series.headers, tmp_path / "seg.dcm")
    seg = dcmread(tmp_path / "seg.dcm")
    (referenced,) = seg.ReferencedSeriesSequence
    uids = [part.SOPInstanceUID for part in parts]
    assert [r.ReferencedSOPInstanceUID for r in referenced.ReferencedInstanceSequence] == uids
    places = {
        (part.SOPInstanceUID, number): frame.PlanePositionSequence[0].ImagePositionPatient
        for part in parts
        for number, frame in enumerate(part.PerFrameFunctionalGroupsSequence, start=1)
    }
    named = set()
    for frame in seg.PerFrameFunctionalGroupsSequence:
        (image,) = frame.DerivationImageSequence[0].SourceImageSequence
        key = image.ReferencedSOPInstanceUID, int(image.ReferencedFrameNumber)
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose([float(x) for x in place], [float(x) for x in places[key]])
        named.add(key[0])
    assert named == set(uids)
