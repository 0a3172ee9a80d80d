"""``renalseg models``: what an ensemble folder holds, and the models of others."""

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from renalseg.cli.console import parts_bar, print_json
from renalseg.notices import printable

if TYPE_CHECKING:
    from renalseg.models.manifest import About

#: Beside the manifest of a model that is described.
CARD = "MODEL_CARD.md"

app = typer.Typer(no_args_is_help=True, help="Look at trained models, and install others'.")


@app.command("info")
def info(
    folder: Path = typer.Argument("default", help="As -m of predict."),
    as_json: bool = typer.Option(False, "--json", help="Print the manifest as JSON."),
) -> None:
    """Say what an ensemble consists of."""
    from renalseg.models.ensemble import Ensemble

    ensemble = Ensemble.open(folder)
    manifest = ensemble.manifest
    if as_json:
        typer.echo(manifest.as_json().rstrip())
        return
    if manifest.about:
        _show_about(manifest.about)
    for member in manifest.members:
        folds = ", ".join(str(fold) for fold in member.folds)
        stages = " then ".join(member.stages)
        typer.echo(f"{member.name}: {stages}, folds {folds}")
    typer.echo(f"folds averaged by {manifest.fold_average}")
    typer.echo(f"post-processing: {'yes' if manifest.postprocess else 'no'}")
    typer.echo(f"trained on scans stored {manifest.storage}")
    if (ensemble.folder / CARD).is_file():
        typer.echo(f"model card: {ensemble.folder / CARD}")


def _show_about(about: "About") -> None:
    """What a model's card says first."""
    from renalseg.provenance import NOTICE

    lines = (
        f"{about.name}, version {about.version}",
        f"licence of the weights: {about.licence}",
        f"trained on: {about.trained_on}",
        about.notice,
        NOTICE,
    )
    for line in lines:
        typer.echo(printable(line))


@app.command("list")
def list_(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """Name the model that comes along, published ones, and those that are installed."""
    from renalseg.errors import ModelError
    from renalseg.models.ensemble import Ensemble
    from renalseg.models.install import models_folder
    from renalseg.models.published import PUBLISHED

    about = Ensemble.open(Path("default")).manifest.about
    root: Path | None = None
    with suppress(ModelError):  # no home: nothing is installed
        root = models_folder()
    here = sorted(p.name for p in root.glob("[!.]*") if p.is_dir()) if root else []
    if as_json:
        published = [asdict(m) | {"installed": m.name in here} for m in PUBLISHED.values()]
        own = about.model_dump() if about else None
        print_json(
            {
                "default": own,
                "folder": root and str(root),
                "published": published,
                "installed": here,
            }
        )
        return
    if about:
        typer.echo(f"{about.name} (comes with renalseg)")
        typer.echo(f"    kidney, tumor, cyst: {about.trained_on}")
        typer.echo(f"    licence {about.licence}")
    for model in PUBLISHED.values():
        typer.echo(f"{model.name}{' (installed)' if model.name in here else ''}")
        typer.echo(f"    {model.what}")
        size = f"{model.size_bytes / 1e9:.1f} GB" if model.size_bytes else "size: see record"
        typer.echo(f"    licence {model.licence}; {size}")
        typer.echo(f"    {model.record}")
    others = [name for name in here if name not in PUBLISHED]
    if others:
        typer.echo(f"also in {root}: {', '.join(others)}")


@app.command("install")
def install(
    source: str = typer.Argument(
        metavar="NAME|FILE|URL",
        help="A name of `renalseg models list`, an address, or a zip or folder of nnU-Net v1 or v2 "
        "or of renalseg.",
    ),
    folder: Path | None = typer.Option(
        None, "-o", "--output", help="Where it goes; default: its name in ~/.renalseg/models."
    ),
    labels: str | None = typer.Option(
        None, help="Names of a v1 model's classes from 1 on, e.g. kidney,tumor,cyst."
    ),
) -> None:
    """Fetch a model, convert it if it is nnU-Net v1's, try it, and keep it.

    A download that was interrupted goes on. Nothing stays of a model that is damaged or unsafe.
    """
    from renalseg.models.install import install as install_model

    with parts_bar() as show:
        done = install_model(source, folder, labels.split(",") if labels else None, show)
    stands = "stands already" if done.was_there else "installed"
    typer.echo(f"{stands}: {done.folder}")
    for name, folds in done.models.items():
        typer.echo(f"  {name}: {folds} fold{'s' if folds > 1 else ''}")
    if done.is_ensemble:
        typer.echo(f"segment a scan:  renalseg predict SCAN -m {done.folder}")
    typer.echo(f"start from it:   weights: {done.folder}  (in an experiment file)")
