"""``renalseg evaluate``: the challenge's scores of folders of predictions."""

from enum import StrEnum
from pathlib import Path

import typer

from renalseg.cli.console import Failures, bar, note, print_json

#: The tables that are printed; the summary that is written holds more.
SHOWN = ("scores", "lesions", "ranking", "paired_tests")


class Protocol(StrEnum):
    """Whose rules are followed."""

    KITS21 = "kits21"
    KITS23 = "kits23"


def command(
    predictions: list[Path] = typer.Argument(
        help="Folder with case_XXXXX.nii.gz; several are compared with one another."
    ),
    cohort: Path = typer.Option(..., "-r", "--references", help="Cohort in KiTS layout."),
    protocol: Protocol = typer.Option(
        Protocol.KITS21, help="kits21: mean over all plausible maps; kits23: the majority vote."
    ),
    output: Path | None = typer.Option(
        None,
        "-o",
        "--output",
        help="Folder for what is written; default: the predictions' folder. "
        "Needed for several folders of predictions.",
    ),
    jobs: int | None = typer.Option(
        None, "-j", "--jobs", min=1, help="Processes, with 1.5 GB each; default: one per core."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the statistics as JSON."),
) -> None:
    """Dice, Surface Dice and more of kidney and masses, masses, and tumors.

    Writes the challenge's CSV (evaluation_samples.csv for kits21, evaluation.csv for kits23),
    evaluation_details.csv (distances, volumes, lesions) and a summary with confidence intervals,
    subgroups, worst cases and, for several models, paired tests and a ranking. An interrupted
    run goes on where it was.
    """
    from renalseg.cohort import Cohort
    from renalseg.errors import EvaluationError
    from renalseg.evaluation.folder import prediction_files
    from renalseg.evaluation.run import evaluate
    from renalseg.workers import cores, worker_pool

    total = sum(len(prediction_files(folder)) for folder in predictions)
    references = Cohort.open(cohort)
    count = min(jobs or cores(), total)
    failures = Failures()
    try:
        with bar(total, "Scoring") as update, worker_pool(count) as pool:
            found = evaluate(
                predictions,
                references,
                pool,
                protocol=protocol.value,
                output=output,
                on_progress=update,
                on_problem=failures.add,
            )
    except EvaluationError as error:
        if failures.faults:  # it is one of renalseg that nothing could be evaluated
            failures.add(f"error: {error}")
            failures.leave()
        raise
    if as_json:
        print_json(
            {
                "files": [str(path) for path in found.files],
                "failed": found.problems,
                **found.summary.to_json(),
            }
        )
    else:
        typer.echo(found.summary.to_markdown(SHOWN))
        for name, absent in found.absent.items():
            rest = f"; {absent} of the cohort have no score" if absent else ""
            typer.echo(f"{name}: {len(found.results[name])} cases scored{rest}")
        for path in found.files:
            typer.echo(str(path))
    if found.problems:
        note(f"{found.problems} of {found.total} predictions could not be scored")
    failures.leave()
