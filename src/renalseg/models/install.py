"""Bring somebody's trained model here: fetch, unpack, convert, try, and only then name it."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from renalseg.archive import DamagedZipError, NoRoomError, unpack
from renalseg.download import fetch
from renalseg.errors import DownloadError, ModelError
from renalseg.files import home
from renalseg.labels import FOREGROUND
from renalseg.models.checkpoints import FINAL
from renalseg.models.ensemble import MANIFEST, Ensemble, Manifest, Member
from renalseg.models.manifest import FoldAverage
from renalseg.models.plans import CASCADE, FULLRES, LOWRES
from renalseg.models.published import PUBLISHED, find_published
from renalseg.models.v1 import convert_v1, find_v1
from renalseg.models.verify import verify_model

#: Told of a part of the work, how much of it is done, and all of it.
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Installed:
    """A model that stands ready.

    Attributes:
        folder: Where.
        models: Its nnU-Net v2 model folders, and how many folds each has.
        is_ensemble: Whether ``renalseg predict -m`` takes the folder as it is.
        was_there: Whether it stood already.
    """

    folder: Path
    models: dict[str, int]
    is_ensemble: bool
    was_there: bool = False


def models_folder() -> Path:
    """Where models are installed: ``$RENALSEG_MODELS``, or ``~/.renalseg/models``.

    Raises:
        ModelError: If neither is known.
    """
    if given := os.environ.get("RENALSEG_MODELS"):
        return Path(given)
    own = home()
    if own is None:
        raise ModelError("no home folder to keep models in; name a folder in RENALSEG_MODELS")
    return own / "models"


def install(
    source: str,
    folder: Path | None = None,
    labels: Sequence[str] | None = None,
    on_progress: OnProgress | None = None,
) -> Installed:
    """Install a model.

    Args:
        source: A name of ``PUBLISHED``, an address, or a zip or folder: nnU-Net v1's or v2's
            layout, or a renalseg ensemble.
        folder: Where it goes; by default a folder of its name in :func:`models_folder`.
        labels: Names of the classes of a v1 model, from 1 on; those of published models are known.
        on_progress: Told how far the work is.

    Returns:
        What stands there now. A model that stands there already is left as it is.

    Raises:
        DownloadError: If it cannot be fetched, or the disk is too small; what was fetched is kept.
        ModelError: If it is not a model, is damaged or hostile, or does not compute. Nothing of
            it is left then.
    """
    on_progress = on_progress or _silent
    published = find_published(source)
    local = Path(source).expanduser()
    is_url = source.startswith(("http://", "https://"))
    if published is None and not is_url and not local.exists():
        raise ModelError(
            f"{source}: no such file, and no published model; expected a zip, a folder, an address "
            f"or one of {', '.join(PUBLISHED)}"
        )
    name = published.name if published else Path(source.partition("?")[0]).name.removesuffix(".zip")
    target = folder or models_folder() / name
    if target.exists():
        return _look(target, was_there=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    fetched, unpacked, built = (
        target.with_name(f".{target.name}.{end}") for end in ("zip", "unpacked", "part")
    )
    for rest in (unpacked, built):
        shutil.rmtree(rest, ignore_errors=True)
    try:
        if published or is_url:
            url = published.url if published else source
            checksum = published.checksum if published else None
            local = fetch(url, fetched, checksum=checksum, on_bytes=_part(on_progress, "download"))
        if not local.is_dir():
            _unpack(local, unpacked, _part(on_progress, "unpack"))
        _build(local if local.is_dir() else unpacked, built, labels, on_progress)
        os.replace(built, target)
    except ModelError:
        fetched.unlink(missing_ok=True)  # what arrived whole and is no model is of no use
        raise
    finally:
        for rest in (unpacked, built):
            shutil.rmtree(rest, ignore_errors=True)
    fetched.unlink(missing_ok=True)
    return _look(target, was_there=False)


def _unpack(archive: Path, folder: Path, on_bytes: Callable[[int, int], None] | None) -> None:
    try:
        unpack(archive, folder, on_bytes)
    except DamagedZipError as error:
        raise ModelError(str(error)) from error
    except NoRoomError as error:
        raise DownloadError(str(error)) from error


def _build(
    source: Path, target: Path, labels: Sequence[str] | None, on_progress: OnProgress
) -> None:
    """Put model folders under ``target``, verified."""
    target.mkdir()
    manifests, old = sorted(source.rglob(MANIFEST)), find_v1(source)
    new = sorted(path.parent for path in source.rglob("plans.json"))
    if manifests:
        shutil.rmtree(target)
        shutil.copytree(manifests[0].parent, target)
        ensemble = Ensemble.open(target)
        folders = [target / s for member in ensemble.manifest.members for s in member.stages]
    elif old:
        for done, model in enumerate(old):
            on_progress("convert", done, len(old))
            known = find_published(model.task)
            names = labels or (known.labels if known else None)
            convert_v1(model, target / model.configuration, names)
        folders = [target / model.configuration for model in old]
    elif new:
        for model_folder in new:
            _copy_v2(model_folder, target / model_folder.name.rpartition("__")[2])
        folders = [target / folder.name.rpartition("__")[2] for folder in new]
    else:
        raise ModelError(
            f"{source}: no model in it; expected nnU-Net v1's plans.pkl, nnU-Net v2's plans.json, "
            f"or renalseg's {MANIFEST}"
        )
    for done, folder in enumerate(folders):
        on_progress("verify", done, len(folders))
        verify_model(folder)
    if not manifests:
        _describe(target, "softmax" if old else "logits")


def _copy_v2(source: Path, target: Path) -> None:
    """Take of a v2 model folder what inference needs."""
    checkpoints = sorted(source.glob(f"fold_*/{FINAL}"))
    for path in (source / "plans.json", source / "dataset.json", *checkpoints):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, place)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror})") from error


def _describe(folder: Path, fold_average: FoldAverage) -> None:
    """Write a manifest where the models segment what KiTS does, as networks of one ensemble."""
    import json

    wanted = {"background": 0} | {label.title: int(label) for label in FOREGROUND}
    stages = {}
    for path in sorted(folder.glob("*/dataset.json")):
        if json.loads(path.read_text())["labels"] == wanted:
            stages[path.parent.name] = _folds(path.parent)
    chosen: dict[str, tuple[str, ...]] = {}
    if FULLRES in stages:
        chosen[FULLRES] = (FULLRES,)
    if LOWRES in stages:
        chosen |= {CASCADE: (LOWRES, CASCADE)} if CASCADE in stages else {}
        chosen = chosen or {LOWRES: (LOWRES,)}
    members = [
        Member(name=name, stages=parts, folds=folds)
        for name, parts in chosen.items()
        if (folds := tuple(sorted(set.intersection(*(stages[part] for part in parts)))))
    ]
    if members:
        manifest = Manifest(members=tuple(members), fold_average=fold_average, postprocess=False)
        (folder / MANIFEST).write_text(manifest.as_json())


def _folds(folder: Path) -> set[int]:
    names = (path.parent.name.removeprefix("fold_") for path in folder.glob(f"fold_*/{FINAL}"))
    return {int(name) for name in names if name.isdigit()}


def _look(folder: Path, *, was_there: bool) -> Installed:
    models = {
        path.parent.name: len(list(path.parent.glob(f"fold_*/{FINAL}")))
        for path in sorted(folder.glob("*/plans.json"))
    }
    if not models:
        raise ModelError(f"{folder}: stands there and holds no model; choose another with -o")
    return Installed(folder, models, (folder / MANIFEST).is_file(), was_there)


def _silent(what: str, done: int, total: int) -> None:
    pass


def _part(on_progress: OnProgress, what: str) -> Callable[[int, int], None]:
    return lambda done, total: on_progress(what, done, total)
