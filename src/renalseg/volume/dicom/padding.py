"""Padding: pixels outside the scanner's round field of view, which hold a value of their own.

Read as any other, padding lies at or below air, and stays there, as SimpleITK reads it. Where it
would come out higher, because the value wrapped (-2000 written as 63536) or lies among tissue, it
becomes air.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from renalseg.types import AnyArray
from renalseg.volume.dicom.decoder import PixelFormat

if TYPE_CHECKING:
    from pydicom import Dataset

AIR_HU = -1024
#: A scan of a patient has air below, beside its padding.
NO_AIR_HU = -200
#: Values up to here are air, whatever else they mean.
_AIRLIKE_HU = -900
#: Tissue and bone lie below; what lies above and is called padding cannot be anything else.
_MOST_TISSUE_HU = 3071


@dataclass(frozen=True)
class Padding:
    """Stored values that mean padding: from ``low`` to ``high``, as the pixels store them."""

    low: int
    high: int

    def find(self, words: AnyArray, values: AnyArray) -> AnyArray:
        """Where padding is.

        Args:
            words: Pixels with all of their bits, in the type that they are stored in.
            values: The same pixels, without the bits that hold no value.
        """
        if self.low == self.high:
            return np.asarray((words == self.low) | (values == self.low))
        found = (words >= self.low) & (words <= self.high)
        return np.asarray(found | ((values >= self.low) & (values <= self.high)))


def padding_of(header: "Dataset", pixels: PixelFormat) -> Padding | None:
    """The padding of an image; None where its header names none that can be read."""
    value = _value(header, "PixelPaddingValue", pixels)
    if value is None:
        return None
    limit = _value(header, "PixelPaddingRangeLimit", pixels)
    ends = sorted((value, value if limit is None else limit))
    return Padding(*ends)


def as_air(hu: AnyArray, padding: AnyArray) -> bool:
    """Make padding that does not lie at or below air -1024 HU, in place; gives whether some was.

    A value among those of tissue means padding only where it reaches the border of the slice.
    """
    from scipy import ndimage

    above = padding & (hu > _AIRLIKE_HU)
    if not above.any():
        return False
    among = above & (hu <= _MOST_TISSUE_HU)
    if among.any():
        regions, _ = ndimage.label(among)
        border = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
        outside = np.isin(regions, np.unique(border[border > 0]))
        above &= outside | ~among
    hu[above] = AIR_HU
    return bool(above.any())


def _value(header: "Dataset", keyword: str, pixels: PixelFormat) -> int | None:
    """A stored value, whose sign follows the pixels' and not the tag's own type."""
    try:
        value: Any = header[keyword].value
        if isinstance(value, bytes):
            value = int.from_bytes(value[:4], "little" if header.original_encoding[1] else "big")
        word = int(value) & ((1 << pixels.bits_allocated) - 1)
    except Exception:  # not there, empty, or no number
        return None
    negative = pixels.is_signed and word >> (pixels.bits_allocated - 1)
    return word - (1 << pixels.bits_allocated) if negative else word
