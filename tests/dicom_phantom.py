"""A volume written as a DICOM CT series, in any of six orientations, whole or with faults.

``make_series`` gives the datasets, which a test may damage, and ``write_series`` puts them into a
folder. ``Made.truth`` is the volume that reading must give.
"""

import tempfile
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileMetaDataset, dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from renalseg.volume import Volume
from renalseg.volume.orientation import Reorientation

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2.1"
#: DICOM's world has x to the left and y to the back; the package's the other way round.
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

#: From the canonical axes (I, P, L) to slices, rows and columns as they are stored.
_WAYS = {
    "axial": Reorientation((0, 1, 2), (True, False, False)),  # from the feet up, as most are
    "reversed": Reorientation((0, 1, 2), (False, True, True)),  # from the head down, prone
    "mirrored": Reorientation((0, 1, 2), (False, False, True)),  # the normal points to the feet
    "coronal": Reorientation((1, 0, 2), (False, False, False)),
    "sagittal": Reorientation((2, 0, 1), (False, False, False)),
    "oblique": Reorientation((0, 1, 2), (True, False, False)),
}
ORIENTATIONS = tuple(_WAYS)
#: How transfer syntaxes are asked for: as they are, or compressed without loss.
PLAIN = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
}
COMPRESSED = ("JPEG", "JPEG2000", "JPEG-LS", "RLE")
_BY_PYDICOM = {"JPEG-LS": JPEGLSLossless, "RLE": RLELossless}


def uid(*what: object) -> str:
    """A UID that is the same in every run."""
    return str(generate_uid(entropy_srcs=["phantom", *map(str, what)]))


@dataclass(frozen=True, eq=False)
class Made:
    """A series as it was made.

    Attributes:
        datasets: One per slice in the order of instance numbers, or one multi-frame image.
        array: HU: slice, row, column, in that order.
        affine: Its voxel to world, RAS+, mm.
    """

    datasets: list[Dataset]
    array: np.ndarray
    affine: np.ndarray

    @property
    def truth(self) -> Volume:
        """What reading must give."""
        return Volume.from_stored(self.array, self.affine)


def make_volume(shape=(8, 20, 24), spacing_mm=(3.0, 1.5, 0.75), origin_mm=(60, 50, 40)) -> Volume:
    """Noise in HU; no two voxels of a neighbourhood are alike."""
    array = np.random.RandomState(0).randint(-1000, 1000, shape).astype(np.int16)
    array[:, 0] = -1000
    affine = np.eye(4)
    affine[:3, :3] = -np.fliplr(np.eye(3)) * spacing_mm
    affine[:3, 3] = origin_mm
    return Volume(array, affine)


def stored(volume: Volume, orientation: str = "axial") -> tuple[np.ndarray, np.ndarray]:
    """The voxels as slices, rows and columns of an orientation, and their affine (RAS+, mm)."""
    way = _WAYS[orientation]
    affine = volume.affine
    if orientation == "oblique":
        affine = _turned(affine, volume.shape)
    return np.ascontiguousarray(way.forward(volume.array)), way.forward_affine(affine, volume.shape)


def tilted(affine: np.ndarray, degrees: float) -> np.ndarray:
    """A stored affine as a gantry tilt makes it: rows lean, slices still follow the table."""
    leaning = affine.copy()
    row = affine[:3, 1]
    normal = np.cross(affine[:3, 2], row)
    normal *= np.linalg.norm(row) / np.linalg.norm(normal)
    turn = np.radians(degrees)
    leaning[:3, 1] = np.cos(turn) * row + np.sin(turn) * normal
    return leaning


def make_series(
    volume: Volume,
    orientation: str = "axial",
    *,
    multiframe: bool = False,
    syntax: str = "explicit",
    tilt_degrees: float = 0.0,
    rescale_each: bool = False,
    series: int = 2,
) -> Made:
    """The datasets of a series.

    Args:
        volume: Voxels in HU, -1024 to 3071.
        orientation: One of ``ORIENTATIONS``.
        multiframe: One Enhanced CT image and not an image per slice.
        syntax: A key of ``PLAIN``, or one of ``COMPRESSED``.
        tilt_degrees: Of the gantry; ``affine`` is sheared then.
        rescale_each: Every slice (frame) has an intercept of its own.
        series: Its number, from which its UID follows.
    """
    array, affine = stored(volume, orientation)
    if tilt_degrees:
        affine = tilted(affine, tilt_degrees)
    slices = [
        _slice(array, affine, number, rescale_each, series) for number in range(array.shape[0])
    ]
    datasets = [_enhanced(slices)] if multiframe else slices
    for dataset in datasets:
        _encode(dataset, syntax)
    return Made(datasets, array, affine)


def split_frames(image: Dataset, sizes: tuple[int, ...], *, concatenation: bool = True):
    """An Enhanced CT image as several: the parts of a concatenation, or images that say nothing.

    Args:
        image: Not compressed.
        sizes: Frames of each part.
        concatenation: Whether the parts say that they are such.
    """
    parts, start = [], 0
    frames, frame_bytes = (
        list(image.PerFrameFunctionalGroupsSequence),
        image.Rows * image.Columns * 2,
    )
    for number, size in enumerate(sizes, start=1):
        part = deepcopy(image)
        end = start + size
        part.NumberOfFrames = size
        part.PerFrameFunctionalGroupsSequence = Sequence(frames[start:end])
        part.PixelData = image.PixelData[start * frame_bytes : end * frame_bytes]
        part["PixelData"].VR = "OW"
        part.SOPInstanceUID = uid("part", image.SOPInstanceUID, number)
        part.file_meta.MediaStorageSOPInstanceUID = part.SOPInstanceUID
        part.InstanceNumber = number
        if concatenation:
            part.ConcatenationUID = uid("concatenation")
            part.InConcatenationNumber, part.InConcatenationTotalNumber = number, len(sizes)
            part.ConcatenationFrameOffsetNumber = start
        parts.append(part)
        start = end
    return parts


def write_series(datasets: list[Dataset], folder: Path, prefix: str = "IM") -> list[Path]:
    """Write datasets under names whose order says nothing; the paths are in the order given."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, dataset in enumerate(datasets):
        path = folder / f"{prefix}{(number * 7919 + 31) % 10007:05d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _turned(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Rotated about the centre of the grid by 11 degrees, then 7, then 5."""
    a, b, c = np.radians([11, 7, 5])
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    centre = affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3]
    turned = np.eye(4)
    turned[:3, :3] = z @ y @ x @ affine[:3, :3]
    turned[:3, 3] = centre - turned[:3, :3] @ ((np.array(shape) - 1) / 2)
    return turned


def _decimals(numbers) -> list[str]:
    """As decimal strings of at most 16 characters."""
    return [f"{number:.10f}"[:16] for number in numbers]


def _slice(array, affine, number, rescale_each, series) -> Dataset:
    lps = LPS @ affine
    row_step, column_step = lps[:3, 2], lps[:3, 1]
    spacing = [np.linalg.norm(column_step), np.linalg.norm(row_step)]
    intercept = -1024 - (number % 5 if rescale_each else 0)
    image = _patient(series)
    image.SOPClassUID = CT_IMAGE
    image.SOPInstanceUID = uid("image", series, number)
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.InstanceNumber = number + 1
    image.AcquisitionNumber = 1
    image.ImagePositionPatient = _decimals(lps[:3, :3] @ [number, 0, 0] + lps[:3, 3])
    directions = [*row_step / spacing[1], *column_step / spacing[0]]
    image.ImageOrientationPatient = _decimals(directions)
    image.PixelSpacing = _decimals(spacing)
    image.SliceThickness = f"{np.linalg.norm(lps[:3, 0]):.6g}"
    image.Rows, image.Columns = array.shape[1:]
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
    image.PixelRepresentation = 0
    image.RescaleIntercept, image.RescaleSlope = str(intercept), "1"
    image.RescaleType = "HU"
    image.PixelData = (array[number].astype(np.int32) - intercept).astype("<u2").tobytes()
    image["PixelData"].VR = "OW"
    return image


def _patient(series: int) -> Dataset:
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 100"
    image.StudyDate, image.StudyTime = "20200102", "030405"
    image.SeriesDate, image.SeriesTime = "20200102", "030405"
    image.ContentDate, image.ContentTime = "20200102", "030405"
    image.AcquisitionDate, image.AcquisitionTime = "20200102", "030405"
    image.AccessionNumber, image.StudyID = "A1", "S1"
    image.Modality = "CT"
    image.Manufacturer = "Phantom"
    image.ReferringPhysicianName = ""
    image.StudyDescription = "Abdomen"
    image.SeriesDescription = f"Portal venous {series}"
    image.PatientName, image.PatientID = "Phantom^Paula", "P1"
    image.PatientBirthDate, image.PatientSex = "19500101", "F"
    image.KVP = "120"
    image.PatientPosition = "HFS"
    image.StudyInstanceUID = uid("study")
    image.SeriesInstanceUID = uid("series", series)
    image.FrameOfReferenceUID = uid("frame of reference")
    image.PositionReferenceIndicator = ""
    image.SeriesNumber = series
    return image


_MOVED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")
_RESCALE = ("RescaleIntercept", "RescaleSlope", "RescaleType")


def _enhanced(slices: list[Dataset]) -> Dataset:
    """One Enhanced CT image of the slices."""
    image = Dataset()
    image.update(slices[0])
    for keyword in (*_MOVED, *_RESCALE, "AcquisitionNumber", "KVP"):
        del image[keyword]
    image.SOPClassUID = ENHANCED_CT_IMAGE
    image.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    image.NumberOfFrames = len(slices)
    image.PixelData = b"".join(one.PixelData for one in slices)
    image["PixelData"].VR = "OW"
    image.SharedFunctionalGroupsSequence = [
        _group(
            slices[0],
            PixelMeasuresSequence=("PixelSpacing", "SliceThickness"),
            PlaneOrientationSequence=("ImageOrientationPatient",),
        )
    ]
    image.PerFrameFunctionalGroupsSequence = [
        _group(
            one, PlanePositionSequence=("ImagePositionPatient",),
            PixelValueTransformationSequence=_RESCALE,
        )
        for one in slices
    ]  # fmt: skip
    return image


def _group(source: Dataset, **sequences: tuple[str, ...]) -> Dataset:
    group = Dataset()
    for sequence, keywords in sequences.items():
        item = Dataset()
        for keyword in keywords:
            item[keyword] = source[keyword]
        setattr(group, sequence, Sequence([item]))
    return group


def _encode(dataset: Dataset, syntax: str) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta = meta
    if syntax in PLAIN:
        meta.TransferSyntaxUID = PLAIN[syntax]
        if syntax == "big endian":
            words = np.frombuffer(dataset.PixelData, "<u2")
            dataset.PixelData = words.astype(">u2").tobytes()
            dataset["PixelData"].VR = "OW"
        return
    if syntax in _BY_PYDICOM:
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(_BY_PYDICOM[syntax], generate_instance_uid=False)
        return
    frames = np.frombuffer(dataset.PixelData, "<u2").reshape(-1, dataset.Rows, dataset.Columns)
    packed = [_compressed(frame, syntax) for frame in frames]
    meta.TransferSyntaxUID = packed[0][1]
    dataset.PixelData = encapsulate([frame for frame, _ in packed])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


def _compressed(frame: np.ndarray, compressor: str) -> tuple[bytes, str]:
    """A frame's bytes and their transfer syntax, lossless."""
    import SimpleITK

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.dcm"
        writer = SimpleITK.ImageFileWriter()
        writer.SetFileName(str(path))
        writer.SetImageIO("GDCMImageIO")
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.Execute(SimpleITK.GetImageFromArray(frame))
        made = dcmread(path)
        return next(generate_frames(made.PixelData, number_of_frames=1)), (
            str(made.file_meta.TransferSyntaxUID)
        )
