"""Named array types. Axes of a patient are always canonical I-P-L: slice, row, column."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8

#: A label map: 0 background, 1 kidney, 2 tumor, 3 cyst.
LabelArray = UInt8[np.ndarray, "slice row column"]
#: One structure: true inside.
MaskArray = Bool[np.ndarray, "slice row column"]
#: CT intensities in HU.
ImageArray = Shaped[np.ndarray, "slice row column"]
#: Voxel index to world, RAS+, mm.
Affine = Float[np.ndarray, "4 4"]
#: Anything that lies on a grid.
AnyArray = np.ndarray[Any, np.dtype[Any]]
