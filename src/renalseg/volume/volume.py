"""A volume: voxels, where they lie in the patient, and the way back to the file they came from.

Inside the package every array is canonical I-P-L (see ``orientation`` for axes and affines). A
volume that was read from a file remembers that file's own grid, and is always written back there.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import Affine, AnyArray
from renalseg.volume.orientation import Reorientation, axis_codes, is_canonical, to_canonical

#: Grids whose affines differ by less than this (mm) are one grid: NIfTI rounds to float32.
GRID_TOLERANCE_MM = 1e-3


@dataclass(frozen=True, eq=False)
class SourceGrid:
    """The grid of the file that a volume was read from.

    Attributes:
        affine: The file's voxel to world, RAS+, mm.
        way: From the file's axes to the canonical ones.
        nifti_geometry: Of a NIfTI file, the header fields that place it (qform, sform, units),
            so that they are written back bit for bit.
    """

    affine: Affine
    way: Reorientation
    nifti_geometry: dict[str, AnyArray] | None = None


@dataclass(frozen=True, eq=False)
class Volume:
    """A CT or label map in canonical orientation.

    Attributes:
        array: Voxels, axes slice (head to foot), row (front to back), column (the patient's
            right to left).
        affine: Canonical voxel index to world, RAS+, mm.
        source: The grid that ``save`` writes to; without one it is the canonical grid itself.

    Raises:
        VolumeError: The array is not 3D, or the affine's axes are not I-P-L.
    """

    array: AnyArray
    affine: Affine
    source: SourceGrid | None = None

    def __post_init__(self) -> None:
        """Refuse an array or affine that is not canonical."""
        if self.array.ndim != 3:
            raise VolumeError(f"expected an array with 3 axes, got shape {self.array.shape}")
        if self.affine.shape != (4, 4):
            raise VolumeError(f"expected a 4 x 4 affine, got shape {self.affine.shape}")
        if not is_canonical(self.affine):
            raise VolumeError(
                f"expected an affine with axes I-P-L, got {axis_codes(self.affine)}; "
                "bring the array there with Volume.from_stored"
            )

    @classmethod
    def from_stored(
        cls,
        array: AnyArray,
        affine: Affine,
        nifti_geometry: dict[str, AnyArray] | None = None,
        *,
        contiguous: bool = True,
    ) -> "Volume":
        """Bring an array of any orientation to canonical axes, and remember the way back.

        Args:
            array: Voxels, three axes in any order and direction.
            affine: Its voxel to world, RAS+, mm; invertible.
            nifti_geometry: See ``SourceGrid``.
            contiguous: Copy the voxels into C order, where one may write; False leaves a view of
                ``array``.
        """
        affine = np.asarray(affine, dtype=np.float64)
        way = to_canonical(affine)
        canonical = way.forward(array)
        return cls(
            np.require(canonical, requirements=["C", "W"]) if contiguous else canonical,
            way.forward_affine(affine, array.shape),
            SourceGrid(affine, way, nifti_geometry),
        )

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels in mm: slice, row, column."""
        slices, rows, columns = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(slices), float(rows), float(columns)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of slices, rows and columns."""
        slices, rows, columns = self.array.shape
        return slices, rows, columns

    def like(self, array: AnyArray) -> "Volume":
        """Another array on this grid, with this volume's way back to its file.

        Raises:
            VolumeError: The array has another shape.
        """
        if array.shape != self.array.shape:
            raise VolumeError(
                f"expected an array of shape {self.array.shape} for this grid, got {array.shape}"
            )
        return replace(self, array=array)

    def without_voxels(self) -> "Volume":
        """The grid alone: the array is a read-only view of one zero."""
        return replace(self, array=np.broadcast_to(np.zeros((), np.uint8), self.array.shape))

    def same_grid(self, other: "Volume") -> bool:
        """Whether both have the same shape and, within 1e-3, the same affine."""
        return self.array.shape == other.array.shape and bool(
            np.allclose(self.affine, other.affine, rtol=0, atol=GRID_TOLERANCE_MM)
        )

    def save(self, path: Path | str) -> None:
        """Write the voxels on the grid of the source file, in the format of the path's suffix.

        Masks (bool, uint8) are written as uint8, other integers as int16 where they fit, floats
        as float32. Nothing half-written ever stands under the path.

        Args:
            path: ``.nii``, ``.nii.gz``, ``.nrrd``, ``.nhdr``, ``.mha`` or ``.mhd``.

        Raises:
            VolumeError: Unknown suffix, or the file cannot be written.
        """
        from renalseg.volume.files import StoredImage, write_file

        if self.source is None:
            stored = StoredImage(self.array, self.affine)
        else:
            stored = StoredImage(
                self.source.way.backward(self.array),
                self.source.affine,
                self.source.nifti_geometry,
            )
        write_file(Path(path), stored)
