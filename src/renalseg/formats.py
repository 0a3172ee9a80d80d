"""Which files there are, by their names: images, and what results are written as."""

from enum import StrEnum
from pathlib import Path

from renalseg.errors import VolumeError

NIFTI_SUFFIXES = (".nii.gz", ".nii")
NRRD_SUFFIXES = (".nrrd", ".nhdr")
META_SUFFIXES = (".mha", ".mhd")
#: The endings of all image files that can be read and written.
SUFFIXES = NIFTI_SUFFIXES + NRRD_SUFFIXES + META_SUFFIXES


class Format(StrEnum):
    """What a result can be written as."""

    NIFTI = "nifti"
    SEG = "seg"
    SR = "sr"
    RTSTRUCT = "rtstruct"
    DICOM_PDF = "dicom-pdf"
    PDF = "pdf"
    HTML = "html"
    CSV = "csv"
    JSON = "json"


#: These refer to the images of a DICOM series, and need one.
DICOM_FORMATS = frozenset({Format.SEG, Format.SR, Format.RTSTRUCT, Format.DICOM_PDF})
_ENDINGS = {
    Format.NIFTI: ".nii.gz",
    Format.SEG: "-seg.dcm",
    Format.SR: "-sr.dcm",
    Format.RTSTRUCT: "-rtstruct.dcm",
    Format.DICOM_PDF: "-report.dcm",
    Format.PDF: "-report.pdf",
    Format.HTML: "-report.html",
    Format.CSV: "-measurements.csv",
    Format.JSON: "-measurements.json",
}
#: What a name without a longer ending means.
_PLAIN = {
    **dict.fromkeys(SUFFIXES, Format.NIFTI),
    ".dcm": Format.SEG,
    ".pdf": Format.PDF,
    ".html": Format.HTML,
    ".csv": Format.CSV,
}


def format_of(target: Path) -> Format:
    """The format that a file's name says: ``x-sr.dcm`` is a report, ``x.dcm`` a segmentation.

    Raises:
        VolumeError: If it says none.
    """
    ending = _ending(target)
    for one, usual in _ENDINGS.items():
        if usual == ending:
            return one
    if ending in _PLAIN:
        return _PLAIN[ending]
    known = ", ".join(_PLAIN)
    raise VolumeError(f"{target}: no such file format; expected a name that ends in {known}")


def names_file(path: Path) -> bool:
    """Whether a name is a result file's, not a folder's."""
    return bool(_ending(path))


def stem(path: Path) -> str:
    """A file's name without what says its format: ``x.nii.gz`` and ``x-seg.dcm`` are ``x``."""
    return path.name[: len(path.name) - len(_ending(path))]


def result_path(target: Path, wanted: Format) -> Path:
    """Where a result of another format stands beside a scan's target."""
    return target.with_name(f"{stem(target)}{_ENDINGS[wanted]}")


def entropy_path(target: Path) -> Path:
    """Where the uncertainty of a mask goes: ``mask.nii.gz`` has ``mask-entropy.nii.gz``."""
    ending = _ending(target) if format_of(target) is Format.NIFTI else ".nii.gz"
    return target.with_name(f"{stem(target)}-entropy{ending}")


def data_files(image: Path) -> tuple[Path, ...]:
    """The files that an image's header may keep its voxels in when it is written."""
    endings = {".mhd": (".raw", ".zraw"), ".nhdr": (".raw", ".raw.gz")}
    return tuple(
        image.with_name(f"{stem(image)}{ending}") for ending in endings.get(_ending(image), ())
    )


def _ending(path: Path) -> str:
    """What of a file's name says its format, in lower case; empty where nothing does."""
    name = path.name.lower()
    fitting = (ending for ending in (*_ENDINGS.values(), *_PLAIN) if name.endswith(ending))
    return max(fitting, key=len, default="")
