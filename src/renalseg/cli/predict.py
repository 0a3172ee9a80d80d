"""``renalseg predict``: masks of kidneys, tumors and cysts for scans."""

import json
from functools import partial
from pathlib import Path

import typer

from renalseg.cli.reporter import TerminalReporter


def command(
    source: Path = typer.Argument(
        metavar="INPUT", help="A scan (NIfTI, NRRD, MHA), a folder of scans, or a KiTS cohort."
    ),
    output: Path = typer.Option(..., "-o", "--output", help="Mask file, or folder for masks."),
    model: Path = typer.Option(
        ..., "-m", "--model", help="An ensemble folder, or one nnU-Net v2 model folder."
    ),
    member: str | None = typer.Option(None, help="Use only this member of the ensemble."),
    clean: bool | None = typer.Option(
        None,
        "--postprocess/--no-postprocess",
        help="Remove implausible findings; the ensemble says whether when neither is given.",
    ),
    device: str = typer.Option("auto", help="auto, cuda, cuda:1, mps or cpu."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Make masks again that exist."),
    as_json: bool = typer.Option(False, "--json", help="Print results as JSON."),
) -> None:
    """Segment scans; each mask lies on the grid of its scan.

    Labels: 1 kidney, 2 tumor, 3 cyst. Masks that exist are kept, so that an interrupted batch goes
    on where it was.
    """
    from renalseg.pipeline import Segmenter, pair_files, predict_files

    pairs = pair_files(source, output)
    load = partial(Segmenter.load, model, member=member, clean=clean, device=device)
    results, failed = [], 0
    with TerminalReporter() as reporter:
        reporter.start("segment")
        for done, result in enumerate(predict_files(pairs, load, overwrite=overwrite)):
            volumes = result.segmentation.volumes_ml() if result.segmentation else None
            results.append(
                {
                    "scan": str(result.source),
                    "mask": None if result.problem else str(result.target),
                    "volumes_ml": volumes,
                    "problem": result.problem,
                }
            )
            if result.problem:
                failed += 1
                reporter.problem(result.problem)
            elif volumes is None:
                reporter.line(f"{result.target}: already there, kept; --overwrite makes it again")
            else:
                found = ", ".join(f"{name} {ml:.1f} ml" for name, ml in volumes.items())
                reporter.line(f"{result.target}: {found}")
            reporter.update(done + 1, len(pairs))
        reporter.finish(f"{len(pairs) - failed} of {len(pairs)} scans")
    if as_json:
        typer.echo(json.dumps(results, indent=2))
    if failed:
        raise typer.Exit(1)
