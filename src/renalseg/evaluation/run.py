"""``renalseg evaluate`` as one call: predictions in, CSV files and a summary out."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from renalseg.cohort import Cohort, Protocol
from renalseg.errors import EvaluationError
from renalseg.evaluation.details_file import DETAILS_FILE, write_details
from renalseg.evaluation.folder import evaluate_folder, prediction_files
from renalseg.evaluation.ranking import RANKING_COLUMNS, rank, write_ranking
from renalseg.evaluation.result import CaseResult
from renalseg.evaluation.subgroups import find_clinical, read_clinical, subgroups
from renalseg.evaluation.summary import Summary, summarise
from renalseg.faults import Problem
from renalseg.files import write_json, write_text
from renalseg.metrics import mean_score, write_scores
from renalseg.metrics.scores_file import MAJORITY_FILE, SAMPLES_FILE
from renalseg.outputs import Inputs, begins_with, check_output

#: The challenge's file of scores.
SCORES_FILES: dict[Protocol, str] = {"kits21": SAMPLES_FILE, "kits23": MAJORITY_FILE}
SUMMARY = "evaluation_summary"
RANKING_FILE = "ranking.csv"
#: Results by case, from which an interrupted run goes on.
KEPT = "evaluation_cases"


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found and where it stands.

    Attributes:
        results: By model, by case.
        problems: How many predictions could not be evaluated.
        total: How many predictions there are.
        absent: Of the cohort's cases, how many lack a prediction, by model.
        summary: Statistics over cases.
        files: What was written.
    """

    results: dict[str, dict[str, CaseResult]]
    problems: int
    total: int
    absent: dict[str, int]
    summary: Summary
    files: tuple[Path, ...]


def evaluate(
    folders: Sequence[Path],
    cohort: Cohort,
    pool: Executor,
    *,
    protocol: Protocol = "kits21",
    output: Path | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    on_problem: Callable[[Problem], None] | None = None,
) -> Evaluation:
    """Evaluate one or several models' predictions.

    A model's scores (``evaluation_samples.csv`` for KiTS21, ``evaluation.csv`` for KiTS23), details
    and summary go into ``output``, by default the folder of its predictions; those of several
    models into a folder each, beside a summary that compares them and the challenge's ranking.

    Args:
        folders: A folder of ``case_XXXXX.nii.gz`` per model; its name is the model's.
        cohort: The references.
        pool: Where cases are evaluated.
        protocol: Whose rules are followed.
        output: Where results go; needed for several models.
        on_progress: Called with finished and all predictions.
        on_problem: Told of each prediction that could not be evaluated, and why.

    Raises:
        EvaluationError: There is nothing that could be evaluated, or no place for the results.
        OutputError: Results cannot be written, or would replace files of others.
    """
    homes = _homes(folders, output)
    _check_places(homes, output, protocol, Inputs(cohort.folder))
    total = sum(len(prediction_files(folder)) for folder in folders)
    results: dict[str, dict[str, CaseResult]] = {}
    files: list[Path] = []
    done = problems = 0
    for folder, (name, home) in zip(folders, homes.items(), strict=True):
        found: dict[str, CaseResult] = {}
        for one in evaluate_folder(folder, cohort, protocol, home / KEPT / protocol, pool):
            done += 1
            if one.problem is not None:
                problems += 1
                if on_problem:
                    on_problem(one.problem)
            elif one.result is not None:
                found[one.case_id] = one.result
            if on_progress:
                on_progress(done, total)
        if not found:
            raise EvaluationError(f"{folder}: none of its predictions could be evaluated")
        results[name] = found
        files += _write_model(found, home, protocol)
    clinical = find_clinical(cohort.folder)
    cases = sorted({case_id for found in results.values() for case_id in found})
    groups = subgroups(read_clinical(clinical), cases) if clinical else ()
    summary = summarise(results, groups)
    files += _write_summary(results, summary, homes, output)
    absent = {name: len(cohort.cases) - len(found) for name, found in results.items()}
    return Evaluation(results, problems, total, absent, summary, tuple(files))


def _homes(folders: Sequence[Path], output: Path | None) -> dict[str, Path]:
    """Where each model's results go, by its name."""
    names = [folder.resolve().name for folder in folders]
    if len(folders) == 1:
        return {names[0]: output or folders[0]}
    if output is None:
        raise EvaluationError("several folders of predictions: say with -o where results go")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise EvaluationError(
            f"two folders of predictions are called {twice[0]}, and so would be their models; "
            "rename one"
        )
    return {name: output / name for name in names}


def _check_places(
    homes: dict[str, Path], output: Path | None, protocol: Protocol, inputs: Inputs
) -> None:
    """Refuse places that cannot be written, and files there that are not of an evaluation."""
    table = begins_with("caseID,")
    for home in homes.values():
        for name in (SCORES_FILES[protocol], DETAILS_FILE):
            check_output(home / name, inputs, is_ours=table)
    home = output or next(iter(homes.values()))
    check_output(home / f"{SUMMARY}.md", inputs, is_ours=begins_with("## "))
    check_output(home / f"{SUMMARY}.json", inputs, is_ours=begins_with('{\n  "scores"'))
    check_output(home / RANKING_FILE, inputs, is_ours=begins_with(",".join(RANKING_COLUMNS)))


def _write_model(found: dict[str, CaseResult], home: Path, protocol: Protocol) -> list[Path]:
    home.mkdir(parents=True, exist_ok=True)
    scores, details = home / SCORES_FILES[protocol], home / DETAILS_FILE
    write_scores({name: result.score for name, result in found.items()}, scores)
    write_details(found, details)
    return [scores, details]


def _write_summary(
    results: dict[str, dict[str, CaseResult]],
    summary: Summary,
    homes: dict[str, Path],
    output: Path | None,
) -> list[Path]:
    home = output or next(iter(homes.values()))
    markdown, plain = home / f"{SUMMARY}.md", home / f"{SUMMARY}.json"
    write_text(summary.to_markdown(), markdown)
    write_json(summary.to_json(), plain)
    if len(results) == 1:
        return [markdown, plain]
    shared = set.intersection(*(set(found) for found in results.values()))
    if not shared:
        return [markdown, plain]
    means = {
        name: mean_score(found[case_id].score for case_id in sorted(shared))
        for name, found in results.items()
    }
    write_ranking(rank(means), home / RANKING_FILE)
    return [markdown, plain, home / RANKING_FILE]
