"""The paper's Tables 1-6: its figures, and ours put beside them."""

from collections.abc import Mapping
from dataclasses import replace

from renalseg.experiment.tables import Row, Scores, Table

#: Stands for the single-stage model with the best mean Dice among those that ran.
BEST_SINGLE_STAGE = "best-1-stage"
SINGLE_STAGE = ("baseline", "seed-1", "seed-2", "seed-3", "pretrained", "image-loss", "volume-loss")

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
