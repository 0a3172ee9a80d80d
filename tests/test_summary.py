import json
from itertools import pairwise
from math import nan

import numpy as np
import pytest

from renalseg.errors import EvaluationError
from renalseg.evaluation.result import CaseResult
from renalseg.evaluation.subgroups import Subgroup
from renalseg.evaluation.summary import TABLES, summarise
from renalseg.metrics import CaseScore, HecScore
from renalseg.metrics.details import CaseDetails, HecDetails, LesionCounts


def even(value):
    """A score with one value throughout."""
    return CaseScore(*[HecScore(value, value)] * 3)


def result(
    value, case_id="case_00000", *, raters=None, hd95=5.0, volumes=(10.0, 8.0), lesions=(2, 1, 3, 2)
):
    hec = HecDetails(hd95, hd95 / 5, *volumes)
    counts = LesionCounts(*lesions)
    details = CaseDetails(hec, hec, hec, counts, LesionCounts(0, 0, 0, 0))
    return CaseResult(case_id, even(value), details, None if raters is None else even(raters))


def results(values, **keywords):
    names = [f"case_{number:05}" for number in range(len(values))]
    return {name: result(v, name, **keywords) for name, v in zip(names, values, strict=True)}


def table(summary, name, **where):
    rows = summary.tables[name]
    return [row for row in rows if all(row[column] == value for column, value in where.items())]


def test_scores_are_means_with_their_interval():
    summary = summarise({"ours": results([0.25, 0.5, 0.75, 1])})
    mean, low, high = table(summary, "scores", model="ours")
    assert (mean["of"], low["of"], high["of"]) == ("mean", "low", "high")
    assert mean["cases"] == 4
    assert low["D3"] < mean["D3"] < high["D3"]
    assert mean["MSD"] == 0.625


def test_annotators_stand_below_with_the_model_on_the_same_cases():
    cases = results([0.5, 0.25]) | {"case_00009": result(0.75, "case_00009", raters=0.9)}
    *_, human, same = table(summarise({"ours": cases}), "scores")
    assert (human["of"], human["cases"], human["MD"]) == ("annotators", 1, pytest.approx(0.9))
    assert (same["of"], same["cases"], same["MD"]) == ("mean on these", 1, 0.75)


def test_model_is_not_repeated_where_annotators_drew_every_case():
    rows = table(summarise({"ours": results([0.5, 0.25], raters=0.9)}), "scores")
    assert [row["of"] for row in rows] == ["mean", "low", "high", "annotators"]


def test_distances_are_over_the_cases_where_they_are_defined():
    cases = {str(n): result(0.5, str(n), hd95=d) for n, d in enumerate([5.0, 10.0, 30.0, nan])}
    row = table(summarise({"ours": cases}), "distances", **{"class": "Tumor"})[0]
    assert (row["cases"], row["hd95_mean_mm"], row["hd95_median_mm"]) == (3, 15, 10)
    assert (row["surface_distance_mean_mm"], row["surface_distance_median_mm"]) == (3, 2)


def test_volumes_that_are_too_large_and_too_small_do_not_cancel_in_the_absolute():
    cases = {"1": result(0.5, volumes=(10, 8)), "2": result(0.5, volumes=(4, 8))}
    for row in table(summarise({"ours": cases}), "volumes"):
        assert (row["mean_difference_ml"], row["mean_absolute_difference_ml"]) == (-1, 3)


def test_lesions_are_pooled_over_cases():
    cases = {"1": result(0.5, lesions=(1, 1, 1, 0)), "2": result(0.5, lesions=(3, 1, 4, 3))}
    mass, tumor = table(summarise({"ours": cases}), "lesions")
    assert (mass["class"], mass["lesions"], mass["predicted"]) == ("Kidney mass", 4, 5)
    assert (mass["sensitivity"], mass["precision"]) == (2 / 4, 2 / 5)
    assert mass["false_positives_per_case"] == 3 / 2
    assert tumor["false_positives_per_case"] == 0
    assert np.isnan([tumor["sensitivity"], tumor["precision"]]).all()


def test_subgroups_hold_the_cases_that_were_evaluated():
    groups = [
        Subgroup("sex", "male", ("case_00000", "case_00002", "case_00099")),
        Subgroup("sex", "female", ("case_00098",)),
    ]
    (row,) = summarise({"ours": results([0.5, 0, 0.75])}, groups).tables["subgroups"]
    assert (row["kind"], row["name"], row["cases"], row["MD"]) == ("sex", "male", 2, 0.625)


def test_worst_ten_cases_come_worst_first():
    values = np.random.default_rng(0).permutation(15) / 15
    worst = summarise({"ours": results(values)}).tables["worst_cases"]
    assert len(worst) == 10
    assert worst[0]["case"] == f"case_{int(values.argmin()):05}"
    assert all(a["MD"] < b["MD"] for a, b in pairwise(worst))


def test_models_are_ranked_on_the_cases_that_all_have():
    """On all of its cases a would win."""
    summary = summarise({"a": results([0.5, 0.5, 1, 1]), "b": results([0.6, 0.6])})
    ranking = summary.tables["ranking"]
    assert [(row["team_name"], row["final_rank"], row["cases"]) for row in ranking] == [
        ("b", 1, 2),
        ("a", 2, 2),
    ]
    assert len(summary.tables["paired_tests"]) == 8


def test_one_model_has_no_ranking_and_no_tests():
    summary = summarise({"ours": results([0.5])})
    assert summary.tables["ranking"] == summary.tables["paired_tests"] == []
    assert "Ranking" not in summary.to_markdown()


def test_models_without_a_common_case_are_not_ranked():
    summary = summarise({"a": {"1": result(0.5)}, "b": {"2": result(0.5)}})
    assert summary.tables["ranking"] == summary.tables["paired_tests"] == []


def test_model_without_cases_is_refused():
    with pytest.raises(EvaluationError, match="ours: no case"):
        summarise({"ours": {}})


def test_json_has_null_for_what_is_not_defined():
    found = summarise({"ours": results([0.5], hd95=nan)}).to_json()
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text)["distances"][0]["hd95_mean_mm"] is None
    assert json.loads(text)["lesions"][1]["sensitivity"] is None
    assert found["scores"][0]["MD"] == 0.5
    assert list(found) == list(TABLES)


def test_markdown_has_every_table_aligned():
    models = {
        "ours|new": results([0.5, 0.25], raters=0.9),
        "theirs": results([0.75, 0.5], hd95=nan),
    }
    groups = [Subgroup("sex", "male", ("case_00000",))]
    text = summarise(models, groups).to_markdown()
    assert text.count("## ") == len(TABLES)
    assert "nan" not in text
    for block in text.split("\n\n"):
        lines = block.strip().splitlines()
        if lines[0].startswith("|"):
            assert len({len(line) for line in lines}) == 1
            assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert "| ours\\|new | annotators |     2 | 0.9000 |" in text


def test_markdown_has_a_pair_of_models_in_two_rows():
    text = summarise({"a": results([1, 0.25, 0.25]), "b": results([0.25] * 3)}).to_markdown()
    tests = text.split("## Paired tests")[1]
    assert "| a     | b     |     3 | difference | 0.2500 |" in tests
    assert "| a     | b     |     3 | p          | 1.0000 |" in tests


def test_small_p_is_not_written_as_zero():
    better = np.linspace(0.6, 0.9, 20) ** 2 + 0.1
    text = summarise({"a": results(better), "b": results([0.1] * 20)}).to_markdown()
    assert "| a     | b     |    20 | p          | <0.0001 |" in text
