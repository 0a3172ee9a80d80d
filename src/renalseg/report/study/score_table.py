"""The tables of nephrometry scores, and what in them is worth a second look."""

from itertools import compress

from renalseg.clinical.records import Component, LesionRecord, Score
from renalseg.report.study.record import name_of
from renalseg.report.study.table import Cell, Column, Table
from renalseg.report.study.words import NONE, SINUS, with_unit

#: A value this near to a threshold between points, in its unit, is worth a second look.
NEAR = {"mm": 2.0, "%": 5.0}


def score_table(lesion: LesionRecord, score: Score) -> Table:
    """One row per component of a score."""
    rows = [
        (
            Cell(one.name),
            Cell(one.title),
            Cell(with_unit(one.value, one.unit)),
            Cell(one.finding or NONE),
            Cell(NONE if one.points is None else str(one.points)),
            Cell(
                with_unit(one.margin, one.unit),
                "near" if is_near(one) else "",
                is_near(one),
            ),
        )
        for one in score.components
    ]
    columns = (
        Column("Component", is_number=False),
        Column("What it looks at", is_number=False, wraps=True),
        Column("Value"),
        Column("Finding", is_number=False, wraps=True),
        Column("Points"),
        Column("To threshold"),
    )
    risk = f", {score.risk} complexity" if score.risk else ""
    note = SINUS[score.sinus_from] if score.sinus_from else ""
    said = [any(row[n].text != NONE for row in rows) for n in range(len(columns))]
    return Table(
        f"{name_of(lesion)}: {score.system} {score.text}{risk}",
        tuple(compress(columns, said)),
        tuple(tuple(compress(row, said)) for row in rows),
        note,
    )


def is_near(component: Component) -> bool:
    """Whether a component's value lies so near to a threshold that its points may be others."""
    limit = NEAR.get(component.unit)
    return component.margin is not None and limit is not None and component.margin < limit
