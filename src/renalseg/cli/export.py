"""``renalseg export``: a model's networks as files for other runtimes."""

from enum import StrEnum
from pathlib import Path

import typer

from renalseg.cli.console import parts_bar, print_json


class ExportFormat(StrEnum):
    """Formats that can be asked for."""

    ONNX = "onnx"
    OPENVINO = "openvino"


def command(
    model: Path = typer.Argument("default", help="As -m of predict."),
    output: Path = typer.Option(..., "-o", "--output", help="The folder to make."),
    formats: list[ExportFormat] = typer.Option(
        list(ExportFormat), "--format", help="Give it once per format; both when absent."
    ),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an earlier export."),
    as_json: bool = typer.Option(False, "--json", help="Print export.json."),
) -> None:
    """Write a model's networks as ONNX and OpenVINO files.

    Each file is read back and compared with PyTorch. export.json says what a program must know to
    run them: input, output, normalisation, and how networks are combined.
    """
    from renalseg.inference.export import export_model

    with parts_bar() as show:
        done = export_model(
            model, output, [kind.value for kind in formats], overwrite=overwrite, show=show
        )
    if as_json:
        print_json(done)
        return
    for network in done["networks"]:
        for file in network["files"]:
            share = file["largest_difference"] / file["logits_range"]
            typer.echo(f"{output / file['file']}: as PyTorch to {share:.1e} of the logits' range")
    typer.echo(f"what they take and give: {output / 'export.json'}")
