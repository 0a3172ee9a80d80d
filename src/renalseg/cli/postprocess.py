"""``renalseg postprocess``: remove implausible findings from label maps."""

from pathlib import Path

import typer

from renalseg.cli.console import note


def command(
    source: Path = typer.Argument(metavar="IN", help="A label map, or a folder of label maps."),
    output: Path = typer.Argument(metavar="OUT", help="File, or folder for a folder."),
) -> None:
    """Remove masses without a kidney and small kidney fragments (section 3.5 of the paper)."""
    from renalseg.batch import pair_files, postprocess_file
    from renalseg.errors import RenalsegError

    pairs = pair_files(source, output)
    failed = 0
    for path, target in pairs:
        try:
            changed = postprocess_file(path, target)
            typer.echo(f"{target}: {changed} voxels changed")
        except RenalsegError as error:
            failed += 1
            note(f"{error}")
    if failed:
        note(f"{failed} of {len(pairs)} label maps could not be cleaned")
        raise typer.Exit(1)
