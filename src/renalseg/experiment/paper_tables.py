"""The paper's Tables 1-6: its figures, and ours put beside them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from renalseg.experiment.config import Experiment, load_experiment
from renalseg.experiment.heldout import POSTPROCESSED
from renalseg.experiment.tables import Row, Scores, Table

#: Placeholders for the best model, and the best single-stage one, among those that ran.
BEST, BEST_SINGLE_STAGE = "best", "best-1-stage"
#: Ensembles by their names in paper.yaml; of another file those that take their part.
SINGLE_STAGE_ENSEMBLE, FINAL = "ensemble-1-stage", "ensemble"

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
            Row("best model (cascade)", BEST, _CASCADE),
            Row("best 1-stage model", BEST_SINGLE_STAGE, _PRETRAINED),
            Row(
                "ensemble of 1-stage models",
                SINGLE_STAGE_ENSEMBLE,
                Scores(0.9674, 0.8667, 0.8535, 0.9363, 0.7610, 0.7442, 0.8959, 0.8138),
            ),
            Row("final ensemble", FINAL, _ENSEMBLE),
        ),
    ),
    Table(
        6,
        "Results with postprocessing applied to our final ensemble segmentations",
        (
            Row("without postprocessing", FINAL, _ENSEMBLE),
            Row(
                "with postprocessing",
                FINAL + POSTPROCESSED,
                Scores(0.9715, 0.8790, 0.8638, 0.9415, 0.7751, 0.7569, 0.9047, 0.8245),
            ),
        ),
    ),
)


#: The paper compares the 2D U-Net in words alone.
PLANAR_TABLE = Table(
    None,
    "2D against 3D U-Net; the paper, without figures: faster to train, significantly inferior on "
    "tumor and cyst, on par for the kidney",
    (
        Row("3D U-Net, baseline (our)", "baseline", _BASELINE.paper),
        Row("2D U-Net", "baseline-2d", None),
    ),
)


def fill(results: Mapping[str, Scores], experiment: Experiment | None = None) -> tuple[Table, ...]:
    """Put our figures beside the paper's.

    Args:
        results: Mean scores by recipe or ensemble.
        experiment: What they are results of; the paper's own when absent.
    """
    experiment = experiment or load_experiment("paper.yaml")
    names = [recipe.name for recipe in experiment.recipes]
    chosen = {
        BEST: best_model(names, results),
        BEST_SINGLE_STAGE: best_model(_single_stage(experiment), results),
    }
    ensembles = _ensembles(experiment)

    def filled(row: Row) -> Row:
        run = row.run or ""
        name = chosen[run] if run in chosen else ensembles.get(run, run)
        return replace(row, ours=results.get(name or ""), chosen=chosen.get(run))

    return tuple(
        replace(table, rows=tuple(filled(row) for row in table.rows))
        for table in (*PAPER_TABLES, PLANAR_TABLE)
    )


def best_model(names: Iterable[str], results: Mapping[str, Scores]) -> str | None:
    """The model with the best mean Dice, or None if none of them ran.

    Ties go to the better mean Surface Dice, then tumor Dice, then to the first of the names.
    """
    ran = [name for name in names if name in results]
    return max(
        ran, key=lambda name: (results[name].md, results[name].msd, results[name].d3), default=None
    )


def tables_with(name: str, experiment: Experiment) -> list[int]:
    """Numbers of the paper's tables with a row for a recipe or ensemble, whatever the results."""
    ensembles = _ensembles(experiment)
    return [
        table.number
        for table in PAPER_TABLES
        if table.number is not None
        and any(row.run and ensembles.get(row.run, row.run) == name for row in table.rows)
    ]


def _single_stage(experiment: Experiment) -> list[str]:
    return [r.name for r in experiment.recipes if r.configuration != "cascade"]


def _ensembles(experiment: Experiment) -> dict[str, str]:
    """The experiment's ensembles by the names that they have in the paper's tables."""
    final = experiment.final
    members = set(experiment.ensembles[final]) & set(_single_stage(experiment))
    alike = (name for name, of in experiment.ensembles.items() if set(of) == members)
    return {
        SINGLE_STAGE_ENSEMBLE: next(alike, SINGLE_STAGE_ENSEMBLE),
        FINAL: final,
        FINAL + POSTPROCESSED: final + POSTPROCESSED,
    }
