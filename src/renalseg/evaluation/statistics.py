"""How sure a mean over cases is, and whether two models differ."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float
from scipy.stats import wilcoxon

from renalseg.errors import EvaluationError
from renalseg.labels import HECS
from renalseg.metrics.score import CaseScore

RESAMPLES = 9999
#: Differences are rounded, so that floating point neither breaks their ties nor hides zeros.
DECIMALS = 10


@dataclass(frozen=True)
class Figure:
    """A number that is reported of every case.

    Attributes:
        name: Its column in the paper's tables (Golts et al. 2021).
        column: Its column in the challenge's CSV files.
        title: What it is.
    """

    name: str
    column: str
    title: str


#: In the order of the paper's columns.
FIGURES = (
    *(Figure(f"D{n}", f"Dice_{h.column}", f"{h.title} Dice") for n, h in enumerate(HECS, 1)),
    *(Figure(f"SD{n}", f"SD_{h.column}", f"{h.title} Surface Dice") for n, h in enumerate(HECS, 1)),
    Figure("MD", "mean_dice", "Mean Dice of the HECs"),
    Figure("MSD", "mean_sd", "Mean Surface Dice of the HECs"),
)


def figures_of(score: CaseScore) -> tuple[float, ...]:
    """The values of ``FIGURES``, in their order."""
    dices = [score.of(hec).dice for hec in HECS]
    surfaces = [score.of(hec).surface_dice for hec in HECS]
    return (*dices, *surfaces, sum(dices) / len(HECS), sum(surfaces) / len(HECS))


@dataclass(frozen=True)
class Interval:
    """A mean over cases and its 95 % confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Two models on the cases that both have; a difference is the model minus the other.

    Attributes:
        figure: Name of the figure (``FIGURES``).
        cases: How many cases both models have.
        p: Of the two-sided Wilcoxon signed-rank test; 1 where no case differs.
        p_corrected: The same, by Holm's method for all tests made together.
    """

    model: str
    other: str
    figure: str
    cases: int
    median_difference: float
    mean_difference: float
    p: float
    p_corrected: float


def bootstrap(scores: Mapping[str, CaseScore], *, seed: int = 0) -> dict[str, Interval]:
    """Mean of every figure over cases, by its name, with its 95 % bootstrap percentile interval.

    Cases are drawn with replacement (Efron and Tibshirani 1993, chapter 13). A single case, and
    cases that are all equal, give an interval of no width.

    Raises:
        EvaluationError: If there is no case.
    """
    if not scores:
        raise EvaluationError("no scores to average")
    values = _table(scores, sorted(scores))
    # a resample is how often it draws each case, which makes all its means one matrix product
    random = np.random.default_rng(seed)
    draws = random.multinomial(len(values), np.full(len(values), 1 / len(values)), RESAMPLES)
    low, high = np.quantile(draws @ values / len(values), [0.025, 0.975], axis=0)
    columns = zip(FIGURES, values.mean(axis=0), low, high, strict=True)
    return {figure.name: Interval(*map(float, column)) for figure, *column in columns}


def compare(
    models: Mapping[str, Mapping[str, CaseScore]], baseline: str | None = None
) -> list[Comparison]:
    """Test every two models, or every model against a baseline where one is named, by every figure.

    Takes scores by model and case. Models without a case in common are not tested.

    Raises:
        EvaluationError: If the baseline is none of the models.
    """
    if baseline is None:
        pairs = list(combinations(models, 2))
    elif baseline in models:
        pairs = [(model, baseline) for model in models if model != baseline]
    else:
        raise EvaluationError(f"no model {baseline} to compare with; expected {', '.join(models)}")
    tests = []
    for model, other in pairs:
        if cases := sorted(models[model].keys() & models[other].keys()):
            differences = _table(models[model], cases) - _table(models[other], cases)
            columns = zip(FIGURES, differences.round(DECIMALS).T, strict=True)
            tests += [(model, other, figure.name, column) for figure, column in columns]
    p_values = [_signed_rank(column) for *_, column in tests]
    return [
        Comparison(a, b, figure, len(d), float(np.median(d)), float(d.mean()), p, corrected)
        for (a, b, figure, d), p, corrected in zip(tests, p_values, holm(p_values), strict=True)
    ]


def holm(p_values: list[float]) -> list[float]:
    """Correct p-values for many comparisons (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.take(p_values, order) * np.arange(len(p_values), 0, -1)
    corrected[order] = np.maximum.accumulate(corrected).clip(max=1)
    return [float(p) for p in corrected]


def _signed_rank(differences: Float[np.ndarray, " case"]) -> float:
    changed = differences[differences != 0]  # Wilcoxon leaves out what does not differ
    if not len(changed):
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # with few cases older versions approximate, and say so
        return float(wilcoxon(changed).pvalue)


def _table(scores: Mapping[str, CaseScore], cases: list[str]) -> Float[np.ndarray, "case figure"]:
    return np.array([figures_of(scores[case]) for case in cases])
