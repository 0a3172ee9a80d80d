"""The series of a source, and which of them is the CT to segment."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from renalseg.errors import VolumeError
from renalseg.volume.dicom.header import (
    SCANNED,
    numbers_of,
    read_header,
    text_of,
    texts_of,
    whole_of,
)
from renalseg.volume.dicom.syntaxes import CT_CLASSES

if TYPE_CHECKING:
    from pydicom import Dataset

_DIRECTORY = "1.2.840.10008.1.3.10"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_PLACES = (
    *("ImagePositionPatient", "ImageOrientationPatient"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
#: Slices look along one of these: x, y and z of the patient.
_PLANES = ("sagittal", "coronal", "axial")
#: More than this are not listed in an error.
_MOST_SHOWN = 6


@dataclass(frozen=True)
class SeriesInfo:
    """What a series is, as far as its headers say.

    Attributes:
        uid: Series Instance UID; empty where an anonymiser took it.
        study_uid: Study Instance UID; the same.
        number: Series Number; None where it has none.
        description: Series Description.
        modality: ``CT``, ``MR``, ``SR`` ...
        image_type: Such as ``("ORIGINAL", "PRIMARY", "AXIAL")``.
        slices: Number of images, frames counted each; 0 of what is no image.
        rows: Of each slice.
        columns: Of each slice.
        plane: ``axial``, ``coronal`` or ``sagittal``, whichever is nearest; empty of images that
            do not lie in a patient.
    """

    uid: str
    study_uid: str = ""
    number: int | None = None
    description: str = ""
    modality: str = ""
    image_type: tuple[str, ...] = ()
    slices: int = 0
    rows: int = 0
    columns: int = 0
    plane: str = ""

    @property
    def label(self) -> str:
        """What ``--series`` takes for it: its number, else its UID."""
        return self.uid if self.number is None else str(self.number)

    @property
    def is_localizer(self) -> bool:
        """Whether it is an overview that scans are planned on."""
        return "LOCALIZER" in self.image_type

    @property
    def is_original(self) -> bool:
        """Whether it comes from the scanner, and was not computed from other images."""
        return self.image_type[:1] == ("ORIGINAL",)

    @property
    def is_ct(self) -> bool:
        """Whether it is slices of CT, which can be read as a volume."""
        return (
            self.modality == "CT" and self.slices > 0 and bool(self.plane) and not self.is_localizer
        )

    def __str__(self) -> str:
        """One line: number, description, and what it is."""
        name = "-" if self.number is None else str(self.number)
        if self.description:
            name += f" '{self.description[:40]}'"
        kind = [self.modality[:16] or "no modality"]
        if self.slices:
            original = "original" if self.is_original else "derived"
            kind.append("localiser" if self.is_localizer else f"{original} {self.plane}".strip())
            kind.append(f"{self.columns} x {self.rows} x {self.slices}")
        return f"{name} ({', '.join(kind)})"

    @property
    def _rank(self) -> tuple[bool, bool, int]:
        """How well it fits: original before derived, axial before others, then most slices."""
        return self.is_original, self.plane == "axial", self.slices


@dataclass(frozen=True, eq=False)
class Found:
    """A series and its files.

    Attributes:
        info: What it is.
        headers: Its files, and of each what ``SCANNED`` names.
        strays: Files of the same Series Instance UID that are no slices, and what they are.
    """

    info: SeriesInfo
    headers: "list[tuple[Path, Dataset]]" = field(default_factory=list)
    strays: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the choice of its files."""
        if not self.strays:
            return ()
        more = len(self.strays) - _MOST_SHOWN
        shown = ", ".join(self.strays[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
        return (f"left out of the series, for they are no slices of it: {shown}",)


def scan(files: Sequence[Path]) -> list[Found]:
    """Read the headers of files, and group them to series; those that fit best come first.

    Raises:
        VolumeError: A header is damaged.
    """
    groups: dict[tuple[object, ...], list[tuple[Path, Dataset]]] = {}
    for file in files:
        with file.open("rb") as stream:
            header = read_header(file, stream, SCANNED)
            ended = not stream.read(1)
        if _is_directory(header):
            continue
        if "SeriesInstanceUID" not in header:
            raise VolumeError(
                f"{file}: damaged DICOM (no SeriesInstanceUID); copy it again, or remove it"
            )
        is_image = "Rows" in header or text_of(header, "SOPClassUID") in ("", *CT_CLASSES)
        if ended and is_image and text_of(header, "Modality") == "CT":  # its series may be cut too
            raise VolumeError(f"{file}: has no pixels, or is truncated; copy it again")
        groups.setdefault(_key(file, header), []).append((file, header))
    found = [
        Found(_describe([header for _, header in group]), group, _strays(key, groups))
        for key, group in groups.items()
    ]
    return sorted(found, key=lambda one: (one.info.is_ct, one.info._rank), reverse=True)


def _key(file: Path, header: "Dataset") -> tuple[object, ...]:
    """What the images of one series share."""
    uids = text_of(header, "SeriesInstanceUID"), text_of(header, "StudyInstanceUID")
    kind = text_of(header, "Modality"), _kind(header)
    if uids[0]:
        return *uids, *kind
    # anonymised: the folder, number and description are what is left
    named = text_of(header, "SeriesNumber"), text_of(header, "SeriesDescription")
    return *uids, *kind, *named, file.parent


def _kind(header: "Dataset") -> str:
    """What an image is that is no slice of a scan, as its header says; empty of a slice."""
    sop_class, types = text_of(header, "SOPClassUID"), texts_of(header, "ImageType")
    if "LOCALIZER" in types:
        return "localizer"
    if any(one.replace("_", " ").startswith(("SCREEN", "DOSE")) for one in types):
        return "screen save"
    if sop_class.startswith(_SECONDARY_CAPTURE):
        return "secondary capture"
    if "Rows" not in header and sop_class not in ("", *CT_CLASSES):
        return "no image"
    placed = any(keyword in header for keyword in _PLACES)
    return "" if placed or types[:1] == ("ORIGINAL",) else "image without a place"


def _strays(
    key: tuple[object, ...], groups: "dict[tuple[object, ...], list[tuple[Path, Dataset]]]"
) -> tuple[str, ...]:
    """What else there is under the same UIDs."""
    if not key[0]:
        return ()
    return tuple(
        f"{file.name} ({other[3] or other[2] or 'no modality'})"
        for other, group in groups.items()
        if other != key and other[:2] == key[:2]
        for file, _ in group
    )


def choose(found: Sequence[Found], wanted: str | None, path: Path) -> Found:
    """Choose by rule: CT, no localiser, original, axial, most slices.

    Args:
        found: From :func:`scan`.
        wanted: Series Instance UID or Series Number; None takes any.
        path: Named in errors.

    Raises:
        VolumeError: None fits, or several fit alike.
    """
    if not found:
        raise VolumeError(f"{path}: no DICOM files in it; give a CT series")
    matching = [one for one in found if wanted in (None, one.info.uid, str(one.info.number))]
    if not matching:
        raise VolumeError(f"{path}: no series {str(wanted)[:64]}; expected one of {_list(found)}")
    fitting = [one for one in matching if one.info.is_ct]
    if not fitting:
        raise VolumeError(f"{path}: expected slices of CT, got {_list(matching)}; give a CT series")
    studies = {one.info.study_uid for one in fitting}
    best = [one for one in fitting if one.info._rank == fitting[0].info._rank]
    if len(studies) > 1:
        raise VolumeError(
            f"{path}: holds {len(studies)} studies, expected one: {_list(fitting, uids=True)}; "
            "give one alone, or name a series by its UID (--series)"
        )
    if len(best) > 1:
        raise VolumeError(
            f"{path}: {len(best)} series fit alike: {_list(best, uids=True)}; name one by number "
            "or UID (--series)"
        )
    return best[0]


def _list(found: Sequence[Found], *, uids: bool = False) -> str:
    shown = [
        f"{one.info} {one.info.uid[:64]}" if uids else str(one.info) for one in found[:_MOST_SHOWN]
    ]
    if len(found) > _MOST_SHOWN:
        shown.append(f"{len(found) - _MOST_SHOWN} more")
    return "; ".join(shown)


def _is_directory(header: "Dataset") -> bool:
    meta = getattr(header, "file_meta", None)
    return meta is not None and text_of(meta, "MediaStorageSOPClassUID") == _DIRECTORY


def _describe(headers: "Sequence[Dataset]") -> SeriesInfo:
    first = headers[0]
    return SeriesInfo(
        uid=text_of(first, "SeriesInstanceUID"),
        study_uid=text_of(first, "StudyInstanceUID"),
        number=whole_of(first, "SeriesNumber"),
        description=text_of(first, "SeriesDescription"),
        modality=text_of(first, "Modality"),
        image_type=texts_of(first, "ImageType"),
        slices=sum(_frames(header) for header in headers),
        rows=whole_of(first, "Rows") or 0,
        columns=whole_of(first, "Columns") or 0,
        plane=next((plane for plane in map(_plane, headers) if plane), ""),
    )


def _frames(header: "Dataset") -> int:
    if not whole_of(header, "Rows"):
        return 0
    return max(1, whole_of(header, "NumberOfFrames") or 1)


def _plane(header: "Dataset") -> str:
    """The plane that slices lie nearest to."""
    try:
        keyword = "ImageOrientationPatient"
        holder = header
        if keyword not in header:
            shared = header.get("SharedFunctionalGroupsSequence")
            frames = header.get("PerFrameFunctionalGroupsSequence")
            groups = [*(shared or ())[:1], *(frames or ())[:1]]
            holder = next(g for g in groups if "PlaneOrientationSequence" in g)
            holder = holder.PlaneOrientationSequence[0]
        row, column = np.reshape(numbers_of(Path(), holder, keyword, 6), (2, 3))
    except Exception:  # of whatever kind: it does not say
        return ""
    return _PLANES[int(np.argmax(np.abs(np.cross(row, column))))]
