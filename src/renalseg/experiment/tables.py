"""A table of the paper: its rows, what is printed of them, and which figure is bold."""

from collections.abc import Sequence
from dataclasses import dataclass

from renalseg.metrics import CaseScore

COLUMNS = ("D1", "D2", "D3", "SD1", "SD2", "SD3", "MD", "MSD")
#: The columns whose best figure, with all that tie with it, the paper prints in bold.
MARKED = ("MD", "MSD")
NOT_RUN = "not run"
NO_FIGURES = "no figures in the paper"


@dataclass(frozen=True)
class Scores:
    """One row of figures: Dice and Surface Dice per HEC, and their means."""

    d1: float
    d2: float
    d3: float
    sd1: float
    sd2: float
    sd3: float
    md: float
    msd: float

    @classmethod
    def of(cls, score: CaseScore) -> "Scores":
        """The figures of a mean over cases."""
        kidney, mass, tumor = score.kidney_and_mass, score.mass, score.tumor
        return cls(
            d1=kidney.dice,
            d2=mass.dice,
            d3=tumor.dice,
            sd1=kidney.surface_dice,
            sd2=mass.surface_dice,
            sd3=tumor.surface_dice,
            md=(kidney.dice + mass.dice + tumor.dice) / 3,
            msd=(kidney.surface_dice + mass.surface_dice + tumor.surface_dice) / 3,
        )

    @property
    def values(self) -> tuple[float, ...]:
        """The figures in the paper's order of columns."""
        return (self.d1, self.d2, self.d3, self.sd1, self.sd2, self.sd3, self.md, self.msd)


@dataclass(frozen=True)
class Row:
    """One model of a table.

    Attributes:
        model: Its name in the paper.
        run: The recipe or ensemble of ours that it is; None for figures published by others.
        paper: The paper's figures; None where it gives none.
        ours: Our figures; None where the model was not run.
        chosen: Our model whose figures these are, where the results decide which one it is.
    """

    model: str
    run: str | None
    paper: Scores | None
    ours: Scores | None = None
    chosen: str | None = None


@dataclass(frozen=True)
class Figure:
    """A figure as it is printed, and whether it is bold."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class PrintedRow:
    """A row as it is printed.

    Attributes:
        model: Its name in the paper.
        paper: The paper's figures, one per column; empty where it gives none.
        ours: Ours below them; empty where the model was not run, None where it is none of ours.
        source: Whose our figures are: ``ours``, with the model's name where the results chose it.
    """

    model: str
    paper: tuple[Figure, ...]
    ours: tuple[Figure, ...] | None
    source: str = "ours"


@dataclass(frozen=True)
class Table:
    """One of the paper's tables, or a comparison that it gives in words.

    Attributes:
        number: Its number in the paper; None where the paper has no such table.
        title: Its caption.
        rows: Its models.
    """

    number: int | None
    title: str
    rows: tuple[Row, ...]

    @property
    def heading(self) -> str:
        """What comes before the title: its number, or the section whose words it tests."""
        return "Section 3." if self.number is None else f"Table {self.number}."

    def printed(self) -> tuple[PrintedRow, ...]:
        """The rows as they are printed; the paper's figures and ours are marked separately."""
        paper = _figures([row.paper for row in self.rows])
        ours = _figures([row.ours for row in self.rows])
        return tuple(
            PrintedRow(
                row.model,
                theirs,
                None if row.run is None else found,
                f"ours ({row.chosen})" if row.chosen else "ours",
            )
            for row, theirs, found in zip(self.rows, paper, ours, strict=True)
        )


def _figures(rows: Sequence[Scores | None]) -> list[tuple[Figure, ...]]:
    """Print figures at four decimals; what reads the same there is equally good."""
    texts = [() if row is None else tuple(f"{value:.4f}" for value in row.values) for row in rows]
    best = [max(column, key=float) for column in zip(*filter(None, texts), strict=True)]
    return [
        tuple(
            Figure(text, bold=name in MARKED and text == top)
            for name, text, top in zip(COLUMNS, line, best, strict=True)
        )
        if line
        else ()
        for line in texts
    ]
