"""``renalseg postprocess``: remove implausible findings from label maps."""

from pathlib import Path

import typer

from renalseg.cli.console import Failures, note


def command(
    source: Path = typer.Argument(metavar="IN", help="A label map, or a folder of label maps."),
    output: Path = typer.Argument(metavar="OUT", help="File, or folder for a folder."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace label maps in OUT."),
) -> None:
    """Remove masses without a kidney and small kidney fragments (section 3.5 of the paper)."""
    from renalseg.batch import pair_files, postprocess_file

    pairs = pair_files(source, output)
    failures = Failures()
    for path, target in pairs:
        with failures.of(path):
            changed = postprocess_file(path, target, overwrite=overwrite)
            typer.echo(f"{target}: {changed} voxels changed")
    if failures.count:
        note(f"{failures.count} of {len(pairs)} label maps could not be cleaned")
    failures.leave()
