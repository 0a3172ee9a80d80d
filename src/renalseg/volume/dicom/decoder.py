"""Compressed pixels, decoded in a process of their own.

The decoders (SimpleITK's GDCM: JPEG, JPEG-LS, JPEG 2000, RLE) are written in C and C++, and a
damaged image can kill them. There it kills nothing else, and a frame that takes too long ends.

A request is a line of JSON and the compressed frame; the answer a line of JSON and the pixels.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from renalseg.types import AnyArray

#: A frame takes a hundredth of a second.
_MOST_SECONDS = 60


class UndecodableError(Exception):
    """A frame's bytes are no image, or none of the size that its header says."""


@dataclass(frozen=True)
class PixelFormat:
    """How the pixels of an image are stored, in the words of its header.

    Attributes:
        rows: Rows.
        columns: Columns.
        bits_allocated: Bits that each pixel takes.
        bits_stored: Bits of them that hold its value.
        is_signed: Pixel Representation.
        transfer_syntax: UID.
    """

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    is_signed: bool
    transfer_syntax: str


class Decoder:
    """Decodes frames; to be used in a ``with`` statement."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start nothing yet: most series are not compressed."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def decode(self, frame: bytes, pixels: PixelFormat) -> AnyArray:
        """The stored values of a frame: rows x columns.

        Raises:
            UndecodableError: The frame is damaged.
        """
        if self._process is None:
            self._process = _start()
        to, of = self._process.stdin, self._process.stdout
        assert to is not None
        assert of is not None
        try:
            to.write(json.dumps({**asdict(pixels), "bytes": len(frame)}).encode() + b"\n" + frame)
            to.flush()
            answer = json.loads(of.readline() or b'{"problem": "the decoder gave up"}')
            content = b"" if "problem" in answer else of.read(answer["bytes"])
        except BrokenPipeError:
            answer = {"problem": "the decoder gave up"}
        if "problem" in answer:
            raise UndecodableError(answer["problem"])
        array = np.frombuffer(content, answer["dtype"])
        if array.size != pixels.rows * pixels.columns:
            raise UndecodableError(f"got {array.size} pixels")
        return array.reshape(pixels.rows, pixels.columns)


def _start() -> "subprocess.Popen[bytes]":
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        # -P: whatever lies in the working folder is not imported
        [sys.executable, "-P", "-m", "renalseg.volume.dicom.decoder"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths},
    )


def _serve(requests: IO[bytes], answers: IO[bytes], folder: Path) -> None:
    """Answer until nobody asks any more."""
    import signal

    while line := requests.readline():
        request = json.loads(line)
        frame = requests.read(request.pop("bytes"))
        if hasattr(signal, "alarm"):
            signal.alarm(_MOST_SECONDS)  # ends this process, wherever it hangs
        try:
            array = _decode(frame, PixelFormat(**request), folder / "frame.dcm")
            head: dict[str, Any] = {"dtype": array.dtype.str, "bytes": array.nbytes}
        except Exception as error:  # of whatever kind: the frame is damaged
            array, head = np.zeros(0), {"problem": type(error).__name__}
        answers.write(json.dumps(head).encode() + b"\n" + array.tobytes())
        answers.flush()


def _decode(frame: bytes, pixels: PixelFormat, path: Path) -> AnyArray:
    """Decode through a file that says no more than the pixel format, so that GDCM rescales none."""
    import SimpleITK
    from pydicom import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, SecondaryCaptureImageStorage

    image = Dataset()
    image.file_meta = meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(pixels.transfer_syntax)
    image.SOPClassUID = meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = UID("2.25.1")
    image.Modality = "OT"
    image.Rows, image.Columns, image.SamplesPerPixel = pixels.rows, pixels.columns, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated, image.BitsStored = pixels.bits_allocated, pixels.bits_stored
    image.HighBit, image.PixelRepresentation = pixels.bits_stored - 1, int(pixels.is_signed)
    image.PixelData = encapsulate([frame])
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = True
    image.save_as(path, enforce_file_format=True)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("GDCMImageIO")
    array = SimpleITK.GetArrayFromImage(reader.Execute())
    if array.size != pixels.rows * pixels.columns:
        raise UndecodableError
    return np.asarray(array)


def _main() -> None:
    import tempfile

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    with tempfile.TemporaryDirectory(prefix="renalseg-") as folder:
        _serve(sys.stdin.buffer, answers, Path(folder))


if __name__ == "__main__":
    _main()
