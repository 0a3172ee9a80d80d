"""What a reviewer asks of the results of one or several models, as tables."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from math import isnan

from renalseg.errors import EvaluationError
from renalseg.evaluation import rows
from renalseg.evaluation.ranking import rank
from renalseg.evaluation.result import CaseResult
from renalseg.evaluation.rows import Row
from renalseg.evaluation.statistics import compare
from renalseg.evaluation.subgroups import Subgroup
from renalseg.labels import HECS
from renalseg.metrics.score import CaseScore
from renalseg.metrics.scores_file import mean_score

WORST = 10
#: The tables of a summary, and what stands above each.
TABLES = {
    "scores": "Means over cases; low and high bound the 95 % bootstrap interval. Annotators: mean "
    "agreement of two of them. D and SD: Dice and Surface Dice of "
    + ", ".join(f"{hec.title.lower()} ({number})" for number, hec in enumerate(HECS, 1))
    + "; MD and MSD: their means.",
    "distances": "Surface distances, over the cases where neither mask is empty, or both are.",
    "volumes": "Prediction minus reference; absolute: mean size of the difference.",
    "lesions": "26-connected components, pooled over cases; one shared voxel is a detection.",
    "subgroups": "Means over their cases.",
    "worst_cases": f"The {WORST} with the lowest mean Dice.",
    "ranking": "The rule of KiTS21, on the cases that all models have.",
    "paired_tests": "Two-sided Wilcoxon signed-rank tests on the cases that both models have: mean "
    "difference, model minus other, and p, corrected for all tests (Holm).",
}


@dataclass(frozen=True)
class Summary:
    """Tables by name (``TABLES``), as rows by column; NaN where a value is not defined."""

    tables: Mapping[str, Sequence[Row]]

    def to_json(self) -> dict[str, list[dict[str, str | int | float | None]]]:
        """Plain values; None for what is not defined."""
        return {
            name: [{column: _known(value) for column, value in row.items()} for row in table]
            for name, table in self.tables.items()
        }

    def to_markdown(self, names: Sequence[str] = tuple(TABLES)) -> str:
        """The named tables that have rows, each below a heading and what it says."""
        tables = {**self.tables, "paired_tests": _by_pair(self.tables["paired_tests"])}
        shown = {name: tables[name] for name in names}
        return "\n".join(
            f"## {_title(name).capitalize()}\n\n{TABLES[name]}\n\n{_markdown(table)}\n"
            for name, table in shown.items()
            if table
        )


def summarise(
    results: Mapping[str, Mapping[str, CaseResult]],
    groups: Sequence[Subgroup] = (),
    *,
    baseline: str | None = None,
) -> Summary:
    """Summarise the results of models.

    Args:
        results: By model and case.
        groups: Subgroups of the cases; none where nothing is known of the patients.
        baseline: The model that the others are tested against; None tests every two.

    Raises:
        EvaluationError: If a model has no case, or the baseline is none of the models.
    """
    tables: dict[str, list[Row]] = {name: [] for name in TABLES}
    scores = {model: {c: r.score for c, r in cases.items()} for model, cases in results.items()}
    for model, cases in results.items():
        if not cases:
            raise EvaluationError(f"{model}: no case to summarise")
        listed = list(cases.values())
        for name, found in (
            ("scores", rows.score_rows(cases)),
            ("distances", rows.distance_rows(listed)),
            ("volumes", rows.volume_rows(listed)),
            ("lesions", rows.lesion_rows(listed)),
            ("worst_cases", rows.worst_rows(scores[model], WORST)),
        ):
            tables[name] += [{"model": model, **row} for row in found]
    tables["subgroups"] = list(rows.subgroup_rows(scores, groups))
    if len(results) > 1:
        tables["ranking"] = _ranking(scores)
    tables["paired_tests"] = [asdict(comparison) for comparison in compare(scores, baseline)]
    return Summary(tables)


def _ranking(scores: Mapping[str, Mapping[str, CaseScore]]) -> list[Row]:
    shared = sorted(set.intersection(*(set(by_case) for by_case in scores.values())))
    means = {
        m: mean_score(by_case[case] for case in shared) for m, by_case in scores.items() if shared
    }
    return [{**asdict(ranked), "cases": len(shared)} for ranked in rank(means)]


def _by_pair(tests: Sequence[Row]) -> list[Row]:
    """Two rows a pair of models: differences and corrected p-values by figure."""
    shown: list[Row] = []
    for (model, other, cases), group in groupby(
        tests, lambda t: (t["model"], t["other"], t["cases"])
    ):
        listed = list(group)
        pair = {"model": model, "other": other, "cases": cases}
        differences = {str(test["figure"]): test["mean_difference"] for test in listed}
        p_values = {str(test["figure"]): _p_text(test["p_corrected"]) for test in listed}
        shown += [{**pair, "of": "difference", **differences}, {**pair, "of": "p", **p_values}]
    return shown


def _markdown(table: Sequence[Row]) -> str:
    """Aligned columns: words to the left, numbers to the right."""
    columns = list(table[0])
    lines = [[_title(column) for column in columns]]
    lines += [[_text(column, row[column]) for column in columns] for row in table]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    sides = ["<" if isinstance(table[0][column], str) else ">" for column in columns]
    rule = [f"{'-' if s == '<' else ':':->{w}}" for s, w in zip(sides, widths, strict=True)]
    formats = [f"{{:{s}{w}}}" for s, w in zip(sides, widths, strict=True)]
    row = f"| {' | '.join(formats)} |"
    return "\n".join(row.format(*cells) for cells in (lines[0], rule, *lines[1:]))


def _text(column: str, value: str | int | float) -> str:
    if isinstance(value, str):
        return value.replace("|", "\\|")
    if isinstance(value, int):
        return str(value)
    if isnan(value):
        return "-"
    if column.endswith(("_mm", "_ml")):
        return f"{value:z.2f}"
    return f"{value:z.4f}"


def _p_text(p: str | int | float) -> str:
    return "<0.0001" if float(p) < 0.0001 else f"{p:.4f}"


def _title(name: str) -> str:
    return name.replace("_", " ")


def _known(value: str | int | float) -> str | int | float | None:
    return None if isinstance(value, float) and isnan(value) else value
