"""The pictures of a study: each lesion where it is largest, each kidney from the front, 3D."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from renalseg.clinical.records import KidneyRecord, LesionRecord, Point
from renalseg.report.render import render
from renalseg.report.slices import AXES
from renalseg.report.study.canvas import (
    GROUND,
    Panel,
    Window,
    draw_diameter,
    draw_slice,
    write,
)
from renalseg.report.study.record import Study, name_of
from renalseg.report.study.words import whole
from renalseg.types import AnyArray, LabelArray
from renalseg.volume import Volume
from renalseg.volume.boxes import Box, bounding_box

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: An axial picture shows this much around a small lesion, and a large one this many times.
MIN_VIEW_MM = 64.0
VIEW_BY_DIAMETER = 2.1
MARGIN_MM = 18.0
SOLID_PIXELS = 700
#: Solids shorter than this share of their width are padded, longer ones too.
_RATIOS = (0.55, 1.0)


def lesion_panel(study: Study, lesion: LesionRecord) -> Panel:
    """The axial slice of a lesion's largest diameter, both diameters drawn in."""
    start, end = lesion.axial_diameter.ends
    size_mm = max(MIN_VIEW_MM, VIEW_BY_DIAMETER * lesion.largest_axial_diameter_mm)
    window = Window.around(study.labels, "axial", _middle(start, end), size_mm)
    where = slice_text(study.labels, start)
    sizes = (
        f"largest diameter {lesion.largest_axial_diameter_mm:.1f} mm, "
        f"short axis {lesion.short_axis_mm:.1f} mm (dashed)"
    )

    def draw(axes: "Axes") -> None:
        draw_slice(axes, window, study.labels, study.ct)
        draw_diameter(axes, window, lesion.short_axis, dashed=True)
        draw_diameter(axes, window, lesion.axial_diameter, dashed=False)

    return Panel(
        title=f"{name_of(lesion)}, {lesion.side} kidney",
        caption=f"Axial {where}: {sizes}.",
        alt=f"Axial {where} through {name_of(lesion).lower()} of the {lesion.side} kidney: {sizes}",
        draw=draw,
    )


def solid_panels(study: Study) -> tuple[Panel, ...]:
    """The 3D view from the front and from the back; none where nothing was found."""
    return _solids(study) if study.labels.array.any() else ()


def coronal_panels(study: Study) -> tuple[Panel, ...]:
    """Each kidney from the front.

    Where nothing was found, the CT's middle; without one there is nothing to see.
    """
    if study.measurements.kidneys or study.measurements.lesions or study.ct is None:
        return tuple(_kidney_panel(study, kidney) for kidney in study.measurements.kidneys)
    middle = tuple((n - 1) / 2 for n in study.labels.shape)
    centre = Point(mm=(0.0, 0.0, 0.0), index=(middle[0], middle[1], middle[2]))
    size_mm = max(n * size for n, size in zip(study.ct.shape, study.ct.spacing_mm, strict=True))
    window = Window.around(study.ct, "coronal", centre, size_mm)
    title = "The scan from the front"
    caption = "Coronal, through its middle: neither kidney nor lesion was found."

    def draw(axes: "Axes") -> None:
        draw_slice(axes, window, study.labels, study.ct)

    return (Panel(title, caption, f"{title}: {caption}", draw),)


def slice_text(volume: Volume, point: Point) -> str:
    """Which slice a point lies in, as people count, and its place along the body."""
    number = round(point.index[0]) + 1
    return f"slice {number} of {volume.shape[0]} from the head (z {whole(point.mm[2])} mm)"


def _kidney_panel(study: Study, kidney: KidneyRecord) -> Panel:
    lesions = [one for one in study.measurements.lesions if one.side == kidney.side]
    spacing_mm = study.labels.spacing_mm
    window = _kidney_window(study.labels, kidney, lesions)
    row = _best_row(study.labels, window, kidney, lesions)
    window = Window("coronal", row, window.box, window.spacing_mm, window.centre_mm, window.size_mm)
    size = f"{kidney.length_mm:.0f} mm long, {kidney.volume_ml:.0f} ml"
    seen = [one for one in lesions if _is_cut(study.labels, row, one)]
    names = ", ".join(name_of(one).lower() for one in seen)
    through = f"with {names}" if names else "no lesion in this plane" if lesions else "no lesion"
    height = row * spacing_mm[1] - kidney.centroid.index[1] * spacing_mm[1]
    behind = f"{abs(height):.0f} mm {'behind' if height > 0 else 'in front of'} its centre"
    plane = behind if abs(height) >= 1 else "through its centre"

    def draw(axes: "Axes") -> None:
        draw_slice(axes, window, study.labels, study.ct)
        for lesion in seen:
            write(axes, window.place(lesion.centroid), str(lesion.number))

    return Panel(
        title=f"{kidney.side.capitalize()} kidney from the front",
        caption=f"Coronal, {plane}; {size}, {through}.",
        alt=f"Coronal slice of the {kidney.side} kidney, {plane}: {size}, {through}",
        draw=draw,
    )


def _kidney_window(labels: Volume, kidney: KidneyRecord, lesions: Sequence[LesionRecord]) -> Window:
    """A square around a kidney and its lesions, without a row yet."""
    slice_mm, _, column_mm = labels.spacing_mm
    steps = np.array([slice_mm, column_mm])
    half = kidney.length_mm / 2
    places = [(_flat(kidney.centroid) * steps, half)]
    for lesion in lesions:
        for end in (*lesion.axial_diameter.ends, *lesion.diameter_3d.ends):
            places.append((_flat(end) * steps, 0.0))
    low = np.min([place - reach for place, reach in places], axis=0)
    high = np.max([place + reach for place, reach in places], axis=0)
    middle = (low + high) / 2 / steps
    centre = Point(
        mm=kidney.centroid.mm,
        index=(float(middle[0]), kidney.centroid.index[1], float(middle[1])),
    )
    size_mm = float((high - low).max()) + 2 * MARGIN_MM
    return Window.around(labels, "coronal", centre, size_mm)


def _best_row(
    labels: Volume, window: Window, kidney: KidneyRecord, lesions: Sequence[LesionRecord]
) -> int:
    """The row that shows most of kidney and lesion together, else most of the kidney."""
    slices, columns = window.box
    part = labels.array[slices, :, columns]
    kidneys = (part == 1).sum(axis=(0, 2), dtype=np.int64)
    masses = (part >= 2).sum(axis=(0, 2), dtype=np.int64)
    if lesions and (kidneys * masses).any():
        return int((kidneys * masses).argmax())
    if lesions:
        return window.index if not masses.any() else int(masses.argmax())
    row = round(kidney.centroid.index[AXES["coronal"]])
    return min(labels.shape[1] - 1, max(0, row)) if not kidneys.any() else int(kidneys.argmax())


def _is_cut(labels: Volume, row: int, lesion: LesionRecord) -> bool:
    """Whether a lesion's centroid, seen from the front, is a lesion in this row."""
    slices, _, columns = (round(place) for place in lesion.centroid.index)
    if not (0 <= slices < labels.shape[0] and 0 <= columns < labels.shape[2]):
        return False
    reach_mm = lesion.largest_3d_diameter_mm / 2
    away_mm = abs(row - lesion.centroid.index[1]) * labels.spacing_mm[1]
    return bool(labels.array[slices, row, columns] >= 2) and away_mm <= reach_mm


def _solids(study: Study) -> tuple[Panel, ...]:
    box = _room(study.labels)
    cut = study.labels.array[box]
    offset = np.array([side.start for side in box])
    front = _solid(study, cut, offset, "front", is_behind=False)
    behind = _solid(study, cut[:, ::-1, ::-1], offset, "back", is_behind=True)
    return front, behind


def _solid(study: Study, cut: LabelArray, offset: AnyArray, name: str, *, is_behind: bool) -> Panel:
    spacing_mm = study.labels.spacing_mm
    width_mm, height_mm = cut.shape[2] * spacing_mm[2], cut.shape[0] * spacing_mm[0]
    picture = render(cut, spacing_mm, frame=np.ones_like(cut), width=SOLID_PIXELS)
    ratio = min(max(height_mm / width_mm, _RATIOS[0]), _RATIOS[1])
    room_mm = max(width_mm, height_mm / ratio)
    side = "left" if is_behind else "right"

    def draw(axes: "Axes") -> None:
        axes.set_facecolor(GROUND)
        axes.set_axis_off()
        axes.add_artist(axes.patch)
        axes.patch.set_zorder(-1)
        axes.imshow(
            picture, extent=(0, width_mm, height_mm, 0), aspect="auto", interpolation="bilinear"
        )
        spare_x, spare_y = (room_mm - width_mm) / 2, (room_mm * ratio - height_mm) / 2
        axes.set_xlim(-spare_x, width_mm + spare_x)
        axes.set_ylim(height_mm + spare_y, -spare_y)
        for lesion in study.measurements.lesions:
            slices, _, columns = np.array(lesion.centroid.index) - offset + 0.5
            x = columns * spacing_mm[2]
            write(
                axes,
                (width_mm - x if is_behind else x, slices * spacing_mm[0]),
                str(lesion.number),
                size=7,
            )
        letters = ("L", "R") if is_behind else ("R", "L")
        write(axes, (0.015, 0.5), letters[0], horizontal="left", is_share=True)
        write(axes, (0.985, 0.5), letters[1], horizontal="right", is_share=True)

    found = study.measurements
    return Panel(
        title=f"3D, seen from the {name}",
        caption=f"The patient's {side} is on the left. Numbers are the lesions' of the tables.",
        alt=(
            f"3D view of the segmentation from the {name}: {len(found.kidneys)} kidneys, "
            f"{len(study.tumors)} tumors, {len(study.cysts)} cysts"
        ),
        draw=draw,
        ratio=ratio,
    )


def _room(labels: Volume) -> Box:
    """The box around everything found, with a margin."""
    sides = []
    for side, size, n in zip(
        bounding_box(labels.array), labels.spacing_mm, labels.shape, strict=True
    ):
        margin = round(MARGIN_MM / size)
        sides.append(slice(max(0, side.start - margin), min(n, side.stop + margin)))
    return sides[0], sides[1], sides[2]


def _middle(start: Point, end: Point) -> Point:
    mm, index = (
        tuple((a + b) / 2 for a, b in zip(one, other, strict=True))
        for one, other in ((start.mm, end.mm), (start.index, end.index))
    )
    return Point(mm=(mm[0], mm[1], mm[2]), index=(index[0], index[1], index[2]))


def _flat(point: Point) -> AnyArray:
    return np.array([point.index[0], point.index[2]])
