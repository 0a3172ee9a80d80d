"""Whether the slices of a series belong together: one patient, one grid, one frame of reference."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from renalseg.errors import VolumeError
from renalseg.volume.dicom.header import text_of
from renalseg.volume.dicom.slices import Slice
from renalseg.volume.show import distinct

if TYPE_CHECKING:
    from renalseg.volume.dicom.info import Found

#: Slices are parallel, and their pixels of one size, up to rounding.
_SAME = 1e-4
_DIGITS = 6
_PATIENT = ("PatientID", "PatientName", "PatientBirthDate")


def check_patient(found: "Found", path: Path) -> None:
    """Refuse a series with slices of several patients; no name is put into the message.

    Raises:
        VolumeError: Two of its files name different patients.
    """
    first: dict[str, tuple[str, str]] = {}
    for file, header in found.headers:
        for keyword in _PATIENT:
            value = " ".join(text_of(header, keyword).casefold().replace("^", " ").split())
            if not value:  # an anonymizer took it from some
                continue
            known, name = first.setdefault(keyword, (value, file.name))
            if value != known:
                raise VolumeError(
                    f"{path}: series {found.info} holds slices of several patients: {name} and "
                    f"{file.name} differ in {keyword}; give one patient's scan alone"
                )


def check_alike(found: "Found", slices: Sequence[Slice], path: Path) -> tuple[str, ...]:
    """Refuse slices of several scans under one series's name.

    Args:
        found: The series.
        slices: Those of its slices that are read.
        path: Named in errors.

    Returns:
        What a person should know: each slice may have a frame of reference of its own.

    Raises:
        VolumeError: They are; it names the first file that differs from most.
    """
    kinds = {
        "rows x columns:": [f"{one.shape[0]} x {one.shape[1]}" for one in slices],
        "as rescale to HU:": [one.rescale.given for one in slices],
    }
    for what, told in kinds.items():
        usual, count = Counter(told).most_common(1)[0]
        if count < len(told):
            odd = next(i for i, one in enumerate(told) if one != usual)
            raise _mixed(found, path, slices[odd], f"{what} {told[odd]}, of others {usual}")
    measured = {
        "orientation": np.array([one.directions.ravel() for one in slices]),
        "pixel spacing": np.array([one.spacing_mm for one in slices]),
    }
    for what, array in measured.items():
        middle = np.median(array, axis=0)
        apart = np.abs(array - middle).max(axis=1)
        odd = int(np.argmax(apart))
        if apart[odd] > _SAME:
            texts = distinct(*np.round([array[odd], middle], _DIGITS).ravel())
            got, usual = (", ".join(row) for row in np.reshape(texts, (2, -1)))
            raise _mixed(found, path, slices[odd], f"{what} {got}, of others {usual}")
    return _check_frames_of_reference(found, slices, path)


def _check_frames_of_reference(
    found: "Found", slices: Sequence[Slice], path: Path
) -> tuple[str, ...]:
    """Refuse several frames of reference, but for one of its own in each file.

    Those say nothing, as some anonymizers leave them; positions alone show what is one scan.
    """
    files = {one.path: one for one in slices}
    frames = {
        file: uid
        for file, header in found.headers
        if file in files and (uid := text_of(header, "FrameOfReferenceUID"))
    }
    usual = Counter(frames.values()).most_common(1)
    if not usual or usual[0][1] == len(frames):
        return ()
    if usual[0][1] == 1 and len(frames) == len(files):
        return (
            "each slice has a frame of reference of its own, though positions make one stack: "
            "results have that of the first",
        )
    odd = next(file for file, uid in frames.items() if uid != usual[0][0])
    raise _mixed(found, path, files[odd], "a frame of reference of its own")


def _mixed(found: "Found", path: Path, odd: Slice, told: str) -> VolumeError:
    return VolumeError(
        f"{path}: series {found.info} is mixed: {odd.name} has {told}; give one scan alone"
    )
