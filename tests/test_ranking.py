import csv

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import rankdata

from renalseg.evaluation.ranking import rank, write_ranking
from renalseg.metrics import CaseScore, HecScore

#: Few values, so that many models tie.
TENTHS = st.integers(0, 3).map(lambda number: number / 10)
TABLES = st.lists(st.tuples(*[TENTHS] * 6), min_size=1, max_size=9)


def score(d1, d2, d3, sd1, sd2, sd3):
    return CaseScore(HecScore(d1, sd1), HecScore(d2, sd2), HecScore(d3, sd3))


def rank_then_aggregate(data):
    ranked = np.apply_along_axis(rankdata, 0, -data, "min")
    aggregated = ranked.mean(axis=-1)
    return rankdata(aggregated, "min"), aggregated


def challenge(table):
    """The procedure of neheller/kits21, ``kits21/evaluation/ranking.py``, in its own steps."""
    means = np.stack((table[:, :3].mean(axis=1), table[:, 3:].mean(axis=1)), axis=1)
    ranks, aggregated = rank_then_aggregate(means)
    place = 1
    while place <= len(table):
        tied = ranks == place
        if tied.sum() > 1:
            untied = rank_then_aggregate(table[tied, 2:3])[0] - 1 + place
            changed = not np.array_equal(untied, ranks[tied])
            ranks[tied] = untied
            if changed:
                continue
        place += 1
    return ranks, aggregated, means


@given(TABLES)
@example([(0.3, 0.0, 0.1, 0.2, 0.2, 0.2), (0.0, 0.3, 0.1, 0.2, 0.2, 0.2)])
@example([(0.3, 0.0, 0.1, 0.2, 0.2, 0.2), (0.1, 0.1, 0.2, 0.2, 0.2, 0.2)])
def test_ranking_is_the_challenges(rows):
    table = np.array(rows)
    ranks, aggregated, means = challenge(table)
    found = rank({str(number): score(*row) for number, row in enumerate(rows)})
    assert [row.final_rank for row in found] == sorted(ranks)
    for row in found:
        number = int(row.team_name)
        assert (row.final_rank, row.mean_rank) == (ranks[number], aggregated[number])
        assert (row.mean_dice, row.mean_sd) == pytest.approx(tuple(means[number]))
        assert row.tumor_dice == table[number, 2]


def test_tumor_dice_unties_and_its_equals_stay_tied():
    models = {
        "a": score(0.75, 0.5, 0.25, 0.5, 0.5, 0.5),
        "b": score(0.5, 0.5, 0.5, 0.5, 0.5, 0.5),
        "c": score(0.25, 0.75, 0.5, 0.5, 0.5, 0.5),
        "d": score(0, 0, 0, 0, 0, 0),
    }
    found = [(row.team_name, row.final_rank) for row in rank(models)]
    assert found == [("b", 1), ("c", 1), ("a", 3), ("d", 4)]


def test_nothing_has_no_ranking():
    assert rank({}) == ()


def test_file_is_the_challenges(tmp_path):
    """Half of two ranks, and numbers in the decimals of the official writer."""
    models = {
        "ours, old": score(0.5, 0.5, 0.5, 0.5, 0.25, 0.125),
        "ours": score(0.5, 0.5, 0.75, 0.5, 0.125, 0.125),
        "theirs": score(1 / 3, 1 / 3, 1 / 3, 0.1, 0.1, 0.1),
    }
    write_ranking(rank(models), tmp_path / "ranking.csv")
    lines = (tmp_path / "ranking.csv").read_text().splitlines()
    assert lines[0] == "team_name,final_rank,mean_rank,mean_dice,mean_sd,tumor_dice"
    assert lines[1] == "ours,1,1.5000,0.58333333,0.25000000,0.75000000"
    assert lines[3] == "theirs,3,3.0000,0.33333333,0.10000000,0.33333333"
    assert next(csv.reader(lines[2:]))[:2] == ["ours, old", "2"]
