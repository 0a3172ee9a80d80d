"""Real kidneys with their tumors and cysts, as small signed distances, ready to be bent.

A unit is one kidney and what grows on it: cut from a label map, brought to cells of 2 mm, each
surface kept as signed distances of one byte (0.2 mm, to 25 mm). Made once from annotations
in KiTS layout; sixty patients take about 150 MB in memory and 15 MB in a file. They stay under
the licence of the annotations.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from renalseg.errors import CohortError
from renalseg.labels import Label
from renalseg.types import AnyArray

CELL_MM = 2.0
#: mm per step of the stored bytes, times ten, as `kernels.sample` takes it.
SCALE = 2.0
_ROOM_MM = 14.0
_CLOSING_MM = 13.0
#: Crumbs of annotations, which are no lesions.
_LEAST_LESION_MM3 = 300.0


@dataclass(frozen=True, eq=False)
class Unit:
    """One real kidney with its lesions.

    Attributes:
        case: Its case, such as ``case_00042``.
        side: -1 right, 1 left.
        distances: int8, (surface, down, back, left): the kidney with all on it, the kidney
            closed over its sinus, then the lesions.
        lesions: Label of each lesion.
        center: The parenchyma's middle, in cells.
        across_mm: Half the distance between both kidneys; 0 where there is one.
    """

    case: str
    side: int
    distances: AnyArray
    lesions: tuple[int, ...]
    center: AnyArray
    across_mm: float


@dataclass(frozen=True, eq=False)
class ShapeBank:
    """Units of many patients."""

    units: tuple[Unit, ...]

    @classmethod
    def make(cls, folder: Path, cases: tuple[str, ...] | None = None) -> "ShapeBank":
        """Cut units from the label maps of a folder in KiTS layout.

        Args:
            folder: Holds ``case_*/segmentation.nii.gz`` (or ``aggregated_MAJ_seg.nii.gz``).
            cases: Only these, such as the training part of a split.

        Raises:
            CohortError: If there is none.
        """
        units: list[Unit] = []
        for case in sorted(folder.glob("case_*")):
            if cases is not None and case.name not in cases:
                continue
            for name in ("segmentation.nii.gz", "aggregated_MAJ_seg.nii.gz"):
                if (case / name).is_file():
                    units += _units(case.name, case / name)
                    break
        if not units:
            raise CohortError(
                f"{folder}: no kidneys; expected case_*/segmentation.nii.gz in KiTS layout"
            )
        return cls(tuple(units))

    def save(self, path: Path) -> None:
        """Write all units to one file, beside first and then renamed."""
        content: dict[str, AnyArray] = {}
        for n, u in enumerate(self.units):
            content[f"{n:04d}_distances"] = u.distances
            content[f"{n:04d}_center"] = u.center
            content[f"{n:04d}_rest"] = np.array([u.side, u.across_mm, *u.lesions], np.float64)
            content[f"{n:04d}_case"] = np.array(u.case)
        beside = path.with_name(f".{path.name}.npz")
        with beside.open("wb") as stream:
            np.savez_compressed(stream, **content)  # type: ignore[arg-type]
        beside.replace(path)

    @classmethod
    def load(cls, path: Path) -> "ShapeBank":
        """Read a file written by `save`.

        Raises:
            CohortError: If it is none.
        """
        units = []
        try:
            with np.load(path, allow_pickle=False) as found:
                for key in sorted(name[:-10] for name in found.files if name.endswith("distances")):
                    rest = found[f"{key}_rest"]
                    units.append(
                        Unit(
                            str(found[f"{key}_case"]),
                            int(rest[0]),
                            found[f"{key}_distances"],
                            tuple(int(v) for v in rest[2:]),
                            found[f"{key}_center"],
                            float(rest[1]),
                        )
                    )
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise CohortError(
                f"{path}: expected shapes written by ShapeBank.save: {error}"
            ) from error
        return cls(tuple(units))


@lru_cache(maxsize=2)
def shape_bank(path: Path) -> ShapeBank:
    """The shapes of a folder or file, read once per process."""
    return ShapeBank.make(path) if path.is_dir() else ShapeBank.load(path)


def _units(case: str, path: Path) -> list[Unit]:
    import cc3d
    from scipy import ndimage

    from renalseg.volume import read_labels

    volume = read_labels(path)
    labels = np.asarray(volume.array)
    spacing = np.array(volume.spacing_mm)
    pieces = cc3d.connected_components(labels > 0, connectivity=26)
    found: list[tuple[AnyArray, tuple[slice, ...], AnyArray]] = []
    for number, box in enumerate(ndimage.find_objects(pieces), 1):
        if box is None:
            continue
        kidney = (pieces[box] == number) & (labels[box] == Label.KIDNEY)
        if kidney.sum() * np.prod(spacing) < 15_000:
            continue
        middle = (np.argwhere(kidney).mean(0) + [s.start for s in box]) * spacing
        found.append((np.where(pieces[box] == number, labels[box], 0), box, middle))
    if not 1 <= len(found) <= 2:
        return []
    across = 0.5 * abs(found[0][2][2] - found[-1][2][2])
    axis = (
        labels.shape[2] * spacing[2] / 2
        if len(found) == 1
        else 0.5 * (found[0][2][2] + found[1][2][2])
    )
    return [
        _unit(case, crop, spacing, 1 if middle[2] > axis else -1, across)
        for crop, _, middle in found
    ]


def _unit(case: str, crop: AnyArray, spacing: AnyArray, side: int, across: float) -> Unit:
    from scipy import ndimage

    room = [int(np.ceil(_ROOM_MM / mm)) for mm in spacing]
    crop = np.pad(crop, [(r, r) for r in room])
    whole = _distance(crop > 0, spacing)
    parts = [whole, _closed(whole)]
    kinds: list[int] = []
    for label in (Label.CYST, Label.TUMOR):
        pieces, count = ndimage.label(crop == label)
        for number in range(1, count + 1):
            if (pieces == number).sum() * np.prod(spacing) > _LEAST_LESION_MM3:
                parts.append(_distance(pieces == number, spacing))
                kinds.append(int(label))
    parenchyma = np.argwhere(crop == Label.KIDNEY).mean(0) * spacing / CELL_MM
    stacked = np.clip(np.rint(np.stack(parts) * 10 / SCALE), -127, 127).astype(np.int8)
    return Unit(case, side, stacked, tuple(kinds), parenchyma, across)


def _distance(mask: AnyArray, spacing: AnyArray) -> AnyArray:
    """Signed distance, mm, on cells of 2 mm."""
    from scipy import ndimage

    shape = [
        max(8, int(np.ceil(n * mm / CELL_MM))) for n, mm in zip(mask.shape, spacing, strict=True)
    ]
    share = mask.astype(np.float32)
    # Average before thinning out, so that no step of a voxel stays.
    share = ndimage.gaussian_filter(share, [0.35 * CELL_MM / mm for mm in spacing])
    for axis, (n, mm) in enumerate(zip(shape, spacing, strict=True)):
        at = np.clip(np.arange(n) * CELL_MM / mm, 0, share.shape[axis] - 1)
        low = np.minimum(at.astype(int), share.shape[axis] - 2)
        t = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        share = np.take(share, low, axis) * (1 - t) + np.take(share, low + 1, axis) * t
    inside = share > 0.5
    out = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
    out -= 0.5 * np.sign(out)
    return np.asarray(ndimage.gaussian_filter(out, 0.6) * CELL_MM, np.float32)


def _closed(distance: AnyArray) -> AnyArray:
    """The same closed over the sinus: grown, then shrunk as much."""
    from scipy import ndimage

    grown = distance > _CLOSING_MM
    return np.asarray(
        np.minimum(distance, _CLOSING_MM - ndimage.distance_transform_edt(~grown) * CELL_MM),
        np.float32,
    )
