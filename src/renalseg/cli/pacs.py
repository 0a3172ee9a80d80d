"""``renalseg pacs``: studies from and to an archive, and a node that segments what it is sent."""

import logging
import signal
import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from renalseg.cli.console import DIAMETER, MODEL, bar, note, print_json
from renalseg.cli.predict import Profile
from renalseg.errors import PacsError
from renalseg.labels import DiameterLine
from renalseg.notices import printable

if TYPE_CHECKING:
    from renalseg.batch import Options
    from renalseg.pacs.config import NodeConfig, Peer
    from renalseg.pacs.node import Process
    from renalseg.pacs.pull import Found

app = typer.Typer(
    no_args_is_help=True,
    help="Studies from and to an archive (DICOMweb, DIMSE), and a node that segments them.",
)


class Fetch(StrEnum):
    """How a study is fetched."""

    DICOMWEB = "dicomweb"
    MOVE = "move"
    GET = "get"


class Via(StrEnum):
    """How files are sent."""

    DIMSE = "dimse"
    DICOMWEB = "dicomweb"


class Sent(StrEnum):
    """What goes back to the archive."""

    SEG = "seg"
    SR = "sr"
    RTSTRUCT = "rtstruct"
    DICOM_PDF = "dicom-pdf"


_CONFIG = typer.Option(
    None, "-c", "--config", metavar="FILE", help="YAML with our AE title and the peers."
)
_PEER = typer.Option(
    None,
    "-p",
    "--peer",
    help="Name of a peer (the only one if not given), or URL of a DICOMweb service.",
)


@app.command()
def pull(
    study: str | None = typer.Argument(None, help="Study Instance UID."),
    output: Path = typer.Option(Path(), "-o", "--output", help="Folder for the files."),
    config: Path | None = _CONFIG,
    peer: str | None = _PEER,
    accession: str | None = typer.Option(None, help="Accession number, in place of the UID."),
    patient: str | None = typer.Option(None, help="Patient ID, in place of the UID."),
    date: str | None = typer.Option(None, help="Study date, YYYYMMDD or a range with a dash."),
    series: str | None = typer.Option(None, help="Only the series of this UID."),
    via: Fetch | None = typer.Option(None, help="DICOMweb (WADO-RS), C-MOVE or C-GET."),
    listed: bool = typer.Option(False, "--list", help="Only show which studies there are."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Fetch a study as OUTPUT/SERIES/INSTANCE.dcm.

    The study is given by its UID, or found by accession number, patient ID or date.
    """
    from renalseg.pacs import pull as pulling

    own, archive = _parties(config, peer)
    fetch: pulling.Fetch | None = via.value if via else None
    query = pulling.Query(study, accession, patient, date)
    if listed or query.keys.keys() != {"StudyInstanceUID"}:
        found = pulling.find_studies(archive, query, own, fetch=fetch)
        if listed:
            _show(found, as_json=as_json)
            return
        study = _only(found)
    assert study is not None
    with bar(1, "fetch") as update:
        files = pulling.pull(
            archive, study, output, own, series_uid=series, fetch=fetch, fetched=update
        )
    if as_json:
        print_json([str(path) for path in files])
    else:
        note(f"{output}: {len(files)} instances")


@app.command()
def push(
    files: list[Path] = typer.Argument(help="DICOM files, or folders of them."),
    config: Path | None = _CONFIG,
    peer: str | None = _PEER,
    via: Via | None = typer.Option(None, help="C-STORE, or DICOMweb (STOW-RS)."),
) -> None:
    """Send DICOM files to an archive."""
    from renalseg.pacs.instance import dicom_files
    from renalseg.pacs.push import push as send

    own, archive = _parties(config, peer)
    paths = list(dicom_files(files))
    count = 0
    with bar(len(paths), "send") as update:

        def sent() -> None:
            nonlocal count
            count += 1
            update(count, len(paths))

        send(archive, paths, own, via=via.value if via else None, sent=sent)
    note(f"{len(paths)} instances sent")


@app.command()
def listen(
    config: Path = typer.Option(
        ..., "-c", "--config", metavar="FILE", help="YAML with our AE title, port, queue and peers."
    ),
    model: Path = MODEL,
    formats: list[Sent] = typer.Option(
        [Sent.SEG, Sent.SR], "--format", help="What goes back; may be given several times."
    ),
    profile: Profile = typer.Option(Profile.BALANCED, help="As for predict."),
    memory: float | None = typer.Option(
        None, "--memory", min=0.5, metavar="GB", help="Cut scans that need more memory than this."
    ),
    diameter: DiameterLine = DIAMETER,
    device: str = typer.Option("auto", help="auto, cuda, cuda:1, mps or cpu."),
) -> None:
    """Take studies from configured peers, segment them and send the results back.

    Runs until it is stopped (Ctrl-C, SIGTERM). Nothing is lost then: it goes on where it was.
    """
    from renalseg.batch import Options
    from renalseg.pacs.config import load_config
    from renalseg.pacs.node import Node

    own = load_config(config)
    if not any(one.allowed and one.ae_title for one in own.peers.values()):
        raise PacsError(f"{config}: no peer may send; give one with ae_title, host and port")
    options = Options(folder=model, profile=profile.value, memory_gb=memory, device=device)
    process = segmenting(options, [one.value for one in formats], diameter)
    _log_to_terminal()
    with Node(own, process) as node:
        signal.signal(signal.SIGTERM, lambda *_: node.stop())
        signal.signal(signal.SIGINT, lambda *_: node.stop())
        node.wait()


def segmenting(
    options: "Options", formats: list[str], diameter: DiameterLine = DiameterLine.AXIAL
) -> "Process":
    """What the node does with a study: its CT is segmented, the results are DICOM files.

    Args:
        options: The ensemble, loaded at once so that a wrong one is known before any study comes.
        formats: What is made of each study.
        diameter: The line that scores take for a tumor's largest diameter.

    Raises:
        ModelError: If the ensemble cannot be loaded.
    """
    from collections.abc import Sequence

    from renalseg.formats import Format, result_path
    from renalseg.results import Wanted, write_results
    from renalseg.volume.source import read_source

    wanted = Wanted(tuple(Format(one) for one in formats), diameter=diameter)
    segmenter = options.load()

    def process(images: Path, made: Path) -> Sequence[Path]:
        source = read_source(images)
        found = segmenter.segment(
            source.volume, source.path, notes=source.notes, uncertainty=wanted.votes
        )
        target = result_path(made / "renalseg.dcm", wanted.formats[0])
        write_results(found, source, target, wanted)
        return sorted(made.glob("*.dcm"))

    return process


def _parties(config: Path | None, peer: str | None) -> "tuple[NodeConfig, Peer]":
    """We and the peer, from the configuration or from the peer's URL alone."""
    _silence_libraries()
    from pydantic import ValidationError

    from renalseg.pacs.config import NodeConfig, Peer, load_config

    own = NodeConfig() if config is None else load_config(config)
    if peer is not None and peer.startswith(("http://", "https://")):
        try:
            return own, Peer(dicomweb=peer)
        except ValidationError:
            raise PacsError(
                "--peer: not the URL of a service; name and password belong into --config"
            ) from None
    if config is None:
        raise PacsError("give --config with the peer in it, or the URL of a DICOMweb service")
    return own, own.peer(peer)


def _only(found: "tuple[Found, ...]") -> str:
    """The UID of the one study that was found."""
    if not found:
        raise PacsError("the archive has no such study; check what was asked for")
    if len(found) > 1:
        raise PacsError(
            f"{len(found)} studies are meant; --list shows them, then give the UID of one"
        )
    return found[0].study_uid


def _show(found: "tuple[Found, ...]", *, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        print_json([asdict(one) for one in found])
        return
    for one in found:
        number = "?" if one.instances is None else one.instances
        modalities = "/".join(one.modalities)
        line = f"{one.study_uid}  {one.date}  {modalities}  {number} instances  {one.description}"
        typer.echo(printable(line))


def _silence_libraries() -> None:
    """Errors are ours to say; what libraries log or warn of may quote what an image holds."""
    logging.getLogger().addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")


def _log_to_terminal() -> None:
    """Show our own lines."""
    _silence_libraries()
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    ours = logging.getLogger("renalseg")
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False
