"""``renalseg evaluate``: the challenge's scores of a folder of predictions."""

from enum import StrEnum
from pathlib import Path

import typer

from renalseg.cli.console import note, print_json, tracked


class Protocol(StrEnum):
    """Whose rules are followed."""

    KITS21 = "kits21"
    KITS23 = "kits23"


def command(
    predictions: Path = typer.Argument(help="Folder with case_XXXXX.nii.gz."),
    cohort: Path = typer.Option(..., "-r", "--references", help="Cohort in KiTS layout."),
    protocol: Protocol = typer.Option(
        Protocol.KITS21, help="kits21: mean over all plausible maps; kits23: the majority vote."
    ),
    output: Path | None = typer.Option(
        None, "-o", "--output", help="Folder for the CSV file; default: the predictions' folder."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print the mean scores as JSON."),
) -> None:
    """Dice and Surface Dice of kidney and masses, masses, and tumors, per case and on average."""
    from dataclasses import asdict

    from renalseg.cohort import Cohort
    from renalseg.experiment.scoring import FILES, prediction_files, score_folder
    from renalseg.labels import HECS
    from renalseg.metrics import mean_score, write_scores

    total = len(prediction_files(predictions))
    scores, failed = {}, 0
    with tracked(
        score_folder(predictions, Cohort.open(cohort), protocol.value), total, "Scoring"
    ) as all_:
        for scored in all_:
            if scored.score is None:
                failed += 1
                note(f"{scored.case_id}: {scored.problem}")
            else:
                scores[scored.case_id] = scored.score
    if scores:
        folder = output or predictions
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILES[protocol.value]
        write_scores(scores, path)
        mean = mean_score(scores.values())
        if as_json:
            print_json({"file": str(path), "cases": len(scores), "mean": asdict(mean)})
        else:
            for hec in HECS:
                score = mean.of(hec)
                typer.echo(
                    f"{hec.title:<18} Dice {score.dice:.4f}   Surface Dice {score.surface_dice:.4f}"
                )
            typer.echo(f"{len(scores)} of {total} cases: {path}")
    if failed:
        raise typer.Exit(1)
