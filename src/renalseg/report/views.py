"""What the page shows of one case."""

import base64
import io
from dataclasses import dataclass

import numpy as np

from renalseg.labels import HECS
from renalseg.metrics import CaseScore
from renalseg.report.render import render
from renalseg.report.slices import Plane, richest, slice_pictures
from renalseg.types import AnyArray, ImageArray, LabelArray

QUALITY = 82


@dataclass(frozen=True)
class CaseView:
    """One held-out case.

    Attributes:
        case_id: Its name.
        image: CT in HU, (slice, row, column).
        reference: Its reference label map.
        before: The ensemble's label map.
        after: The same after post-processing.
        spacing_mm: Voxel size along the three axes.
        scores: Scores of the post-processed map.
    """

    case_id: str
    image: ImageArray
    reference: LabelArray
    before: LabelArray
    after: LabelArray
    spacing_mm: tuple[float, float, float]
    scores: CaseScore | None = None


@dataclass(frozen=True)
class Picture:
    """An embedded picture with its caption."""

    caption: str
    source: str


@dataclass(frozen=True)
class Strip:
    """Pictures that belong side by side."""

    title: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class DrawnCase:
    """A case ready for the template."""

    case_id: str
    scores: tuple[tuple[str, float, float], ...]
    changed_voxels: int
    strips: tuple[Strip, ...]


def draw(view: CaseView) -> DrawnCase:
    """Draw the axial, coronal and 3D views of a case, before and after post-processing."""
    changed = view.before != view.after
    planes: tuple[Plane, ...] = ("axial", "coronal")
    strips = [_slices(view, plane, richest(view.reference, plane), changed) for plane in planes]
    if changed.any():
        where = int(changed.sum(axis=(1, 2)).argmax())
        strips.append(_slices(view, "axial", where, changed, "where post-processing changed most"))
    solids = [
        Picture(caption, encode(render(labels, view.spacing_mm, frame=view.reference)))
        for caption, labels in (
            ("reference", view.reference),
            ("prediction before post-processing", view.before),
            ("prediction after post-processing", view.after),
        )
    ]
    strips.append(Strip("3D, from the front", tuple(solids)))
    scores = view.scores
    rows = (
        ()
        if scores is None
        else tuple((hec.title, scores.of(hec).dice, scores.of(hec).surface_dice) for hec in HECS)
    )
    return DrawnCase(view.case_id, rows, int(changed.sum()), tuple(strips))


def encode(picture: AnyArray) -> str:
    """An RGB picture as a data URI that a page carries in itself."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _slices(view: CaseView, plane: Plane, index: int, changed: AnyArray, remark: str = "") -> Strip:
    pictures = slice_pictures(
        view.image,
        [None, view.reference, view.before, view.after],
        plane,
        index,
        view.spacing_mm,
        changed=changed,
    )
    captions = (
        "image",
        "reference",
        "prediction before post-processing",
        "prediction after post-processing",
    )
    cut = "slice" if plane == "axial" else "row"
    title = f"{plane.capitalize()}, {cut} {index}" + (f", {remark}" if remark else "")
    drawn = zip(captions, pictures, strict=True)
    return Strip(title, tuple(Picture(caption, encode(p)) for caption, p in drawn))
