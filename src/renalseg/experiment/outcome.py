"""What an experiment found: scores, tables, page."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from renalseg.cohort import Cohort
from renalseg.evaluation.details_file import DETAILS_FILE, write_details
from renalseg.evaluation.result import CaseResult
from renalseg.evaluation.subgroups import find_clinical, read_clinical, subgroups
from renalseg.evaluation.summary import summarise
from renalseg.experiment.cohorts import LIVER_DATASET
from renalseg.experiment.heldout import POSTPROCESSED, prediction_path
from renalseg.experiment.paper_tables import best_model, fill
from renalseg.experiment.progress import Reporter, stage
from renalseg.experiment.runner import Job, ensemble_folder, predictions_folder
from renalseg.experiment.scoring import evaluate_sets
from renalseg.experiment.table_format import TableFormat
from renalseg.experiment.tables import Scores, Table
from renalseg.experiment.tables_text import write_tables
from renalseg.files import write_text
from renalseg.labels import HECS
from renalseg.metrics import CaseScore, mean_score, write_scores
from renalseg.metrics.scores_file import SAMPLES_FILE
from renalseg.models.plans import FULLRES, LOWRES
from renalseg.report import CaseView, Curve, DrawnCase, draw, write_report
from renalseg.report.method import Method
from renalseg.report.method_figure import method_svg
from renalseg.training.curves import CURVES
from renalseg.training.dataset import TrainingCase
from renalseg.volume import read_image, read_labels

#: Beside the tables: what a reviewer asks of them.
STATISTICS = "statistics.md"
#: The recipe that the others are tested against; where it was not run, the final ensemble.
BASELINE = "baseline"


@dataclass(frozen=True)
class Outcome:
    """The results of an experiment and where they stand.

    Attributes:
        results: Mean scores over held-out cases, by recipe or ensemble.
        filled: The paper's tables with our figures.
        tables: The files that they are written to.
        report: ``report.html``.
        ensemble: The final ensemble's folder, or None where a member was not trained.
        headline: The final ensemble, cleaned; the best model where that was not made.
        to_look_at: A held-out scan with the mask that was found in it, if one was predicted.
    """

    results: dict[str, Scores]
    filled: tuple[Table, ...]
    tables: Mapping[TableFormat, Path]
    report: Path
    ensemble: Path | None
    headline: str | None = None
    to_look_at: tuple[Path, Path] | None = None

    def text(self, form: TableFormat = TableFormat.MARKDOWN) -> str:
        """The tables as they are written."""
        return write_tables(self.filled, form)

    def summary(self) -> dict[str, tuple[float, float]]:
        """Dice and Surface Dice per HEC of the final ensemble, or of the best model without it."""
        if self.headline is None:
            return {}
        values = self.results[self.headline].values
        return {hec.title: (values[i], values[i + 3]) for i, hec in enumerate(HECS)}


def conclude(
    job: Job, cohort: Cohort, pool: Executor, reporter: Reporter, notes: Sequence[str] = ()
) -> Outcome:
    """Score what was held out, fill the tables, and write the page."""
    root = job.workspace.root
    names = list(job.sets())
    if job.experiment.final in names:
        names.append(job.experiment.final + POSTPROCESSED)
    held_out = sorted(name for _, name in job.held_out)
    with stage(reporter, f"score {len(names)} models on {len(held_out)} held-out cases"):
        found = _evaluate(job, cohort, names, held_out, pool, reporter)
    scores = {name: {c: r.score for c, r in of.items()} for name, of in found.items()}
    results = {name: Scores.of(mean_score(of.values())) for name, of in scores.items()}
    filled = fill(results, job.experiment)
    tables = {form: root / form.file_name for form in TableFormat}
    for form, path in tables.items():
        write_text(write_tables(filled, form), path)
    report = root / "report.html"
    _write_statistics(job, cohort, found)
    final = job.experiment.final + POSTPROCESSED
    best = final if final in results else best_model(results, results)
    outcome = Outcome(
        results, filled, tables, report, _ensemble(job), best, _to_look_at(job, names)
    )
    with stage(reporter, "draw the page"):
        write_report(
            report,
            tables=filled,
            curves=list(_curves(job)),
            method=method_svg(Method.of(job.experiment)),
            cases=_draw(job, scores.get(best, {}) if best else {}, held_out, pool, reporter),
            title=f"renalseg: experiment {job.experiment.name}",
            summary=[
                (
                    "Cases",
                    f"{len(job.training_set.cases)}, {len(held_out)} of them held out in turn",
                ),
                ("Folds", f"{len(job.folds)} of {job.experiment.splits}"),
                *(
                    (hec, f"Dice {dice:.3f}, Surface Dice {surface:.3f}")
                    for hec, (dice, surface) in outcome.summary().items()
                ),
            ],
            notes=list(notes),
        )
    return outcome


def _to_look_at(job: Job, names: Sequence[str]) -> tuple[Path, Path] | None:
    """A held-out scan, and what the best model found in it."""
    folder = predictions_folder(job.workspace)
    images = {case.case_id: case.image for case in job.training_set.cases}
    for _, case_id in sorted(job.held_out, key=lambda held_out: held_out[1]):
        for name in reversed(names):
            mask = prediction_path(folder, name, case_id)
            if mask.is_file():
                return images[case_id], mask
    return None


def _evaluate(
    job: Job,
    cohort: Cohort,
    names: Sequence[str],
    held_out: Sequence[str],
    pool: Executor,
    reporter: Reporter,
) -> dict[str, dict[str, CaseResult]]:
    folder = predictions_folder(job.workspace)
    cases = [case for case in cohort.cases if case.case_id in held_out]
    results: dict[str, dict[str, CaseResult]] = {name: {} for name in names}
    for done, (case_id, found) in enumerate(evaluate_sets(folder, names, cases, pool)):
        reporter.update(done + 1, len(held_out))
        for name, result in found.items():
            results[name][case_id] = result
    for name, cases_of in results.items():
        if cases_of:
            write_scores({c: r.score for c, r in cases_of.items()}, folder / name / SAMPLES_FILE)
            write_details(cases_of, folder / name / DETAILS_FILE)
    return {name: cases_of for name, cases_of in results.items() if cases_of}


def _write_statistics(job: Job, cohort: Cohort, found: dict[str, dict[str, CaseResult]]) -> None:
    """Intervals, subgroups, worst cases, and tests of every model against one."""
    if not found:
        return
    clinical = find_clinical(cohort.folder)
    cases = sorted({case_id for of in found.values() for case_id in of})
    groups = subgroups(read_clinical(clinical), cases) if clinical else ()
    wanted = (BASELINE, job.experiment.final)
    against = next((name for name in wanted if name in found), None)
    summary = summarise(found, groups, baseline=against)
    write_text(summary.to_markdown(), job.workspace.root / STATISTICS)


def _draw(
    job: Job,
    scores: Mapping[str, CaseScore],
    held_out: Sequence[str],
    pool: Executor,
    reporter: Reporter,
) -> Iterator[DrawnCase]:
    """Draw every held-out case that has a prediction."""
    folder, final = predictions_folder(job.workspace), job.experiment.final
    cases = {case.case_id: case for case in job.training_set.cases}
    futures = []
    for case_id in held_out:
        before = prediction_path(folder, final, case_id)
        after = prediction_path(folder, final + POSTPROCESSED, case_id)
        if before.is_file() and after.is_file():
            arguments = (cases[case_id], before, after, scores.get(case_id))
            futures.append(pool.submit(_draw_case, *arguments))
    for done, future in enumerate(futures, 1):
        yield future.result()
        reporter.update(done, len(futures))


def _draw_case(case: TrainingCase, before: Path, after: Path, score: CaseScore | None) -> DrawnCase:
    """Draw one case; runs in a worker."""
    image = read_image(case.image)
    return draw(
        CaseView(
            case_id=case.case_id,
            image=image.array,
            reference=case.labels("majority").array,
            before=read_labels(before).array,
            after=read_labels(after).array,
            spacing_mm=image.spacing_mm,
            scores=score,
        )
    )


def _curves(job: Job) -> Iterator[Curve]:
    first = [job.experiment.pretraining_recipe(name) for name in (FULLRES, LOWRES)]
    runs = [(recipe, LIVER_DATASET) for recipe in first]
    runs += [(recipe, job.dataset) for recipe in job.trained]
    for recipe, dataset in runs:
        for name in recipe.stages:
            model = job.workspace.model(recipe.name, dataset, name)
            for path in sorted(model.glob(f"fold_*/{CURVES}")):
                content = json.loads(path.read_text())
                yield Curve(
                    name=f"{recipe.name} {name}",
                    fold=int(path.parent.name.removeprefix("fold_")),
                    train_loss=tuple(content["train_losses"]),
                    val_loss=tuple(content["val_losses"]),
                    dice=tuple(content["mean_fg_dice"]),
                )


def _ensemble(job: Job) -> Path | None:
    folder = ensemble_folder(job.workspace)
    return folder if folder.is_dir() else None
