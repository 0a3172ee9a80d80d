"""Every transfer syntax that is offered can be read, and what cannot be read is not offered."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    AllTransferSyntaxes,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicom_phantom import CT_IMAGE, ENHANCED_CT_IMAGE, make_series, make_volume, write_series
from renalseg.errors import VolumeError
from renalseg.volume.dicom import read_series
from renalseg.volume.dicom.decoder import Decoder, PixelFormat
from renalseg.volume.dicom.syntaxes import COMPRESSED, READABLE

#: How the phantom makes them.
LOSSLESS = {
    ExplicitVRLittleEndian: "explicit",
    ImplicitVRLittleEndian: "implicit",
    ExplicitVRBigEndian: "big endian",
    JPEGLosslessSV1: "JPEG",
    JPEG2000Lossless: "JPEG2000",
    JPEGLSLossless: "JPEG-LS",
    RLELossless: "RLE",
}
#: Each of these has the streams of another among its own.
CONTAINING = {
    "1.2.840.10008.1.2.4.57": "JPEG",  # any predictor, the first among them
    "1.2.840.10008.1.2.4.81": "JPEG-LS",  # losses of 0 and more
    "1.2.840.10008.1.2.4.91": "JPEG2000",  # lossless ones too
}
EIGHT_BITS = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")


@pytest.fixture(scope="module")
def volume():
    return make_volume((3, 20, 24))


def baseline(dataset, syntax):
    """The same slice in 8 bits, as baseline JPEG."""
    values = np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns)
    stream = BytesIO()
    Image.fromarray((values // 8).astype(np.uint8)).save(stream, "JPEG", quality=100)
    dataset.PixelData = encapsulate([stream.getvalue()])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.RescaleSlope = "8"


@pytest.mark.parametrize("syntax", READABLE)
def test_every_syntax_that_is_offered_is_read(tmp_path, volume, syntax):
    worst_hu = 0
    if syntax in EIGHT_BITS:
        made, worst_hu = make_series(volume), 8 + 2 * 8  # of rounding, and of JPEG
        for dataset in made.datasets:
            baseline(dataset, syntax)
    else:
        made = make_series(volume, syntax=CONTAINING.get(syntax) or LOSSLESS[syntax])
        for dataset in made.datasets:
            dataset.file_meta.TransferSyntaxUID = syntax
    write_series(made.datasets, tmp_path)
    apart = read_series(tmp_path).volume.array.astype(int) - made.truth.array
    assert np.abs(apart).max() <= worst_hu


def test_twelve_bits_of_extended_jpeg_are_read():
    image = dcmread(get_testdata_file("JPGExtended.dcm"))
    assert image.BitsStored == 12
    assert image.file_meta.TransferSyntaxUID == EIGHT_BITS[1]
    pixels = PixelFormat(image.Rows, image.Columns, 16, 12, False, EIGHT_BITS[1])
    with Decoder() as decoder:
        values = decoder.decode(next(generate_frames(image.PixelData, number_of_frames=1)), pixels)
    # as dcmdjpeg of DCMTK 3.6.7 decodes it
    assert (values.min(), values.max(), values.sum(dtype=int)) == (0, 264, 3767007)


@pytest.mark.parametrize(
    "syntax", [uid for uid in AllTransferSyntaxes if uid not in READABLE], ids=lambda uid: uid.name
)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_what_is_not_offered_is_refused_by_name(tmp_path, volume, syntax):
    made = make_series(volume, syntax="JPEG2000")
    for dataset in made.datasets:
        dataset.file_meta.TransferSyntaxUID = syntax
    write_series(made.datasets, tmp_path)
    with pytest.raises(
        VolumeError, match=r"deflated DICOM is not read|transfer syntax, .*, is not"
    ):
        read_series(tmp_path)


def test_the_node_offers_for_ct_what_is_read_and_nothing_deflated():
    pytest.importorskip("pynetdicom", reason="pynetdicom is not installed (extra pacs)")
    from renalseg.pacs.receive import offered

    contexts = dict(offered())
    assert contexts[CT_IMAGE] == contexts[ENHANCED_CT_IMAGE] == list(READABLE)
    assert set(COMPRESSED) < set(READABLE)
    segmentation = contexts["1.2.840.10008.5.1.4.1.1.66.4"]
    assert ExplicitVRLittleEndian in segmentation
    for syntaxes in contexts.values():
        assert "1.2.840.10008.1.2.1.99" not in syntaxes
