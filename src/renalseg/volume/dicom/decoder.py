"""Compressed pixels, decoded in a process of their own.

The decoders (SimpleITK's GDCM: JPEG, JPEG-LS, JPEG 2000, RLE) are written in C and C++, and a
damaged image can kill them. There it kills nothing else, and a frame that takes too long ends.

A request is a line of JSON and a DICOM file of one frame; the answer a line of JSON and its pixels.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

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
        self._folder: tempfile.TemporaryDirectory[str] | None = None

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
        if self._folder is not None:
            self._folder.cleanup()

    def decode(self, frame: bytes, pixels: PixelFormat) -> AnyArray:
        """The stored values of a frame: rows x columns.

        Raises:
            UndecodableError: The frame is damaged.
        """
        if self._process is None:
            self._folder = tempfile.TemporaryDirectory(prefix="renalseg-")
            self._process = _start(Path(self._folder.name) / "frame.dcm")
        to, of = self._process.stdin, self._process.stdout
        assert to is not None
        assert of is not None
        count = pixels.rows * pixels.columns
        image = _as_file(frame, pixels)
        try:
            to.write(json.dumps({"bytes": len(image), "pixels": count}).encode() + b"\n" + image)
            to.flush()
            answer = json.loads(of.readline() or b'{"problem": "the decoder gave up"}')
            content = of.read(answer.get("bytes", 0))
        except (BrokenPipeError, ValueError):  # it ended, before its answer or within
            answer = {"problem": "the decoder gave up"}
        if "problem" in answer:
            raise UndecodableError(answer["problem"])
        if len(content) != answer["bytes"]:
            raise UndecodableError("the decoder gave up")
        return np.frombuffer(content, answer["dtype"]).reshape(pixels.rows, pixels.columns)


def _as_file(frame: bytes, pixels: PixelFormat) -> bytes:
    """A file that says no more than the pixel format, so that GDCM rescales nothing."""
    from io import BytesIO

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
    stream = BytesIO()
    image.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _start(path: Path) -> "subprocess.Popen[bytes]":
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        # -P: whatever lies in the working folder is not imported
        [sys.executable, "-P", "-c", f"from {__name__} import serve; serve()", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths},
    )


def serve() -> None:
    """Answer requests from standard input until nobody asks any more."""
    import signal

    import SimpleITK

    requests, path = sys.stdin.buffer, Path(sys.argv[1])
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    while line := requests.readline():
        request = json.loads(line)
        path.write_bytes(requests.read(request["bytes"]))
        if hasattr(signal, "alarm"):
            signal.alarm(_MOST_SECONDS)  # ends this process, wherever it hangs
        content = b""
        try:
            array = SimpleITK.GetArrayFromImage(reader.Execute())
            head: dict[str, object] = {"dtype": array.dtype.str, "bytes": array.nbytes}
            if array.size == request["pixels"]:
                content = array.tobytes()
            else:
                head = {"problem": f"they are {array.size} pixels"}
        except Exception as error:  # of whatever kind: the frame is damaged
            head = {"problem": type(error).__name__}
        answers.write(json.dumps(head).encode() + b"\n" + content)
        answers.flush()
