"""A predicted label map, refused where it does not lie as its reference does."""

from itertools import product
from pathlib import Path

import numpy as np

from renalseg.errors import EvaluationError
from renalseg.types import AnyArray
from renalseg.volume import Volume, read_grid, read_labels
from renalseg.volume.boxes import BoxedLabels
from renalseg.volume.orientation import axis_codes
from renalseg.volume.show import distinct

_MEND = "save it on the grid of imaging.nii.gz"
#: What an array that is read backwards along each canonical axis has exchanged.
_SIDES = ("head and feet", "front and back", "left and right")
#: A prediction that agrees so well with its reference is not turned: a mirrored one of KiTS
#: reaches 0.78.
_SURELY_RIGHT = 0.85
#: One is called turned if turning it gives at least so much Dice, and gains so much.
_TURNED, _GAIN = 0.6, 0.1


def read_prediction(path: Path, grid: Volume, majority: BoxedLabels) -> BoxedLabels:
    """Read a prediction for one case.

    Args:
        path: The prediction.
        grid: Where the case's references lie.
        majority: The case's majority vote.

    Raises:
        EvaluationError: It is stored in another orientation than its reference, has another
            shape, spacing or place, or its voxels are mirrored or transposed.
        VolumeError: It cannot be read, or has labels other than 0-3.
    """
    _check_grid(path, read_grid(path), grid)
    boxed = BoxedLabels.of(read_labels(path, contiguous=False).array, copy=True)
    _check_turned(path, boxed, majority)
    return boxed


def _check_grid(path: Path, prediction: Volume, reference: Volume) -> None:
    ours, theirs = _stored_axes(prediction), _stored_axes(reference)
    if ours != theirs:
        raise EvaluationError(
            f"{path}: orientation {ours}, its reference has {theirs}; {_MEND}, as the challenge's "
            "tools compare voxels in the order of the file"
        )
    if prediction.shape != reference.shape:
        raise EvaluationError(
            f"{path}: shape {_x(prediction.shape)} (slices, rows, columns), its reference has "
            f"{_x(reference.shape)}; {_MEND}"
        )
    if not np.allclose(prediction.spacing_mm, reference.spacing_mm, rtol=0, atol=1e-3):
        shown = distinct(*prediction.spacing_mm, *reference.spacing_mm)
        raise EvaluationError(
            f"{path}: spacing {' x '.join(shown[:3])} mm, its reference has "
            f"{' x '.join(shown[3:])} mm; {_MEND}"
        )
    if not prediction.same_grid(reference):
        places = distinct(*prediction.affine[:3, 3], *reference.affine[:3, 3])
        raise EvaluationError(
            f"{path}: lies elsewhere in the patient (first voxel at {', '.join(places[:3])} mm, in "
            f"its reference at {', '.join(places[3:])} mm, or the axes are tilted otherwise); "
            f"{_MEND}"
        )


def _check_turned(path: Path, prediction: BoxedLabels, reference: BoxedLabels) -> None:
    """Refuse voxels that were mirrored or transposed without their header saying so."""
    as_it_is = _dice(prediction, reference)
    if as_it_is > _SURELY_RIGHT:
        return
    best, how = 0.0, ""
    for swap in (False, True):
        if swap and prediction.shape[1] != prediction.shape[2]:
            break
        for flips in product((False, True), repeat=3):
            dice = _dice(_turned(prediction, flips, swap), reference)
            if dice > best:
                said = [side for side, flip in zip(_SIDES, flips, strict=True) if flip]
                best, how = dice, ", ".join(["rows and columns"] * swap + said)
    if best >= _TURNED and best > as_it_is + _GAIN:
        raise EvaluationError(
            f"{path}: flipped: {how} are exchanged (Dice of kidney and masses {as_it_is:.2f} as it "
            f"stands, {best:.2f} when they are put back); {_MEND}"
        )


def _turned(labels: BoxedLabels, flips: tuple[bool, ...], swap: bool) -> BoxedLabels:
    """Exchange rows and columns, then read axes backwards."""
    axes = (0, 2, 1) if swap else (0, 1, 2)
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
    pieces = []
    for box, piece in labels.pieces:
        a, b, c = (
            slice(labels.shape[axis] - box[axis].stop, labels.shape[axis] - box[axis].start)
            if flip
            else box[axis]
            for axis, flip in zip(axes, flips, strict=True)
        )
        turned: AnyArray = piece.transpose(axes)[steps]
        pieces.append(((a, b, c), turned))
    return BoxedLabels(labels.shape, tuple(pieces))


def _dice(prediction: BoxedLabels, reference: BoxedLabels) -> float:
    """Dice of the foreground; 1 where both are empty."""
    total = sum(np.count_nonzero(p) for labels in (prediction, reference) for _, p in labels.pieces)
    both = sum(
        np.count_nonzero(prediction.within(box) & (piece > 0) * np.uint8(255))
        for box, piece in reference.pieces
    )
    return 2 * both / total if total else 1.0


def _stored_axes(volume: Volume) -> str:
    return axis_codes(volume.affine if volume.source is None else volume.source.affine)


def _x(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
