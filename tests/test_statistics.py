import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, wilcoxon

from renalseg.errors import EvaluationError
from renalseg.evaluation.statistics import FIGURES, Interval, bootstrap, compare, figures_of, holm
from renalseg.metrics import CaseScore, HecScore
from renalseg.metrics.scores_file import COLUMNS

NAMES = [figure.name for figure in FIGURES]


def even(value):
    """A score with one value throughout."""
    return CaseScore(*[HecScore(value, value)] * 3)


def scores(values):
    return {f"case_{number:05}": even(value) for number, value in enumerate(values)}


def test_figures_are_the_papers_columns_and_the_challenges():
    assert NAMES == ["D1", "D2", "D3", "SD1", "SD2", "SD3", "MD", "MSD"]
    assert tuple(figure.column for figure in FIGURES[:6]) == COLUMNS[1:]


def test_figures_of_a_score():
    score = CaseScore(HecScore(0.75, 0.5), HecScore(0.5, 0.25), HecScore(0.25, 0))
    assert figures_of(score) == (0.75, 0.5, 0.25, 0.5, 0.25, 0, 0.5, 0.25)


def test_interval_is_that_of_the_binomial_distribution():
    """Where a case scores 0 or 1, the mean of a resample is a binomial count over the cases."""
    found = bootstrap(scores([1] * 30 + [0] * 10))["MD"]
    assert found.mean == 0.75
    assert (found.low, found.high) == pytest.approx(binom(40, 0.75).interval(0.95) / np.array(40))


def test_interval_is_the_same_again_and_another_with_another_seed():
    values = scores(np.random.default_rng(0).random(20))
    assert bootstrap(values) == bootstrap(values)
    assert bootstrap(values) != bootstrap(values, seed=1)


def test_figures_have_intervals_of_their_own():
    cases = {str(n): CaseScore(HecScore(1, n), HecScore(1, n), HecScore(n, n)) for n in (0, 1)}
    found = bootstrap(cases)
    assert list(found) == NAMES
    assert found["D1"] == Interval(1, 1, 1)
    assert found["D3"] == Interval(0.5, 0, 1)
    assert found["MD"].low == pytest.approx(2 / 3)


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_equal_cases_and_a_single_one_have_no_width(count):
    for interval in bootstrap(scores([0.3] * count)).values():
        assert (interval.mean, interval.low, interval.high) == pytest.approx((0.3, 0.3, 0.3))


def test_no_case_has_no_mean():
    with pytest.raises(EvaluationError, match="no scores"):
        bootstrap({})


def test_pair_is_tested_on_the_cases_that_both_have():
    random = np.random.default_rng(1)
    ours, theirs = random.random(25), random.random(30)
    found = compare({"ours": scores(ours), "theirs": scores(theirs)})
    assert [comparison.figure for comparison in found] == NAMES
    difference = ours - theirs[:25]
    for comparison in found:
        assert (comparison.model, comparison.other, comparison.cases) == ("ours", "theirs", 25)
        assert comparison.median_difference == pytest.approx(np.median(difference))
        assert comparison.mean_difference == pytest.approx(difference.mean())
        assert comparison.p == pytest.approx(wilcoxon(difference).pvalue)
        assert comparison.p_corrected == pytest.approx(min(1, 8 * comparison.p))


@pytest.mark.parametrize("count", [1, 6, 60])
def test_models_that_never_differ_have_p_1(count):
    same = scores(np.linspace(0, 1, count))
    found = compare({"a": same, "b": dict(same)})
    assert {(c.p, c.p_corrected, c.median_difference) for c in found} == {(1, 1, 0)}


def test_difference_that_is_only_rounding_is_none():
    found = compare({"a": scores([0.1 + 0.2] * 9), "b": scores([0.3] * 9)})
    assert {comparison.p for comparison in found} == {1}


@pytest.mark.parametrize(
    "differences", [[0.1], [0, 0, 0.1], [0.1, -0.1, 0, 0.1], [0.1] * 20 + [0] * 40]
)
def test_ties_and_zeros_give_a_p_value_and_no_warning(differences):
    found = compare({"a": scores(np.add(differences, 0.5)), "b": scores([0.5] * len(differences))})
    assert all(0 < comparison.p <= 1 for comparison in found)


def test_six_cases_all_better_have_the_smallest_exact_p():
    """2 of the 2^6 ways to sign six differences are as extreme."""
    better = scores([0.61, 0.62, 0.64, 0.68, 0.76, 0.92])
    assert compare({"a": better, "b": scores([0.5] * 6)})[0].p == pytest.approx(2 / 2**6)


def pairs(comparisons):
    return list(dict.fromkeys((comparison.model, comparison.other) for comparison in comparisons))


def test_every_pair_or_each_against_the_baseline():
    models = dict.fromkeys("abc", scores([0.5, 0.6]))
    assert pairs(compare(models)) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert pairs(compare(models, "b")) == [("a", "b"), ("c", "b")]
    with pytest.raises(EvaluationError, match="no model d to compare with; expected a, b, c"):
        compare(models, "d")


def test_models_without_a_common_case_are_not_tested():
    assert compare({"a": {"case_1": even(0.5)}, "b": {"case_2": even(0.5)}}) == []
    assert compare({"a": scores([0.5])}) == compare({}) == []


def adjusted_by_the_book(p_values):
    """Holm 1979: the i-th smallest of m times m - i + 1, and no less than the ones before."""
    found = {}
    worst = 0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        worst = max(worst, min(1, (len(p_values) - place) * p_values[index]))
        found[index] = worst
    return [found[index] for index in range(len(p_values))]


@given(st.lists(st.floats(0, 1) | st.sampled_from([0.01, 0.02, 0.5]), max_size=12))
def test_correction_is_holms(p_values):
    assert holm(p_values) == pytest.approx(adjusted_by_the_book(p_values))


def test_correction_counts_all_tests_of_all_pairs():
    random = np.random.default_rng(2)
    models = {name: scores(random.random(15)) for name in "abc"}
    found = compare(models)
    assert len(found) == 3 * 8
    assert [c.p_corrected for c in found] == pytest.approx(
        adjusted_by_the_book([c.p for c in found])
    )
