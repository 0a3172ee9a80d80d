"""The rows of a summary's tables."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite, nan
from statistics import fmean, median

from renalseg.evaluation.result import CaseResult
from renalseg.evaluation.statistics import FIGURES, bootstrap, figures_of
from renalseg.evaluation.subgroups import Subgroup
from renalseg.labels import HECS
from renalseg.metrics.details import LesionCounts
from renalseg.metrics.score import CaseScore
from renalseg.metrics.scores_file import mean_score

#: Values by column; NaN where one is not defined.
Row = Mapping[str, str | int | float]


def score_rows(results: Mapping[str, CaseResult]) -> Iterator[Row]:
    """Mean figures, their 95 % interval, and the agreement of the annotators.

    The annotators' row is over the cases that several drew; where these are not all, the model's
    mean over them stands below.

    Raises:
        EvaluationError: If there is no case.
    """
    intervals = bootstrap({case: result.score for case, result in results.items()})
    for of in ("mean", "low", "high"):
        figures: dict[str, float] = {name: getattr(i, of) for name, i in intervals.items()}
        yield {"of": of, "cases": len(results), **figures}
    rated = [(result.raters, result.score) for result in results.values() if result.raters]
    if rated:
        yield {"of": "annotators", **mean_row([raters for raters, _ in rated])}
        if len(rated) < len(results):
            yield {"of": "mean on these", **mean_row([score for _, score in rated])}


def mean_row(scores: Sequence[CaseScore]) -> Row:
    """Mean figures over cases."""
    return {"cases": len(scores), **by_figure(mean_score(scores))}


def by_figure(score: CaseScore) -> dict[str, float]:
    """The figures by their names."""
    return {f.name: value for f, value in zip(FIGURES, figures_of(score), strict=True)}


def distance_rows(results: Sequence[CaseResult]) -> Iterator[Row]:
    """Surface distances of every HEC, over the cases where they are defined."""
    for hec in HECS:
        details = [result.details.of(hec) for result in results]
        hd95 = [d.hd95_mm for d in details if isfinite(d.hd95_mm)]
        mean = [d.mean_surface_distance_mm for d in details if isfinite(d.hd95_mm)]
        yield {
            "class": hec.title,
            "cases": len(hd95),
            "hd95_mean_mm": fmean(hd95) if hd95 else nan,
            "hd95_median_mm": median(hd95) if hd95 else nan,
            "surface_distance_mean_mm": fmean(mean) if mean else nan,
            "surface_distance_median_mm": median(mean) if mean else nan,
        }


def volume_rows(results: Sequence[CaseResult]) -> Iterator[Row]:
    """Differences in volume of every HEC, prediction minus reference."""
    for hec in HECS:
        differences = [result.details.of(hec).volume_difference_ml for result in results]
        yield {
            "class": hec.title,
            "cases": len(results),
            "mean_difference_ml": fmean(differences),
            "mean_absolute_difference_ml": fmean(map(abs, differences)),
        }


def lesion_rows(results: Sequence[CaseResult]) -> Iterator[Row]:
    """Masses and tumors found and invented, pooled over cases."""
    for hec, lesions in zip(HECS[1:], ("mass_lesions", "tumor_lesions"), strict=True):
        found: list[LesionCounts] = [getattr(result.details, lesions) for result in results]
        counts = sum(found, LesionCounts(0, 0, 0, 0))
        yield {
            "class": hec.title,
            "cases": len(results),
            "lesions": counts.reference,
            "predicted": counts.predicted,
            "sensitivity": counts.sensitivity,
            "precision": counts.precision,
            "false_positives_per_case": counts.false_positive / len(results),
        }


def subgroup_rows(
    scores: Mapping[str, Mapping[str, CaseScore]], groups: Iterable[Subgroup]
) -> Iterator[Row]:
    """Mean figures of every group, one model below the other; scores are by model and case."""
    for group in groups:
        for model, by_case in scores.items():
            if known := [by_case[case] for case in group.case_ids if case in by_case]:
                yield {"kind": group.kind, "name": group.name, "model": model, **mean_row(known)}


def worst_rows(scores: Mapping[str, CaseScore], count: int) -> Iterator[Row]:
    """The cases with the lowest mean Dice, the lowest first."""
    figures = {case: by_figure(score) for case, score in sorted(scores.items())}
    for case in sorted(figures, key=lambda case: figures[case]["MD"])[:count]:
        yield {"case": case, **figures[case]}
