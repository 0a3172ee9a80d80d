"""The challenge's ranking of several models (KiTS21, ``kits21/evaluation/ranking.py``)."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from renalseg.files import write_text
from renalseg.labels import HECS
from renalseg.metrics.score import CaseScore
from renalseg.types import AnyArray


@dataclass(frozen=True)
class Ranked:
    """One model's place.

    Attributes:
        team_name: The model.
        final_rank: Its place, from 1; models that nothing unties share one.
        mean_rank: Mean of its ranks by mean Dice and by mean Surface Dice.
        mean_dice: Mean Dice over the three HECs.
        mean_sd: Mean Surface Dice over the three HECs.
        tumor_dice: Dice of the tumor, which unties.
    """

    team_name: str
    final_rank: int
    mean_rank: float
    mean_dice: float
    mean_sd: float
    tumor_dice: float


RANKING_COLUMNS = tuple(field.name for field in fields(Ranked))


def rank(means: Mapping[str, CaseScore]) -> tuple[Ranked, ...]:
    """Rank models by the rule of KiTS21, the best first.

    Models are ranked by mean Dice and by mean Surface Dice over the three HECs; the mean of the two
    ranks is ranked again. Equal values share the lowest rank of theirs. Models that share a final
    rank are untied by tumor Dice; where that is equal too, they stay tied, in the order given.

    Args:
        means: Each model's scores, averaged over cases.
    """
    if not means:
        return ()
    dices = np.array([[score.of(hec).dice for hec in HECS] for score in means.values()])
    surfaces = np.array([[score.of(hec).surface_dice for hec in HECS] for score in means.values()])
    mean_dice, mean_sd, tumor_dice = dices.mean(axis=1), surfaces.mean(axis=1), dices[:, -1]
    mean_rank = (_ranks(mean_dice) + _ranks(mean_sd)) / 2
    place = _ranks(-mean_rank)
    for tied in [place == value for value in np.unique(place)]:
        place[tied] += _ranks(tumor_dice[tied]) - 1
    columns = zip(means, place, mean_rank, mean_dice, mean_sd, tumor_dice, strict=True)
    rows = [Ranked(name, int(final), *map(float, rest)) for name, final, *rest in columns]
    return tuple(sorted(rows, key=lambda row: row.final_rank))


def write_ranking(ranking: Sequence[Ranked], path: Path) -> None:
    """Write a ranking as the challenge's CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(RANKING_COLUMNS)
    for row in ranking:
        name, final_rank, mean_rank, *scores = astuple(row)
        writer.writerow((name, final_rank, f"{mean_rank:.4f}", *(f"{s:.8f}" for s in scores)))
    write_text(text.getvalue(), path)


def _ranks(values: AnyArray) -> AnyArray:
    """Ranks from 1, the highest value first; equal values share their lowest rank."""
    ranks: AnyArray = rankdata(-values, "min")
    return ranks
