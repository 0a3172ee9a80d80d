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

from dicom_phantom import make_series, make_volume, write_series
from renalseg.errors import VolumeError
from renalseg.volume.dicom import read_series
from renalseg.volume.dicom.encoding import encoding_of
from renalseg.volume.dicom.padding import AIR_HU, as_air


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
