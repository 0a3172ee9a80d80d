"""Pictures that show why a tumor has its scores."""

from typing import TYPE_CHECKING

import numpy as np

from renalseg.clinical.instances import Instance, Kidney, find_kidneys
from renalseg.clinical.records import LesionRecord
from renalseg.report.study.canvas import Panel
from renalseg.report.study.record import Study, name_of
from renalseg.types import AnyArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH_PIXELS = 1300
#: A lesion's record and its voxels are one where their centres lie within this.
_SAME_MM = 3.0
CAPTION = (
    "Planes through the kidney's own axes, the first through the diameter: red kidney, green "
    "tumor, light green its part outside the kidney's outline (white), yellow the sinus, gray "
    "other lesions."
)


def score_panels(study: Study) -> dict[int, Panel]:
    """A panel for each tumor with scores whose kidney has a shape of its own, by its number."""
    from renalseg.clinical.anatomy import kidney_anatomy
    from renalseg.clinical.nephrometry_picture import nephrometry_picture

    scored = [lesion for lesion in study.tumors if lesion.scores]
    panels: dict[int, Panel] = {}
    if not scored:
        return panels
    for kidney in find_kidneys(study.labels):
        pairs = _pairs(study, kidney, scored)
        if not pairs:
            continue
        hu = None if study.ct is None else study.ct.array[kidney.box]
        anatomy = kidney_anatomy(kidney, study.labels.affine, hu)
        if anatomy is None:
            continue
        for lesion, instance in pairs:
            picture = nephrometry_picture(anatomy, instance, lesion.scores[0], WIDTH_PIXELS)
            panels[lesion.number] = _panel(lesion, picture)
    return panels


def _pairs(
    study: Study, kidney: Kidney, scored: list[LesionRecord]
) -> list[tuple[LesionRecord, Instance]]:
    """The records of a kidney's tumors with their voxels."""
    pairs = []
    for instance in kidney.lesions:
        corner = [side.start for side in instance.box]
        centre = np.argwhere(instance.mask).mean(axis=0) + corner
        for lesion in scored:
            away = (centre - lesion.centroid.index) * study.labels.spacing_mm
            if instance.label.title == lesion.label and np.linalg.norm(away) < _SAME_MM:
                pairs.append((lesion, instance))
    return pairs


def _panel(lesion: LesionRecord, picture: AnyArray) -> Panel:
    height, width = picture.shape[:2]

    def draw(axes: "Axes") -> None:
        axes.set_axis_off()
        axes.imshow(picture, extent=(0, width, height, 0), aspect="auto")

    title = f"Why {name_of(lesion).lower()} has its scores"
    said = "; ".join(
        f"{one.name}: {one.finding or one.title}" for one in lesion.scores[0].components
    )
    return Panel(title, CAPTION, f"{title}: {said}", draw, height / width)
