"""The paper's Tables 1-6, its own figures beside ours."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from renalseg.metrics import CaseScore

COLUMNS = ("D1", "D2", "D3", "SD1", "SD2", "SD3", "MD", "MSD")
NOT_RUN = "not run"
#: Stands for the single-stage model with the best mean Dice among those that ran.
BEST_SINGLE_STAGE = "best-1-stage"
SINGLE_STAGE = ("baseline", "seed-1", "seed-2", "seed-3", "pretrained", "image-loss", "volume-loss")


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
        paper: The paper's figures.
        ours: Our figures; None where the model was not run.
    """

    model: str
    run: str | None
    paper: Scores
    ours: Scores | None = None


@dataclass(frozen=True)
class Table:
    """One of the paper's tables."""

    number: int
    title: str
    rows: tuple[Row, ...]

    def best(self, column: int) -> float:
        """The highest of the paper's figures in a column, which the paper prints in bold."""
        return max(row.paper.values[column] for row in self.rows)


_PUBLISHED = Row(
    "baseline ([9])",
    None,
    Scores(0.9666, 0.8618, 0.8493, 0.9336, 0.7532, 0.7371, 0.8926, 0.8080),
)
_BASELINE = Row(
    "baseline (our)",
    "baseline",
    Scores(0.9660, 0.8589, 0.8444, 0.9334, 0.7506, 0.7320, 0.8897, 0.8053),
)
_PRETRAINED = Scores(0.9674, 0.8651, 0.8518, 0.9346, 0.7563, 0.7396, 0.8948, 0.8102)
_CASCADE = Scores(0.9747, 0.8810, 0.8583, 0.9459, 0.7709, 0.7461, 0.9046, 0.8210)
_ENSEMBLE = Scores(0.9702, 0.8751, 0.8597, 0.9400, 0.7709, 0.7525, 0.9017, 0.8211)

#: Golts et al. 2021, section 4.
PAPER_TABLES = (
    Table(
        1,
        "Our random annotation procedure vs. baseline MAJ annotations",
        (
            _PUBLISHED,
            _BASELINE,
            Row(
                "seed 1",
                "seed-1",
                Scores(0.9662, 0.8583, 0.8449, 0.9335, 0.7513, 0.7330, 0.8898, 0.8059),
            ),
            Row(
                "seed 2",
                "seed-2",
                Scores(0.9655, 0.8581, 0.8419, 0.9324, 0.7500, 0.7297, 0.8885, 0.8040),
            ),
            Row(
                "seed 3",
                "seed-3",
                Scores(0.9668, 0.8645, 0.8478, 0.9347, 0.7567, 0.7356, 0.8930, 0.8090),
            ),
        ),
    ),
    Table(
        2,
        "Transfer learning from LiTS",
        (_PUBLISHED, _BASELINE, Row("with pretraining", "pretrained", _PRETRAINED)),
    ),
    Table(
        3,
        "Performance with regularized loss",
        (
            _PUBLISHED,
            _BASELINE,
            Row(
                "image loss",
                "image-loss",
                Scores(0.9659, 0.8615, 0.8493, 0.9341, 0.7528, 0.7370, 0.8922, 0.8080),
            ),
            Row(
                "volume loss",
                "volume-loss",
                Scores(0.9663, 0.8609, 0.8482, 0.9336, 0.7512, 0.7337, 0.8918, 0.8062),
            ),
        ),
    ),
    Table(
        4,
        "Performance of our 3D U-Net cascade model",
        (
            Row(
                "cascade baseline ([9])",
                None,
                Scores(0.9747, 0.8799, 0.8491, 0.9453, 0.7714, 0.7393, 0.9012, 0.8187),
            ),
            Row("our cascade", "cascade", _CASCADE),
        ),
    ),
    Table(
        5,
        "Model ensemble",
        (
            Row("best model (cascade)", "cascade", _CASCADE),
            Row("best 1-stage model", BEST_SINGLE_STAGE, _PRETRAINED),
            Row(
                "ensemble of 1-stage models",
                "ensemble-1-stage",
                Scores(0.9674, 0.8667, 0.8535, 0.9363, 0.7610, 0.7442, 0.8959, 0.8138),
            ),
            Row("final ensemble", "ensemble", _ENSEMBLE),
        ),
    ),
    Table(
        6,
        "Results with postprocessing applied to our final ensemble segmentations",
        (
            Row("without postprocessing", "ensemble", _ENSEMBLE),
            Row(
                "with postprocessing",
                "ensemble-postprocessed",
                Scores(0.9715, 0.8790, 0.8638, 0.9415, 0.7751, 0.7569, 0.9047, 0.8245),
            ),
        ),
    ),
)


def fill(results: Mapping[str, Scores]) -> tuple[Table, ...]:
    """Put our figures beside the paper's.

    Args:
        results: Mean scores by recipe or ensemble.
    """
    single = [results[name] for name in SINGLE_STAGE if name in results]
    known = dict(results)
    if single:
        known[BEST_SINGLE_STAGE] = max(single, key=lambda scores: scores.md)
    return tuple(
        replace(
            table,
            rows=tuple(replace(row, ours=known.get(row.run or "")) for row in table.rows),
        )
        for table in PAPER_TABLES
    )


def to_markdown(tables: tuple[Table, ...]) -> str:
    """Write tables as Markdown: of each model the paper's figures, and below them ours."""
    lines = []
    for table in tables:
        lines += [f"**Table {table.number}.** {table.title}", ""]
        lines.append(f"| Model | | {' | '.join(COLUMNS)} |")
        lines.append(f"|---|---|{'---|' * len(COLUMNS)}")
        for row in table.rows:
            figures = [
                f"**{value:.4f}**"
                if column >= 6 and value == table.best(column)
                else f"{value:.4f}"
                for column, value in enumerate(row.paper.values)
            ]
            lines.append(f"| {row.model} | paper | {' | '.join(figures)} |")
            if row.run is None:
                continue
            if row.ours is None:
                lines.append(f"| | ours | {NOT_RUN} |{' |' * (len(COLUMNS) - 1)}")
            else:
                ours = " | ".join(f"{value:.4f}" for value in row.ours.values)
                lines.append(f"| | ours | {ours} |")
        lines.append("")
    return "\n".join(lines)
