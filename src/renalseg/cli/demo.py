"""``renalseg demo``: the whole of the paper at a small scale, on phantoms."""

import shlex
from pathlib import Path

import typer

from renalseg.cli.reporter import JOBS, TerminalReporter


def command(
    output: Path = typer.Option(
        Path("renalseg-demo"), "-o", "--output", help="Folder for everything that the demo makes."
    ),
    everything: bool = typer.Option(
        False,
        "--all",
        help="Train every model of Tables 1-4 and the 2D U-Net, not only the four of the ensemble.",
    ),
    jobs: int | None = JOBS,
    device: str = typer.Option("auto", help="auto, cuda, cuda:1, mps or cpu."),
) -> None:
    """Make a phantom cohort, train the paper's ensemble on it, score it and write a page.

    Run it again to go on where it was interrupted; what is finished is not done again.
    """
    from renalseg.experiment.demo import run_demo

    with TerminalReporter() as reporter:
        outcome = run_demo(output, reporter, everything=everything, device=device, workers=jobs)
        seconds, code = reporter.elapsed, reporter.exit_code
    typer.echo(f"\nDone in {seconds / 60:.1f} minutes. Mean over held-out phantoms:")
    for hec, scores in outcome.summary().items():
        typer.echo(f"  {hec:<18} Dice {scores[0]:.4f}   Surface Dice {scores[1]:.4f}")
    typer.echo(f"\nPage      {outcome.report}")
    for path in outcome.tables.values():
        typer.echo(f"Tables    {path}")
    if outcome.ensemble:  # not where one of its networks failed
        typer.echo(f"Ensemble  {outcome.ensemble}")
        typer.echo(f"\nTry it: renalseg predict SCAN.nii.gz -o MASK.nii.gz -m {outcome.ensemble}")
    if outcome.to_look_at:
        files = shlex.join(str(path) for path in outcome.to_look_at)
        typer.echo(f"Look at its cases: renalseg view {files}")
    if code:
        raise typer.Exit(code)
