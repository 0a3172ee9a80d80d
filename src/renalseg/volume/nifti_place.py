"""The place of a NIfTI image in the patient: sform, qform and pixdim held against each other.

A NIfTI header places its voxels up to three times. The sform is an affine. The qform is a rotation
(a quaternion) and an offset, and takes its voxel size from ``pixdim``. Without both there is
``pixdim`` alone. Programs differ in which one they take when these disagree: nibabel takes the
sform, ITK the directions of one and the spacing of ``pixdim``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from renalseg.errors import VolumeError
from renalseg.types import Affine, AnyArray
from renalseg.volume.orientation import axis_codes
from renalseg.volume.show import distinct

#: Spacings whose ratio differs from 1 by less agree: ``pixdim`` is often rounded.
_SPACING_TOLERANCE = 2e-3
#: Corners of the image that both forms place within this part of a voxel are at one place.
_PLACE_TOLERANCE_VOXELS = 0.1
#: A quaternion this much too long is a rounding.
_LONGEST_QUATERNION = 1.01
#: The square of a real part that is less is a rounding of 0 (nifti1_io.c).
_NO_REAL_PART = 1e-7


@dataclass(frozen=True, eq=False)
class Placement:
    """Place of an image in the patient.

    Attributes:
        affine: Voxel to world, RAS+, in the header's unit of length.
        remarks: What a person should know of the choice.
    """

    affine: Affine
    remarks: tuple[str, ...] = ()


def place(path: Path, fields: Any, shape: tuple[int, ...]) -> Placement:
    """Decide where an image lies.

    The sform counts where its voxel size is that of ``pixdim``. One that lacks the voxel size
    (columns of length 1), or contradicts a set qform and its ``pixdim``, is overruled, as ITK does.

    Raises:
        VolumeError: The fields contradict each other, and none is plainly right.
    """
    pixdim = np.array(fields["pixdim"], dtype=np.float64)[1:4]
    sized = bool(np.all(np.isfinite(pixdim)) and np.all(pixdim != 0))
    qform = _qform(fields, pixdim) if fields["qform_code"] > 0 and sized else None
    if fields["sform_code"] <= 0:
        return _without_sform(path, fields, pixdim, qform, shape)
    sform = _sform(fields)
    if not _usable(sform):
        if qform is None:
            return Placement(sform)  # the check of the grid says what is wrong
        return Placement(qform, ("its sform is no affine; its qform is taken",))
    if not sized:
        return Placement(sform, ("its pixdim is not set; its sform is taken",))
    if qform is not None and axis_codes(sform) != axis_codes(qform):
        raise VolumeError(
            f"{path}: its sform and qform contradict each other (axes {axis_codes(sform)} against "
            f"{axis_codes(qform)}); set the code of the wrong one to 0"
        )
    sizes = np.linalg.norm(sform[:3, :3], axis=0)
    if not _alike(sizes, np.abs(pixdim)):
        return _resized(path, sform, qform, sizes, np.abs(pixdim))
    return Placement(sform, _doubts(fields, sform, qform, shape))


def _without_sform(
    path: Path, fields: Any, pixdim: AnyArray, qform: Affine | None, shape: tuple[int, ...]
) -> Placement:
    shown = " x ".join(distinct(*pixdim))
    guessed = _guessed(pixdim, shape)
    if fields["qform_code"] <= 0:
        return Placement(
            guessed, ("neither qform nor sform is set, so its orientation is a guess",)
        )
    if np.any(pixdim < 0):  # nibabel drops the sign, ITK turns the axis
        raise VolumeError(
            f"{path}: expected a spacing above zero in pixdim, got {shown}; mend its header"
        )
    if qform is not None:
        return Placement(qform)
    if not _usable(guessed):
        return Placement(guessed)  # the check of the grid says what is wrong
    quaternion = " ".join(distinct(*_quaternion(fields)))
    raise VolumeError(
        f"{path}: its qform is no rotation (quaternion {quaternion}); mend its header"
    )


def _doubts(
    fields: Any, sform: Affine, qform: Affine | None, shape: tuple[int, ...]
) -> tuple[str, ...]:
    """Remarks that speak against an sform that agrees with ``pixdim``."""
    doubts = []
    if np.any(np.array(fields["pixdim"])[1:4] < 0):
        doubts.append("its pixdim is negative")
    if qform is None:
        doubts += ["its qform is no rotation"] if fields["qform_code"] > 0 else []
    else:
        apart = _apart(sform, qform, shape)
        if apart > _PLACE_TOLERANCE_VOXELS * np.linalg.norm(sform[:3, :3], axis=0).min():
            (shown,) = distinct(apart)
            doubts.append(f"its sform and qform place its corners up to {shown} apart")
    return (" and ".join(doubts) + "; its sform is taken",) if doubts else ()


def _resized(
    path: Path, sform: Affine, qform: Affine | None, sizes: AnyArray, pixdim: AnyArray
) -> Placement:
    """Choose between an sform and a ``pixdim`` that differ in the voxel size."""
    shown = distinct(*sizes, *pixdim)
    differ = f"spacing {' x '.join(shown[:3])} in its sform, {' x '.join(shown[3:])} in its pixdim"
    lacks_size, pixdim_is_default = _alike(sizes, np.ones(3)), _alike(pixdim, np.ones(3))
    if qform is not None and not pixdim_is_default:
        return Placement(qform, (f"{differ}; its qform and pixdim are taken",))
    if qform is None and lacks_size:
        scaled = sform.copy()
        scaled[:3, :3] *= pixdim / sizes
        return Placement(scaled, (f"{differ}; its pixdim is taken",))
    if qform is None and pixdim_is_default:
        return Placement(sform, (f"{differ}; its sform is taken",))
    raise VolumeError(f"{path}: {differ}; mend the wrong one")


def _sform(fields: Any) -> Affine:
    rows = [fields["srow_x"], fields["srow_y"], fields["srow_z"], [0, 0, 0, 1]]
    return np.array(rows, dtype=np.float64)


def _qform(fields: Any, pixdim: AnyArray) -> Affine | None:
    """The qform's affine; None if its numbers are no rotation."""
    from nibabel.quaternions import quat2mat

    vector = _quaternion(fields)
    offset = np.array([float(fields[f"qoffset_{x}"]) for x in "xyz"])
    length = float(np.linalg.norm(vector))
    if not (length <= _LONGEST_QUATERNION and np.all(np.isfinite(offset))):
        return None
    squared = 1 - float(vector @ vector)
    if squared < _NO_REAL_PART:
        vector, squared = vector / length, 0.0
    real = np.sqrt(squared)
    sizes = np.abs(pixdim)
    if float(fields["pixdim"][0]) < 0:
        sizes[2] *= -1
    affine = np.eye(4)
    affine[:3, :3] = quat2mat([real, *vector]) * sizes
    affine[:3, 3] = offset
    return affine


def _quaternion(fields: Any) -> AnyArray:
    return np.array([float(fields[f"quatern_{x}"]) for x in "bcd"])


def _guessed(pixdim: AnyArray, shape: tuple[int, ...]) -> Affine:
    """Affine as nibabel guesses it: first axis to the left, the image's middle at the origin."""
    steps = np.abs(pixdim) * (-1, 1, 1)
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = -steps * (np.array(shape, dtype=np.float64) - 1) / 2
    return affine


def _usable(affine: Affine) -> bool:
    if not np.all(np.isfinite(affine)):
        return False
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.all(sizes > 0) and abs(np.linalg.det(affine[:3, :3] / sizes)) >= 1e-4)


def _alike(sizes: AnyArray, others: AnyArray) -> bool:
    return bool(np.all(np.abs(sizes / others - 1) < _SPACING_TOLERANCE))


def _apart(affine: Affine, other: Affine, shape: tuple[int, ...]) -> float:
    """The greatest distance between the places that two affines give a corner of the image."""
    corners = np.array([[*np.array(corner) * shape, 1] for corner in np.ndindex(2, 2, 2)]).T
    return float(np.linalg.norm((affine - other) @ corners, axis=0).max())
