"""From stored values to HU: by slope and intercept, or by a lookup table (Modality LUT).

A header should have both slope and intercept, or a table in their place (PS3.3 C.11.1). Where one
of the two numbers is missing, a slope is 1 and an intercept 0, as SimpleITK (GDCM) has it; a person
is told. Where there are both a table and numbers, the numbers are used, as there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import AnyArray
from renalseg.volume.dicom.header import numbers_of, required, text_of

if TYPE_CHECKING:
    from pydicom import Dataset

#: No rescale to HU has such numbers.
_STEEP = 1e5
_HOUNSFIELD = ("", "HU", "US")
_TABLE = "ModalityLUTSequence"
_BOTH, _TABLE_ALONE = "slope and intercept", "a Modality LUT"
_TOLD = {
    "intercept alone": "the headers have no RescaleSlope: taken as 1",
    "slope alone": "the headers have no RescaleIntercept: taken as 0",
    "nothing": "the headers have no rescale to HU: stored values are taken as HU",
}


@dataclass(frozen=True, eq=False)
class Rescale:
    """How the stored values of a slice become HU.

    Attributes:
        given: What its header gives, in words; alike in all slices of a scan.
        slope: HU = slope x stored value + intercept.
        intercept: The same.
        table: HU of each stored value from ``first`` on, in place of both; its ends go on.
        first: The stored value that the table begins with.
        notes: What a person should know.
    """

    given: str
    slope: float = 1.0
    intercept: float = 0.0
    table: AnyArray | None = None
    first: int = 0
    notes: tuple[str, ...] = ()

    def hu(self, stored: AnyArray) -> AnyArray:
        """HU of stored values: whole numbers where slope and intercept are, else floats."""
        if self.table is not None:
            place = stored.astype(np.int64) - self.first
            return np.asarray(self.table[np.clip(place, 0, len(self.table) - 1)])
        if not (self.slope.is_integer() and self.intercept.is_integer()):
            return np.asarray(stored * self.slope + self.intercept)
        wide = np.int64 if stored.itemsize > 2 or abs(self.slope) > 1 else np.int32
        hu = np.asarray(stored.astype(wide))
        if self.slope != 1:
            hu *= int(self.slope)
        hu += int(self.intercept)
        return hu


def rescale_of(path: Path, holder: "Dataset", header: "Dataset") -> Rescale:
    """The rescale of a slice.

    Args:
        path: Named in errors.
        holder: What has slope and intercept: the header, or an item of a frame's groups.
        header: What has the table.

    Raises:
        VolumeError: A value is empty, not a number or far from any HU; or the table is damaged.
    """
    notes = []
    has_slope, has_intercept = "RescaleSlope" in holder, "RescaleIntercept" in holder
    kind = text_of(holder, "RescaleType").upper()
    if _TABLE in header and not (has_slope or has_intercept):
        return _table(path, header)
    if _TABLE in header:
        notes.append("the headers have a Modality LUT beside a rescale: the rescale is used")
    if kind not in _HOUNSFIELD:
        notes.append(f"the headers say that values are {kind[:16]}, not HU (RescaleType)")
    slope = numbers_of(path, holder, "RescaleSlope", 1)[0] if has_slope else 1.0
    intercept = numbers_of(path, holder, "RescaleIntercept", 1)[0] if has_intercept else 0.0
    if not (0 < abs(slope) < _STEEP and abs(intercept) < _STEEP):
        raise VolumeError(
            f"{path}: expected a rescale to HU such as 1, -1024, got {slope:g}, {intercept:g} "
            "(RescaleSlope, RescaleIntercept); export it again"
        )
    given = {
        (True, True): _BOTH,
        (False, True): "intercept alone",
        (True, False): "slope alone",
        (False, False): "nothing",
    }[has_slope, has_intercept]
    if given in _TOLD:
        notes.append(_TOLD[given])
    return Rescale(given, slope, intercept, notes=tuple(notes))


def _table(path: Path, header: "Dataset") -> Rescale:
    item: Dataset = required(path, _TABLE, lambda: header[_TABLE].value[0])
    count, first, bits = numbers_of(path, item, "LUTDescriptor", 3)
    is_signed = text_of(header, "PixelRepresentation") == "1"
    if first >= 1 << 15 and is_signed:  # the two's complement, read without its sign
        first -= 1 << 16
    entries = int(count) or 1 << 16
    table = required(path, "LUTData", lambda: _entries(item, entries))
    if len(table) != entries or bits not in (8, 16) or not entries:
        raise VolumeError(
            f"{path}: its Modality LUT has {len(table)} entries of {bits:g} bits, expected "
            f"{entries} of 8 or 16; export it again"
        )
    kind = text_of(item, "ModalityLUTType").upper()
    notes = ["HU come from the headers' Modality LUT"]
    if kind not in _HOUNSFIELD:
        notes.append(f"the headers say that values are {kind[:16]}, not HU (ModalityLUTType)")
    return Rescale(_TABLE_ALONE, table=table, first=int(first), notes=tuple(notes))


def _entries(item: "Dataset", count: int) -> AnyArray:
    """The table's values; bytes where these are as many as entries, else words."""
    value = item["LUTData"].value
    if isinstance(value, bytes):
        little = item.original_encoding[1] is not False
        is_bytes = len(value) in (count, count + count % 2)
        kind = "u1" if is_bytes else "<u2" if little else ">u2"
        values = np.frombuffer(value[: len(value) // 2 * 2], kind).astype(np.int64)
        values = values[:count] if is_bytes else values
    else:
        values = np.atleast_1d(np.array(value, np.int64))
    # no HU lie above 32767: these are negative ones, which the standard has no place for
    return np.where(values >= 1 << 15, values - (1 << 16), values).astype(np.int32)
