"""``renalseg models``: what an ensemble folder holds."""

from pathlib import Path

import typer

app = typer.Typer(no_args_is_help=True, help="Look at trained models.")


@app.command("info")
def info(
    folder: Path = typer.Argument(help="An ensemble folder, or one nnU-Net v2 model folder."),
    as_json: bool = typer.Option(False, "--json", help="Print the manifest as JSON."),
) -> None:
    """Say what an ensemble consists of."""
    from renalseg.models.ensemble import Ensemble

    ensemble = Ensemble.open(folder)
    manifest = ensemble.manifest
    if as_json:
        typer.echo(manifest.model_dump_json(indent=2))
        return
    for member in manifest.members:
        folds = ", ".join(str(fold) for fold in member.folds)
        stages = " then ".join(member.stages)
        typer.echo(f"{member.name}: {stages}, folds {folds}")
    typer.echo(f"post-processing: {'yes' if manifest.postprocess else 'no'}")
    typer.echo(f"trained on scans stored {manifest.storage}")
