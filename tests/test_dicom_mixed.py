"""Series of which not all slices belong together: patients, pictures, passes."""

from copy import deepcopy

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence

from dicom_phantom import make_series, make_volume, uid, write_series
from renalseg.errors import VolumeError
from renalseg.volume.dicom import read_series
from test_dicom_odd import hu, read, refused
from test_dicom_out import GRID, Study, errors_of

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture
def made():
    return make_series(make_volume((6, 20, 24)))


def again(made, **changed):
    """A second series under the same UIDs."""
    others = deepcopy(made.datasets)
    for number, dataset in enumerate(others):
        dataset.SOPInstanceUID = uid("again", number)
        for keyword, value in changed.items():
            setattr(dataset, keyword, value)
    return others


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientID", "P2"), ("PatientName", "Secret^Sam"), ("PatientBirthDate", "19610203")],
)
def test_two_patients_under_one_uid_are_refused_without_their_names(made, tmp_path, keyword, value):
    for dataset in made.datasets[3:]:
        setattr(dataset, keyword, value)
    with pytest.raises(
        VolumeError, match=rf"slices of several patients: .* differ in {keyword}"
    ) as e:
        read(made.datasets, tmp_path)
    assert not any(name in str(e.value) for name in ("Paula", "Sam", "P2", "1961"))


def test_one_patient_spelled_in_several_ways(made, tmp_path):
    made.datasets[1].PatientName = "PHANTOM^PAULA^^"
    made.datasets[2].PatientID = ""
    np.testing.assert_array_equal(hu(read(made.datasets, tmp_path)), made.array)


def test_each_slice_with_a_frame_of_reference_of_its_own(made, tmp_path):
    for number, dataset in enumerate(made.datasets):
        dataset.FrameOfReferenceUID = uid("frame", number)
    series = read(made.datasets, tmp_path)
    np.testing.assert_array_equal(hu(series), made.array)
    (note,) = series.notes
    assert "a frame of reference of its own, though positions make one stack" in note


def test_results_name_one_frame_of_reference(tmp_path):
    study = Study(make_volume(**GRID))
    for number, dataset in enumerate(study.headers):
        dataset.FrameOfReferenceUID = uid("frame", number)
    written = study.write(tmp_path)
    assert written["seg"].FrameOfReferenceUID == uid("frame", 0)
    assert {kind: errors_of(tmp_path / f"{kind}.dcm") for kind in written} == {
        kind: [] for kind in written
    }


def test_frames_of_reference_that_say_nothing_do_not_excuse_a_gap(made, tmp_path):
    for number, dataset in enumerate(made.datasets):
        dataset.FrameOfReferenceUID = uid("frame", number)
    refused([*made.datasets[:2], *made.datasets[3:]], tmp_path, "are missing", allow_gaps=True)


def test_two_frames_of_reference_are_two_scans(made, tmp_path):
    for dataset in made.datasets[3:]:
        dataset.FrameOfReferenceUID = uid("other frame")
    refused(made.datasets, tmp_path, "a frame of reference of its own")


def screen_save(dataset, *image_type, sop_class=SECONDARY_CAPTURE):
    picture = deepcopy(dataset)
    picture.SOPClassUID = picture.file_meta.MediaStorageSOPClassUID = sop_class
    picture.SOPInstanceUID = uid("picture")
    picture.ImageType = list(image_type)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient"):
        del picture[keyword]
    return picture


@pytest.mark.parametrize(
    ("image_type", "sop_class", "kind"),
    [
        (("DERIVED", "SECONDARY", "SCREEN SAVE"), SECONDARY_CAPTURE, "screen save"),
        (("DERIVED", "SECONDARY"), SECONDARY_CAPTURE, "secondary capture"),
        (("ORIGINAL", "PRIMARY", "LOCALIZER"), "1.2.840.10008.5.1.4.1.1.2", "localizer"),
        (("DERIVED", "SECONDARY"), "1.2.840.10008.5.1.4.1.1.2", "image without a place"),
    ],
)
def test_pictures_in_a_series_are_left_out_by_name(made, tmp_path, image_type, sop_class, kind):
    write_series(made.datasets, tmp_path)
    picture = screen_save(made.datasets[0], *image_type, sop_class=sop_class)
    write_series([picture], tmp_path, "PICTURE")
    series = read_series(tmp_path)
    np.testing.assert_array_equal(hu(series), made.array)
    (note,) = series.notes
    assert "left out of the series" in note
    assert f"PICTURE00031.dcm ({kind})" in note


def test_raw_data_of_a_scanner_is_no_truncated_slice(made, tmp_path):
    write_series(made.datasets, tmp_path)
    raw = deepcopy(made.datasets[0])
    raw.SOPClassUID = raw.file_meta.MediaStorageSOPClassUID = "1.3.12.2.1107.5.9.1"
    for keyword in ("PixelData", "Rows", "Columns"):
        del raw[keyword]
    write_series([raw], tmp_path, "RAW")
    assert "RAW00031.dcm (no image)" in read_series(tmp_path).notes[0]


# passes


def moved(datasets, mm):
    for dataset in datasets:
        x, y, z = map(float, dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [x, y, z + mm]
    return datasets


def second_pass(made, mm=0.0, **changed):
    others = moved(again(made, **changed), mm)
    for dataset in others:
        pixels = np.frombuffer(dataset.PixelData, "<u2")
        dataset.PixelData = pixels[::-1].tobytes()
    return others


def both_ways(datasets, made, second, folder, told):
    refused(datasets, folder, rf"2 passes over the same places: 1 \({told}.*--series 2:1")
    refused(datasets, folder, "2 passes", allow_gaps=True)
    first = read_series(folder, "2:1")
    np.testing.assert_array_equal(hu(first), made.array)
    other = read_series(folder, "2:2")
    pixels = [np.frombuffer(d.PixelData, "<u2").reshape(20, 24) for d in second]
    np.testing.assert_array_equal(hu(other), np.stack(pixels).astype(int) - 1024)
    assert f"pass 2 of 2 in this series ({told} " in " ".join(other.notes)
    assert other.info.slices == len(second) == len(other.headers)
    with pytest.raises(VolumeError, match="there is no pass 3"):
        read_series(folder, "2:3")


@pytest.mark.parametrize("mm", [0.0, 1.5, 10.5])
@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("AcquisitionNumber", 2),
        ("TemporalPositionIdentifier", 2),
        ("AcquisitionTime", "030455"),
        ("ContentTime", "030455"),
        ("ConvolutionKernel", "B60f"),
    ],
)
def test_two_passes_are_told_apart_and_never_mixed(made, tmp_path, mm, keyword, value):
    second = second_pass(made, mm, **{keyword: value})
    for dataset in made.datasets:
        if keyword not in dataset:
            setattr(dataset, keyword, "1" if keyword != "ConvolutionKernel" else "B30f")
    both_ways([*made.datasets, *second], made, second, tmp_path, keyword)


@pytest.mark.parametrize("mm", [0.0, 1.5])
@pytest.mark.parametrize("keyword", ["InstanceNumber", "AcquisitionTime"])
def test_passes_are_told_apart_by_the_order_of_their_slices(made, tmp_path, keyword, mm):
    second = second_pass(made, mm)
    for number, dataset in enumerate([*made.datasets, *second]):
        setattr(dataset, keyword, f"{101000 + number}")
    both_ways([*made.datasets, *second], made, second, tmp_path, f"from {keyword}")


def test_a_series_without_passes_has_one(made, tmp_path):
    for number, dataset in enumerate(made.datasets):
        dataset.AcquisitionNumber = number // 2
    assert read(made.datasets, tmp_path, series="2:1").info.slices == 6
    with pytest.raises(VolumeError, match="no pass 2, it has one"):
        read_series(tmp_path, "2:2")


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_slices_without_any_mark_are_one_pass(made, tmp_path, count):
    for dataset in made.datasets[1:]:
        for keyword in ("AcquisitionNumber", "AcquisitionTime", "ContentTime", "InstanceNumber"):
            del dataset[keyword]
    series = read(made.datasets[:count], tmp_path)
    np.testing.assert_array_equal(hu(series), made.array[:count])


def test_stations_that_do_not_overlap_are_no_passes(made, tmp_path):
    for dataset in moved(made.datasets[3:], 30):
        dataset.AcquisitionNumber = 2
    refused(made.datasets, tmp_path, "slices are missing between")


def test_phases_in_the_frames_of_one_file_are_named(tmp_path):
    image = make_series(make_volume((6, 20, 24)), multiframe=True).datasets[0]
    frames = deepcopy(list(image.PerFrameFunctionalGroupsSequence))
    for number, frame in enumerate(frames):
        content = Dataset()
        content.TemporalPositionIndex = 1 + number // 3
        frame.FrameContentSequence = Sequence([content])
        frame.PlanePositionSequence = frames[number % 3].PlanePositionSequence
    image.PerFrameFunctionalGroupsSequence = frames
    line = r"2 passes .*TemporalPositionIdentifier 1, 3 slices.*in the frames of one file"
    refused([image], tmp_path, line)
