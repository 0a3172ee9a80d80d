"""An ensemble as files for other runtimes: ONNX and OpenVINO, each proven to agree with PyTorch."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from renalseg.errors import ModelError
from renalseg.files import write_json
from renalseg.inference.export_description import describe_ensemble, describe_network
from renalseg.inference.export_network import FORMATS, Format, check_packages, export_network
from renalseg.models.ensemble import Ensemble
from renalseg.models.loading import load_networks

MANIFEST = "export.json"

_Show = Callable[[str, int, int], None]


def export_model(
    source: Path,
    target: Path,
    formats: Sequence[Format] = FORMATS,
    *,
    overwrite: bool = False,
    show: _Show = lambda _part, _done, _total: None,
) -> dict[str, Any]:
    """Write every network of a model in formats of other runtimes.

    Args:
        source: An ensemble folder, or a single nnU-Net v2 model folder.
        target: The folder to make.
        formats: Which formats.
        overwrite: Whether an earlier export there is replaced.
        show: Told of each file: what it is, how many are done, how many there are.

    Returns:
        The content of the folder's ``export.json``.

    Raises:
        ModelError: If the model cannot be loaded, a package is missing, the folder exists, or a
            file does not compute what PyTorch computes. Nothing is left then.
    """
    ensemble = Ensemble.open(source)
    check_packages(formats)
    names = _folder_names(ensemble)
    with _written_whole(target, overwrite) as folder:
        networks = _export_networks(ensemble, names, folder, tuple(dict.fromkeys(formats)), show)
        content = describe_ensemble(ensemble) | {"networks": networks}
        write_json(content, folder / MANIFEST)
    return content


def _export_networks(
    ensemble: Ensemble,
    names: Mapping[str, str],
    folder: Path,
    formats: Sequence[Format],
    show: _Show,
) -> list[dict[str, Any]]:
    members = ensemble.manifest.members
    total = sum(len(m.stages) * len(m.folds) for m in members) * len(formats)
    done, networks = 0, []
    for member in members:
        for number, stage in enumerate(member.stages, start=1):
            name = f"{names[member.name]}-stage{number}"
            (folder / name).mkdir()
            files = []
            for fold in member.folds:
                model = load_networks(ensemble.folder / stage, (fold,))
                for kind in formats:
                    show(f"{name} fold {fold} {kind}", done, total)
                    written = export_network(model, kind, folder / name / f"fold_{fold}")
                    files.append({"fold": fold, **written})
                    done += 1
            networks.append(
                {
                    "member": member.name,
                    "stage": number,
                    "stages": len(member.stages),
                    **describe_network(model),
                    "files": files,
                }
            )
    return networks


def _folder_names(ensemble: Ensemble) -> dict[str, str]:
    """What each member's folders begin with."""
    names = [member.name for member in ensemble.manifest.members]
    plain = [re.sub(r"[^\w.-]+", "_", name) for name in names]
    for name in plain:
        if plain.count(name) > 1:
            raise ModelError(
                f"{ensemble.folder}: two members would be written as {name}; rename one in "
                "ensemble.json"
            )
    return dict(zip(names, plain, strict=True))


@contextmanager
def _written_whole(target: Path, overwrite: bool) -> Iterator[Path]:
    """A folder to fill beside its place; it is put there when all went well."""
    target = target.absolute()
    if target.exists():
        if not overwrite:
            raise ModelError(f"{target}: exists; give another folder, or --overwrite")
        if not (target / MANIFEST).is_file():
            raise ModelError(f"{target}: not an export, and not overwritten; give another folder")
    beside = target.with_name(f".{target.name}.part")
    former = target.with_name(f".{target.name}.old")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        shutil.rmtree(former, ignore_errors=True)
        if target.exists():
            os.replace(target, former)
        os.replace(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    shutil.rmtree(former, ignore_errors=True)
