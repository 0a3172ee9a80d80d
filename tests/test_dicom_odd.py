"""DICOM as people have it: odd headers that are read right, or refused in one line."""

import io
import struct
from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_phantom import make_series, make_volume, uid, write_series
from renalseg.errors import VolumeError
from renalseg.volume.dicom import read_series
from renalseg.volume.dicom.encoding import encoding_of
from renalseg.volume.dicom.padding import AIR_HU, as_air

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture
def made():
    return make_series(make_volume((6, 20, 24)))


def hu(series):
    """HU as the images store them."""
    return series.volume.source.way.backward(series.volume.array)


def read(datasets, folder, *, series=None, allow_gaps=False):
    write_series(datasets, folder)
    return read_series(folder, series, allow_gaps)


def refused(datasets, folder, line, **more):
    with pytest.raises(VolumeError, match=line) as caught:
        read(datasets, folder, **more)
    assert str(caught.value).isprintable()


# from stored values to HU


def test_an_intercept_alone_has_a_slope_of_one(made, tmp_path):
    for dataset in made.datasets:
        del dataset.RescaleSlope
    series = read(made.datasets, tmp_path)
    np.testing.assert_array_equal(hu(series), made.array)
    assert series.notes == ("the headers have no RescaleSlope: taken as 1",)


def test_a_slope_alone_has_an_intercept_of_zero(made, tmp_path):
    for dataset, plane in zip(made.datasets, made.array, strict=True):
        dataset.PixelData, dataset.PixelRepresentation = (plane // 2).tobytes(), 1
        dataset.RescaleSlope = "2"
        del dataset.RescaleIntercept
    series = read(made.datasets, tmp_path)
    np.testing.assert_array_equal(hu(series), made.array // 2 * 2)
    assert series.notes == ("the headers have no RescaleIntercept: taken as 0",)


def test_no_rescale_at_all_is_told(made, tmp_path):
    for dataset, plane in zip(made.datasets, made.array, strict=True):
        dataset.PixelData, dataset.PixelRepresentation = plane.tobytes(), 1
        del dataset.RescaleSlope, dataset.RescaleIntercept
    series = read(made.datasets, tmp_path)
    np.testing.assert_array_equal(hu(series), made.array)
    assert series.notes == ("the headers have no rescale to HU: stored values are taken as HU",)


@pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
@pytest.mark.parametrize(
    ("value", "line"),
    [("", "is empty"), (None, "is empty"), ("1\\2", "expected 1 numbers"), ("x", "cannot be read")],
)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_a_rescale_without_a_number_is_refused_by_its_tag(made, tmp_path, keyword, value, line):
    for dataset in made.datasets:
        dataset.add_new(keyword, "LO", value)
        dataset[keyword].VR = "LO"
    refused(made.datasets, tmp_path, rf"{keyword}.*{line}|{line}.*{keyword}")


def with_table(dataset, values, first=0, syntax="explicit", bits=16):
    item = Dataset()
    kind = "SS" if dataset.PixelRepresentation else "US"
    item.add_new("LUTDescriptor", kind, [len(values) % 65536, first, bits])
    item.ModalityLUTType = "HU"
    item.add_new(
        "LUTData", "OW", np.asarray(values).astype("<u2" if bits == 16 else "u1").tobytes()
    )
    dataset.ModalityLUTSequence = Sequence([item])
    if syntax == "implicit":
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
def test_a_modality_lut_in_place_of_both_is_applied(made, tmp_path, syntax):
    curve = np.arange(4096) - 1024 + np.arange(4096) % 3  # no straight line; two's complement
    expected = np.stack(
        [curve[np.frombuffer(d.PixelData, "<u2")].reshape(20, 24) for d in made.datasets]
    )
    for dataset in made.datasets:
        del dataset.RescaleSlope, dataset.RescaleIntercept
        with_table(dataset, curve & 0xFFFF, syntax=syntax)
    series = read(made.datasets, tmp_path)
    np.testing.assert_array_equal(hu(series), expected)
    assert series.notes == ("HU come from the headers' Modality LUT",)


def test_a_table_goes_on_at_its_ends_and_may_begin_below_zero(made, tmp_path):
    curve = np.arange(-500, 500) // 2 * 2
    for dataset, plane in zip(made.datasets, made.array, strict=True):
        dataset.PixelData, dataset.PixelRepresentation = plane.tobytes(), 1
        del dataset.RescaleSlope, dataset.RescaleIntercept
        with_table(dataset, curve & 0xFFFF, first=-500)
    series = read(made.datasets, tmp_path)
    np.testing.assert_array_equal(hu(series), np.clip(made.array, -500, 499) // 2 * 2)


def test_beside_a_rescale_the_table_is_not_used(made, tmp_path):
    for dataset in made.datasets:
        with_table(dataset, np.zeros(4096))
    series = read(made.datasets, tmp_path)
    np.testing.assert_array_equal(hu(series), made.array)
    assert "the rescale is used" in series.notes[0]


def test_a_damaged_table_is_refused(made, tmp_path):
    for dataset in made.datasets:
        del dataset.RescaleSlope, dataset.RescaleIntercept
        with_table(dataset, np.zeros(4096))
        dataset.ModalityLUTSequence[0].LUTData = bytes(100)
    refused(made.datasets, tmp_path, "its Modality LUT has 50 entries of 16 bits, expected 4096")


def test_values_that_are_not_hu_are_told(made, tmp_path):
    for dataset in made.datasets:
        dataset.RescaleType = "Z_EFF"
    assert "values are Z_EFF, not HU" in read(made.datasets, tmp_path).notes[0]


# padding


def pad(made, word, *, tag, kind, signed=False, intercept=None):
    """Corners outside the field of view, and the tag that names them."""
    for dataset, plane in zip(made.datasets, made.array, strict=True):
        shift = 0 if signed else 1024
        words = ((plane.astype(int) + shift) & 0xFFFF).astype(np.uint16)
        words[:5, :5] = word & 0xFFFF
        dataset.PixelData, dataset.PixelRepresentation = words.tobytes(), int(signed)
        dataset.RescaleIntercept = str(-shift if intercept is None else intercept)
        if kind is not None:
            dataset.add_new("PixelPaddingValue", kind, tag)


@pytest.mark.parametrize("tag_kind", ["SS", "US"])
@pytest.mark.parametrize("signed", [False, True])
def test_padding_never_wraps(made, tmp_path, tag_kind, signed):
    tag = -2000 if tag_kind == "SS" else 63536
    pad(made, -2000, tag=tag, kind=tag_kind, signed=signed)
    series = read(made.datasets, tmp_path)
    expected = made.array.copy()
    expected[:, :5, :5] = -2000 if signed else AIR_HU  # as stored, where that is air
    np.testing.assert_array_equal(hu(series), expected)
    assert series.volume.array.dtype == np.int16
    told = ("padding that would lie above air is read as -1024 HU",)
    assert series.notes == (() if signed else told)


def test_padding_beyond_the_stored_bits_is_no_bone(made, tmp_path):
    pad(made, -2000, tag=63536, kind="US")
    for dataset in made.datasets:
        dataset.BitsStored, dataset.HighBit = 12, 11
    series = read(made.datasets, tmp_path)
    assert np.all(hu(series)[:, :5, :5] == AIR_HU)
    np.testing.assert_array_equal(hu(series)[:, 5:], made.array[:, 5:])


def test_a_range_of_padding(made, tmp_path):
    pad(made, -1999, tag=63530, kind="US")
    for dataset in made.datasets:
        dataset.PixelPaddingRangeLimit = 63540
    assert np.all(hu(read(made.datasets, tmp_path))[:, :5, :5] == AIR_HU)


def test_padding_among_tissue_is_air_at_the_border_alone():
    plane = np.full((9, 9), 50, np.int32)
    plane[:2, :2] = plane[5, 5] = 0
    assert as_air(plane, plane == 0)
    assert np.all(plane[:2, :2] == AIR_HU)
    assert plane[5, 5] == 0


def test_padding_does_not_hide_a_lost_offset(made, tmp_path):
    for dataset, plane in zip(made.datasets, made.array, strict=True):
        words = (plane.astype(int) + 1024).astype(np.int16)
        words[:5, :5] = -2000
        dataset.PixelData, dataset.PixelRepresentation = words.tobytes(), 1
        dataset.add_new("PixelPaddingValue", "SS", -2000)
        del dataset.RescaleIntercept
    notes = read(made.datasets, tmp_path).notes
    assert any("no voxel below 24 HU but padding" in note for note in notes)


# how it is encoded


def encoded(dataset, written, announced):
    """A file whose data set is written in one syntax, and whose meta names another."""
    dataset = deepcopy(dataset)
    dataset.file_meta.TransferSyntaxUID = written
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    content = stream.getvalue()
    start = 144 + struct.unpack("<I", content[140:144])[0]
    dataset.file_meta.TransferSyntaxUID = announced
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    head = stream.getvalue()
    return head[: 144 + struct.unpack("<I", head[140:144])[0]] + content[start:]


@pytest.mark.parametrize(
    ("written", "announced"),
    [
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
    ],
)
@pytest.mark.parametrize("multiframe", [False, True])
def test_what_is_written_counts_and_not_what_is_announced(tmp_path, written, announced, multiframe):
    made = make_series(make_volume((6, 20, 24)), multiframe=multiframe)
    for number, dataset in enumerate(made.datasets):
        (tmp_path / f"{number}.dcm").write_bytes(encoded(dataset, written, announced))
    series = read_series(tmp_path)
    np.testing.assert_array_equal(hu(series), made.array)
    assert series.notes == ()
    assert str(series.headers[0].PatientName) == "Phantom^Paula"


def test_big_endian_that_is_little(made, tmp_path):
    """What is announced is wrong in both: numbers and VR."""
    for number, dataset in enumerate(made.datasets):
        content = encoded(dataset, ImplicitVRLittleEndian, ExplicitVRLittleEndian)
        content = content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0", 1)
        (tmp_path / f"{number}.dcm").write_bytes(content)
    np.testing.assert_array_equal(hu(read_series(tmp_path)), made.array)


def test_old_ge_files_have_big_endian_pixels(made, tmp_path):
    for number, dataset in enumerate(made.datasets):
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        content = encoded(dataset, ImplicitVRLittleEndian, ExplicitVRLittleEndian)
        content = content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.113619.5.2\0\0", 1)
        (tmp_path / f"{number}.dcm").write_bytes(content)
    np.testing.assert_array_equal(hu(read_series(tmp_path)), made.array)


@given(st.binary(max_size=300))
def test_any_beginning_has_an_encoding_or_none(content):
    encoding = encoding_of(bytes(128) + b"DICM" + content)
    assert encoding is None or encoding.start >= 132


@pytest.mark.parametrize("kind", ["OB", "UN"])
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_pixels_of_another_vr(made, tmp_path, kind):
    for path in write_series(made.datasets, tmp_path):
        content = path.read_bytes()
        path.write_bytes(
            content.replace(b"\xe0\x7f\x10\x00OW", b"\xe0\x7f\x10\x00" + kind.encode())
        )
    np.testing.assert_array_equal(hu(read_series(tmp_path)), made.array)


def test_floating_point_pixels_are_called_that(made, tmp_path):
    for dataset in made.datasets:
        dataset.FloatPixelData = np.zeros(480, np.float32).tobytes()
        del dataset.PixelData
    refused(made.datasets, tmp_path, "its pixels are floating-point numbers")


# what does not belong together


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
