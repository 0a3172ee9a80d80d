"""What a file says that it is, by its name, and what it is, by how it begins."""

import re

#: Images of one file, and archives.
SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".zip")
#: Formats of two files, which a study of one file cannot be.
_TWO_FILES = (".nhdr", ".mhd")
#: So many bytes show what a file is.
BEGINNING = 352
_META = re.compile(rb"\s*(ObjectType|NDims|Comment|DimSize)\s*=")
_NIFTI_SIZES = {348, 540}
#: DICOM files of old begin with their first element: group 2 or 8, small numbers.
_OLD_DICOM = re.compile(rb"(\x02|\x08)\x00.\x00", re.DOTALL)


def suffix_of(name: str) -> str:
    """The suffix of an image or archive, in lower case; nothing of other files."""
    lower = name.lower()
    return next((suffix for suffix in SUFFIXES if lower.endswith(suffix)), "")


def is_one_of_two(name: str) -> bool:
    """Whether the name is that of half an image."""
    return name.lower().endswith(_TWO_FILES)


def looks_like_dicom(start: bytes) -> bool:
    """Whether a file that begins so is DICOM."""
    return start[128:132] == b"DICM" or bool(_OLD_DICOM.match(start))


def is_what_it_says(name: str, start: bytes) -> bool:
    """Whether a file begins as its name says; names that say nothing are never wrong."""
    match suffix_of(name):
        case ".nii.gz" | ".nii":
            sizes = {int.from_bytes(start[:4], order) for order in ("little", "big")}
            return start[:2] == b"\x1f\x8b" or bool(sizes & _NIFTI_SIZES)
        case ".nrrd":
            return start.startswith(b"NRRD")
        case ".mha":
            return bool(_META.match(start))
        case ".zip":
            return start.startswith(b"PK\x03\x04")
    return not name.lower().endswith(".dcm") or looks_like_dicom(start)
