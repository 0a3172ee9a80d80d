"""The tables of kidneys and lesions."""

from collections.abc import Iterable, Mapping

from renalseg.clinical.records import Intensity, Interval, LesionRecord
from renalseg.report.study.record import Study, name_of
from renalseg.report.study.table import Cell, Column, Table
from renalseg.report.study.words import NONE, SINUS, digits, whole


def kidney_table(study: Study) -> Table:
    """One row per kidney."""
    rows = []
    for kidney in study.measurements.kidneys:
        numbers = ("volume_ml", "parenchyma_ml", "length_mm")
        rows.append(
            (
                Cell(kidney.side.capitalize()),
                *(_number(getattr(kidney, name), kidney.intervals, name) for name in numbers),
                *_density(study, kidney.intensity),
                Cell(str(kidney.components), is_flagged=kidney.components > 1),
            )
        )
    columns = (
        Column("Kidney", is_number=False),
        Column("Volume with lesions", "ml"),
        Column("Volume without", "ml"),
        Column("Length", "mm"),
        *_density_columns(study),
        Column("Pieces"),
    )
    return Table(
        "Size of each kidney" if study.ct is None else "Size and density of each kidney",
        columns,
        tuple(rows),
        _interval_note(k.intervals for k in study.measurements.kidneys),
    )


def lesion_table(study: Study) -> Table:
    """One row per lesion: its sizes."""
    names = (
        "volume_ml",
        "largest_axial_diameter_mm",
        "short_axis_mm",
        "largest_3d_diameter_mm",
    )
    rows = [
        (
            Cell(name_of(lesion)),
            Cell(lesion.side),
            *(_number(getattr(lesion, name), lesion.intervals, name) for name in names),
            Cell(str(round(lesion.axial_diameter.ends[0].index[0]) + 1)),
        )
        for lesion in study.measurements.lesions
    ]
    columns = (
        Column("Lesion", is_number=False),
        Column("Kidney", is_number=False),
        Column("Volume", "ml"),
        Column("Largest axial diameter", "mm"),
        Column("Short axis", "mm"),
        Column("Largest 3D diameter", "mm"),
        Column("Axial slice"),
    )
    note = _interval_note(lesion.intervals for lesion in study.measurements.lesions)
    return Table("Size of each lesion", columns, tuple(rows), note)


def surroundings_table(study: Study) -> Table:
    """One row per lesion: where it lies and what it looks like."""
    rows = []
    for lesion in study.measurements.lesions:
        distance = Cell(NONE)
        if lesion.sinus_distance_mm is not None:
            distance = _number(lesion.sinus_distance_mm, lesion.intervals, "sinus_distance_mm")
        rows.append(
            (
                Cell(name_of(lesion)),
                *_density(study, lesion.intensity),
                _number(lesion.contact_mm2 / 100, _scaled(lesion.intervals, 0.01), "contact_mm2"),
                distance,
                Cell(_place(lesion)),
                Cell(str(lesion.components), is_flagged=lesion.components > 1),
            )
        )
    columns = (
        Column("Lesion", is_number=False),
        *_density_columns(study),
        Column("Contact with kidney", "cm²"),
        Column("To renal sinus", "mm"),
        Column("Centre", "mm"),
        Column("Pieces"),
    )
    sources = {lesion.sinus_from for lesion in study.measurements.lesions if lesion.sinus_from}
    note = " ".join((_CENTRE, *(SINUS[source] for source in sorted(sources))))
    return Table(
        "What surrounds each lesion"
        if study.ct is None
        else "Density and surroundings of each lesion",
        columns,
        tuple(rows),
        note,
    )


_CENTRE = (
    "Centre: from the scanner's origin to the right or left, anterior or posterior, head or foot."
)


def _number(value: float, intervals: Mapping[str, Interval], name: str) -> Cell:
    interval = intervals.get(name)
    if interval is None:
        return Cell(digits(value))
    return Cell(digits(value), f"{digits(interval.low)} – {digits(interval.high)}")


def _scaled(intervals: Mapping[str, Interval], factor: float) -> dict[str, Interval]:
    return {
        name: Interval(low=one.low * factor, high=one.high * factor, members=one.members)
        for name, one in intervals.items()
    }


def _interval_note(all_intervals: Iterable[Mapping[str, Interval]]) -> str:
    found = {one.members for intervals in all_intervals for one in intervals.values()}
    if not found:
        return ""
    many = f"{min(found)} to {max(found)}" if len(found) > 1 else f"{max(found)}"
    return (
        f"Below a number: the least and the greatest of the ensemble's members ({many} found it)."
    )


def _density_columns(study: Study) -> tuple[Column, ...]:
    if study.ct is None:
        return ()
    return Column("Density, mean ± SD", "HU"), Column("5 % / median / 95 %", "HU")


def _density(study: Study, intensity: Intensity | None) -> tuple[Cell, ...]:
    if study.ct is None:
        return ()
    if intensity is None:
        return Cell(NONE), Cell(NONE)
    spread = (intensity.p5_hu, intensity.median_hu, intensity.p95_hu)
    return (
        Cell(f"{whole(intensity.mean_hu)} ± {whole(intensity.sd_hu)}"),
        Cell(" / ".join(whole(value) for value in spread)),
    )


def _place(lesion: LesionRecord) -> str:
    """``R 52, P 13, F 120``: mm from the scanner's origin, whatever way a program counts them."""
    letters = ("RL", "AP", "HF")
    places = zip(letters, lesion.centroid.mm, strict=True)
    return ", ".join(f"{pair[mm < 0]} {abs(mm):.0f}" for pair, mm in places)
