"""The parts of a concatenation (PS3.3 C.7.6.16.2.2.4): an image of many frames in several files."""

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from renalseg.errors import VolumeError
from renalseg.volume.dicom.header import text_of, whole_of

if TYPE_CHECKING:
    from pydicom import Dataset

    from renalseg.volume.dicom.info import Found

_Part = tuple[Path, "Dataset"]


def in_order(parts: "list[_Part]") -> "list[_Part]":
    """Files of many frames as they count themselves; where they do not, by name."""
    keywords = ("InConcatenationNumber", "InstanceNumber")
    return sorted(parts, key=lambda part: [whole_of(part[1], word) or 0 for word in keywords])


def check_parts(found: "Found", path: Path) -> tuple[str, ...]:
    """Refuse a series that lacks a part of a concatenation.

    Returns:
        What a person should know: how many parts there should be is not always said.

    Raises:
        VolumeError: A part is missing.
    """
    groups: dict[str, list[_Part]] = defaultdict(list)
    for part in found.headers:
        if uid := text_of(part[1], "ConcatenationUID"):
            groups[uid].append(part)
    notes = []
    for parts in groups.values():
        numbers = {whole_of(header, "InConcatenationNumber") or 1 for _, header in parts}
        totals = [whole_of(header, "InConcatenationTotalNumber") or 0 for _, header in parts]
        total = max(*totals, *numbers)
        missing = sorted(set(range(1, total + 1)) - numbers)
        if missing:
            raise VolumeError(
                f"{path}: series {found.info} is split over {total} files, and {_list(missing)} "
                f"missing: got {_list_parts(parts, total)}; give all files of the series"
            )
        lost = _lost_frames(in_order(parts))
        if lost:
            raise VolumeError(
                f"{path}: series {found.info} is split over several files, and frames "
                f"{lost} are missing; give all files of the series"
            )
        if not max(totals):
            notes.append(
                f"{_list_parts(parts, None)} of a split image whose headers do not say of how "
                "many parts: taken to be whole"
            )
    return tuple(notes)


def _lost_frames(parts: "list[_Part]") -> str:
    """Frames that should lie before or between parts, as their offsets say; empty if none."""
    expected = 0
    for _, header in parts:
        offset = whole_of(header, "ConcatenationFrameOffsetNumber")
        if offset is not None and offset > expected:
            return f"{expected + 1} to {offset}"
        expected = (expected if offset is None else offset) + (
            whole_of(header, "NumberOfFrames") or 1
        )
    return ""


def _list(missing: list[int]) -> str:
    shown = ", ".join(map(str, missing[:4])) + (", ..." if len(missing) > 4 else "")
    return f"parts {shown} are" if len(missing) > 1 else f"part {shown} is"


def _list_parts(parts: "list[_Part]", total: int | None) -> str:
    of = "" if total is None else f" of {total}"
    shown = [
        f"{file.name} (part {whole_of(header, 'InConcatenationNumber') or 1}{of})"
        for file, header in in_order(parts)[:4]
    ]
    return ", ".join(shown) + (f" and {len(parts) - 4} more" if len(parts) > 4 else "")
