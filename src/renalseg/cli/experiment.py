"""``renalseg experiment``: recipes times folds, and the paper's tables."""

import json
from pathlib import Path
from typing import Any

import typer

from renalseg.cli.console import duration, note
from renalseg.cli.reporter import JOBS, TerminalReporter
from renalseg.experiment.table_format import TableFormat

app = typer.Typer(no_args_is_help=True, help="Train the paper's models and print its tables.")

CONFIG = typer.Argument(
    metavar="CONFIG", help="An experiment file; paper.yaml and demo.yaml come with renalseg."
)
COHORT = typer.Option(
    Path(), "-c", "--cohort", help="Cohort in KiTS21, KiTS23 or KiTS19 layout; default: here."
)
OUTPUT = typer.Option(
    Path("renalseg-experiment"), "-o", "--output", help="Folder of the experiment."
)
RECIPE = typer.Option(None, "--recipe", help="Only this recipe; may be given several times.")
FOLD = typer.Option(None, "--fold", help="Only this fold; may be given several times.")
ALL = typer.Option(False, "--all", help="Every recipe, where the file has a smaller default.")
JSON = typer.Option(False, "--json", help="Print JSON.")


@app.command("run")
def run(
    config: str = CONFIG,
    cohort: Path = COHORT,
    liver: Path | None = typer.Option(
        None,
        "--liver",
        help="LiTS training data (volume-N.nii, segmentation-N.nii) to pretrain on; without it the "
        "published LiTS network is taken where it is installed.",
    ),
    output: Path = OUTPUT,
    recipe: list[str] | None = RECIPE,
    fold: list[int] | None = FOLD,
    everything: bool = ALL,
    dry_run: bool = typer.Option(False, "--dry-run", help="Say what would run, and leave."),
    jobs: int | None = JOBS,
    device: str = typer.Option("auto", help="auto, cuda, cuda:1, mps or cpu."),
    ray: str | None = typer.Option(
        None,
        "--ray",
        metavar="ADDRESS",
        help="Run on a Ray cluster (auto, HOST:PORT), one training per GPU; its nodes must see the "
        "same folders.",
    ),
    share: int = typer.Option(
        1,
        "--gpus-per-training",
        min=1,
        help="So many GPUs, or without them processes, share the batch of each training.",
    ),
    as_json: bool = JSON,
) -> None:
    """Train, predict the held-out folds, score and fill the tables.

    Run it again to go on where it was interrupted. Recipes and folds that are given by name can
    run on several machines that share the output folder.
    """
    from renalseg.experiment.conduct import conduct, plan_run

    if dry_run:
        described = plan_run(config, cohort, recipe, fold, liver=liver, everything=everything)
        _show(described, as_json=as_json)
        return
    with TerminalReporter() as reporter:
        outcome = conduct(
            config,
            cohort,
            liver,
            output,
            recipe,
            fold,
            reporter,
            everything=everything,
            device=device,
            workers=jobs,
            ray=ray,
            share=share,
        )
        code = reporter.exit_code
    typer.echo(outcome.text())
    typer.echo(f"\nPage      {outcome.report}")
    for path in outcome.tables.values():
        typer.echo(f"Tables    {path}")
    if outcome.ensemble:
        typer.echo(f"Ensemble  {outcome.ensemble}")
    if code:
        raise typer.Exit(code)


@app.command("status")
def status(
    config: str = CONFIG,
    output: Path = OUTPUT,
    recipe: list[str] | None = RECIPE,
    fold: list[int] | None = FOLD,
    everything: bool = ALL,
    as_json: bool = JSON,
) -> None:
    """Say which trainings are done, how far the others are, and how long they will take."""
    from dataclasses import asdict

    from renalseg.experiment.conduct import progress_of

    progress = progress_of(config, output, recipe, fold, everything=everything)
    if as_json:
        runs = [asdict(one) for one in progress.runs]
        typer.echo(json.dumps({"runs": runs, "seconds_left": progress.seconds_left}, indent=2))
        return
    for one in progress.runs:
        left = "" if one.state == "done" else duration(one.seconds_left)
        typer.echo(f"{one.state:<12} {one.epochs:>5}/{one.of:<5} {left:>10}  {one.run}")
    done, running = progress.count("done"), progress.count("running")
    typer.echo(
        f"\n{done} of {len(progress.runs)} done, {running} running; "
        f"time to go: {duration(progress.seconds_left)}"
    )


@app.command("report")
def report(
    config: str = CONFIG,
    cohort: Path = COHORT,
    output: Path = OUTPUT,
    form: TableFormat = typer.Option(
        TableFormat.MARKDOWN, "--format", help="What is printed; all three are written."
    ),
) -> None:
    """Score what is predicted and write the tables and the page anew."""
    from renalseg.experiment.conduct import report_anew

    with TerminalReporter() as reporter:
        outcome = report_anew(config, cohort, output, reporter)
    typer.echo(outcome.text(form))
    note(f"\nPage      {outcome.report}")
    for path in outcome.tables.values():
        note(f"Tables    {path}")


@app.command("torsos")
def torsos(
    config: str = typer.Argument(
        "default.yaml", metavar="[CONFIG]", help="default.yaml made the model that comes along."
    ),
    shapes: Path | None = typer.Option(
        None,
        "--shapes",
        help="Annotations in KiTS layout, whose kidneys are bent and used; else all are synthetic.",
    ),
    output: Path = typer.Option(Path("renalseg-torsos"), "-o", "--output", help="Where it goes."),
    network: list[str] | None = typer.Option(
        None, "--network", help="Only this network; may be given several times."
    ),
    start: Path | None = typer.Option(
        None, "--start", help="An ensemble of the same networks to go on from."
    ),
    device: str = typer.Option("auto", help="auto, cuda, cuda:1, mps or cpu."),
) -> None:
    """Train networks on synthetic torsos alone, made as they train; no patient's image is seen.

    Run it again to go on where it was interrupted.
    """
    from renalseg.experiment.torsos import load_torso_experiment, train_on_torsos
    from renalseg.models.device import resolve_device

    experiment = load_torso_experiment(config)
    with TerminalReporter() as reporter:
        ensemble = train_on_torsos(
            experiment,
            shapes,
            output,
            reporter,
            networks=network,
            start=start,
            device=resolve_device(device),
        )
    if ensemble:
        typer.echo(f"Ensemble  {ensemble.folder}")


def _show(described: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(described, indent=2))
        return
    typer.echo(f"{described['experiment']}: {described['cases']} cases")
    sizes = sorted({f"{s['train']}/{s['validate']}" for s in described["splits"]})
    typer.echo(
        f"folds       {len(described['splits'])}, training/validation cases {', '.join(sizes)}"
    )
    plan = described["plan"]
    if plan is None:
        typer.echo("plan        nnU-Net's own, from the cohort's fingerprint")
    else:
        typer.echo(
            f"fullres     {_x(plan['fullres_spacing_mm'])} mm, patch {_x(plan['fullres_patch'])}\n"
            f"lowres      {_x(plan['lowres_spacing_mm'])} mm, patch {_x(plan['lowres_patch'])}\n"
            f"batch       {plan['batch_size']}\n"
            f"network     {'-'.join(map(str, plan['features']))} features, kernels "
            f"{_x(plan['kernel'])}, {plan['downsamplings']} down-samplings\n"
            f"intensity   clip {plan['clip_hu']} HU, mean {plan['mean_hu']}, std {plan['std_hu']}"
        )
    typer.echo(f"folds       averaged by {described['fold_average']}")
    typer.echo(f"\n{len(described['runs'])} trainings")
    for run_ in described["runs"]:
        typer.echo(_line(run_))
    typer.echo(f"\n{len(described['ensembles'])} ensembles of held-out predictions")
    for ensemble in described["ensembles"]:
        tables = ", ".join(map(str, ensemble["tables"]))
        where = f"Table {tables}" if tables else "in no table"
        typer.echo(f"  {ensemble['model']:<24} {where}: {' + '.join(ensemble['members'])}")


def _line(run_: dict[str, Any]) -> str:
    parts = [f"  {run_['model']} {run_['stage']} fold {run_['fold']}"]
    if run_["tables"]:
        parts.append(f"Table {', '.join(map(str, run_['tables']))}")
    if "train" in run_:
        parts.append(f"{run_['train']}/{run_['validate']} cases")
    parts.append(f"annotations {run_['annotations']}")
    if "patch" in run_:
        parts.append(
            f"{_x(run_['spacing_mm'])} mm, patch {_x(run_['patch'])}, batch {run_['batch_size']}"
        )
    parts.append(
        f"{run_['epochs']} x {run_['iterations']} iterations, lr {run_['learning_rate']:g}"
    )
    loss = run_["loss"]
    if run_["beta"] is not None:
        loss += f" (beta {run_['beta']:g}, lambda {run_['lambda']:g})"
    parts.append(loss)
    parts.append(f"start {run_['initial_weights']}")
    return "; ".join(parts)


def _x(values: list[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)
