"""``renalseg predict``: masks of kidneys, tumors and cysts for scans."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from renalseg.cli.console import DIAMETER, MODEL, note, print_json
from renalseg.cli.reporter import TerminalReporter
from renalseg.formats import Format
from renalseg.labels import DiameterLine
from renalseg.notices import printable

if TYPE_CHECKING:
    from renalseg.batch import Prediction
    from renalseg.pipeline import Segmenter
    from renalseg.volume import Volume


class Profile(StrEnum):
    """How much work a prediction is worth."""

    EXACT = "exact"
    BALANCED = "balanced"
    FAST = "fast"


class Roi(StrEnum):
    """What of a scan is computed at full resolution."""

    AUTO = "auto"
    OFF = "off"


class Backend(StrEnum):
    """What runs networks on a CPU."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO = "openvino"


class Engine(StrEnum):
    """Where a batch runs."""

    LOCAL = "local"
    RAY = "ray"


def command(
    source: Path = typer.Argument(
        metavar="INPUT",
        help="A scan (NIfTI, NRRD, MHA; DICOM as folder, zip or file), a folder of scans, or a "
        "KiTS cohort.",
    ),
    output: Path | None = typer.Option(
        None,
        "-o",
        "--output",
        help="Result file, or folder for them; one scan's is NAME_mask beside it when absent.",
    ),
    model: Path = MODEL,
    formats: list[Format] | None = typer.Option(
        None,
        "--format",
        help="What to write, given once or more; nifti, or seg of DICOM, when absent.",
    ),
    series: str | None = typer.Option(
        None,
        help="Of several DICOM series: the UID or number of the one to take; 3:2 is the second "
        "pass in series 3.",
    ),
    allow_gaps: bool = typer.Option(
        False, "--allow-gaps", help="Fill in missing DICOM slices, and say where."
    ),
    member: str | None = typer.Option(None, help="Use only this member of the ensemble."),
    clean: bool | None = typer.Option(
        None,
        "--postprocess/--no-postprocess",
        help="Remove implausible findings; the ensemble says whether when neither is given.",
    ),
    profile: Profile = typer.Option(
        Profile.BALANCED,
        help="exact computes what nnU-Net computes, balanced leaves mirrored copies out, fast runs "
        "one network.",
    ),
    roi: Roi = typer.Option(
        Roi.AUTO,
        help="auto computes full resolution only around the kidneys, where the ensemble has a "
        "network of lower resolution to find them; off computes all.",
    ),
    memory: float | None = typer.Option(
        None, "--memory", min=0.5, metavar="GB", help="Cut scans that need more memory than this."
    ),
    uncertainty: bool = typer.Option(
        False,
        "--uncertainty",
        help="Also write MASK-entropy, 0 (sure) to 1.",
    ),
    diameter: DiameterLine = DIAMETER,
    device: str = typer.Option("auto", help="auto, cuda, cuda:1, mps or cpu."),
    backend: Backend = typer.Option(Backend.AUTO, help="What runs networks on a CPU."),
    engine: Engine = typer.Option(
        Engine.LOCAL, help="ray spreads a folder of scans over a Ray cluster (extra ray)."
    ),
    address: str = typer.Option("auto", help="Of the Ray cluster: auto, local or HOST:PORT."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Make masks again that exist."),
    as_json: bool = typer.Option(False, "--json", help="Print results as JSON."),
) -> None:
    """Segment scans; each mask lies on the grid of its scan.

    Labels: 1 kidney, 2 tumor, 3 cyst. Beside each mask a JSON file says what made it. Masks that
    exist are kept, so that an interrupted batch goes on where it was.
    """
    from renalseg.batch import Options, pair_files, predict_files
    from renalseg.results import Wanted
    from renalseg.volume.source import Reading

    wanted = Wanted(tuple(formats or ()), uncertainty, diameter)
    reading = Reading(series, allow_gaps)
    pairs = pair_files(source, output, wanted.formats)
    options = Options(
        folder=model,
        member=member,
        clean=clean,
        device=device,
        profile=profile.value,
        roi=roi.value,
        backend=backend.value,
        memory_gb=memory,
    )
    failed = 0
    results = []
    with TerminalReporter() as reporter:
        if engine is Engine.RAY:
            from renalseg.batch_cluster import predict_on_cluster

            reporter.start("segment on Ray")
            predictions = predict_on_cluster(
                pairs, options, address, wanted=wanted, reading=reading, overwrite=overwrite
            )
        else:

            def say(scan: Path, segmenter: "Segmenter", volume: "Volume") -> None:
                needed = segmenter.expected_gb(volume)
                reporter.start(scan.name)
                made_by = printable(segmenter.record.title)
                note(f"{scan.name}: model {made_by}; at most {needed:.1f} GB of memory")

            predictions = predict_files(
                pairs,
                options.load,
                wanted=wanted,
                reading=reading,
                overwrite=overwrite,
                on_scan=say,
                on_tile=reporter.update,
            )
        for done, result in enumerate(predictions, 1):
            failed += result.problem is not None
            results.append(_record(result))
            _show(result, reporter)
            if engine is Engine.RAY:
                reporter.update(done, len(pairs))
        reporter.finish(f"{len(pairs) - failed} of {len(pairs)} scans", failed=failed > 0)
    if as_json:
        print_json(results)
    if reporter.exit_code:
        raise typer.Exit(reporter.exit_code)


def _record(result: "Prediction") -> dict[str, object]:
    return {
        "scan": str(result.source),
        "mask": None if result.problem else str(result.target),
        "volumes_ml": result.volumes_ml,
        "warnings": list(result.warnings),
        "problem": result.problem,
    }


def _show(result: "Prediction", reporter: TerminalReporter) -> None:
    if result.problem:
        reporter.problem(result.problem)
    elif result.volumes_ml is None:
        reporter.line(f"{result.target}: already there, kept; --overwrite makes it again")
    else:
        found = ", ".join(f"{name} {ml:.1f} ml" for name, ml in result.volumes_ml.items())
        reporter.line(f"{result.target}: {found}")
        for warning in result.warnings:
            reporter.line(f"  look: {warning}")
