"""An ensemble on disk: a manifest and plain nnU-Net v2 model folders."""

import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from renalseg.errors import ModelError
from renalseg.models.checkpoints import FINAL, save_checkpoint
from renalseg.models.dataset import read_dataset
from renalseg.models.default_model import DEFAULT, default_model
from renalseg.models.documents import read_object, read_text, reason
from renalseg.models.folds import read_fold
from renalseg.models.manifest import (
    MANIFEST,
    About,
    FoldAverage,
    Manifest,
    Member,
    World,
)
from renalseg.models.plans import V1_PLANNER
from renalseg.models.supported import check_kits, check_supported

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MANIFEST", "About", "Ensemble", "Manifest", "Member", "World", "write_ensemble"]


class Ensemble(BaseModel):
    """A folder that ``renalseg predict -m`` takes."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path) -> "Ensemble":
        """Open an ensemble, or a single nnU-Net v2 model folder as an ensemble of one.

        Args:
            folder: The folder; ``default`` is the ensemble that comes with renalseg.

        Raises:
            ModelError: If the folder is neither, lacks something its manifest names, or its models
                were not trained on one CT channel and the classes of KiTS.
        """
        folder = default_model() if Path(folder) == Path(DEFAULT) else Path(folder)
        if (folder / MANIFEST).is_file():
            manifest = _read_manifest(folder / MANIFEST)
        elif (folder / "plans.json").is_file():
            name = folder.name if folder.name.isprintable() else ""
            member = Member(name=name or "model", stages=(".",), folds=_folds(folder))
            average = fold_average(read_object(folder / "plans.json"))
            manifest = Manifest(members=(member,), fold_average=average, postprocess=False)
        else:
            raise ModelError(
                f"{folder}: no {MANIFEST} and no plans.json; expected a renalseg ensemble or an "
                "nnU-Net v2 model folder"
            )
        ensemble = cls(folder=folder, manifest=manifest)
        for member in manifest.members:
            for stage in member.stages:
                _check_files(folder, stage, member)
                _check_model(folder / stage, (folder / MANIFEST).is_file())
        return ensemble

    def only(self, name: str) -> "Ensemble":
        """Take one member by itself, without post-processing.

        Raises:
            ModelError: If there is no such member.
        """
        chosen = tuple(
            m.model_copy(update={"finds": None}) for m in self.manifest.members if m.name == name
        )
        if not chosen:
            known = ", ".join(m.name for m in self.manifest.members)
            raise ModelError(f"{self.folder}: no member {name!r}; it has {known}")
        manifest = self.manifest.model_copy(update={"members": chosen, "postprocess": False})
        return Ensemble(folder=self.folder, manifest=manifest)


def write_ensemble(
    folder: Path,
    members: Mapping[str, Sequence[Path]],
    folds: Sequence[int],
    *,
    fold_average: FoldAverage = "logits",
    postprocess: bool = True,
    half: bool = False,
    finds: Collection[str] = (),
    least_ml: float | None = None,
    least_tumor_ml: float | None = None,
    large_ml: float | None = None,
    about: About | None = None,
    world: World | None = None,
) -> Ensemble:
    """Gather trained models into an ensemble folder.

    Args:
        folder: Where the ensemble is to stand; an older one there is replaced.
        members: For each member its nnU-Net model folders, first stage first.
        folds: The folds to take of each.
        fold_average: What is averaged over tiles, mirrored copies and folds.
        postprocess: What the manifest says of post-processing.
        half: Keep weights in half precision, in half the space.
        finds: Names of members that only find where the kidneys are.
        least_ml: Smaller findings by themselves are removed; none when absent.
        least_tumor_ml: Smaller tumors are kidney or cyst; none when absent.
        large_ml: Larger findings are looked at twice; none when absent.
        about: Its name, version and licence.
        world: The scans that it knows; KiTS's when absent.

    Raises:
        ModelError: If a model was not trained to its end, or the folder holds something else.
    """
    if folder.exists() and not (folder / MANIFEST).is_file():
        raise ModelError(f"{folder}: is no ensemble and would be replaced; give another folder")
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    described = []
    for name, stages in members.items():
        names = [name] if len(stages) == 1 else [f"{name}-stage{i + 1}" for i in range(len(stages))]
        for source, target in zip(stages, names, strict=True):
            _copy_model(source, beside / target, folds, half=half)
        only_finds = True if name in finds else None
        described.append(
            Member(name=name, stages=tuple(names), folds=tuple(folds), finds=only_finds)
        )
    manifest = Manifest(
        members=tuple(described),
        fold_average=fold_average,
        postprocess=postprocess,
        least_ml=least_ml,
        least_tumor_ml=least_tumor_ml,
        large_ml=large_ml,
        about=about,
        world=world,
    )
    (beside / MANIFEST).write_text(manifest.as_json())
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(beside, folder)
    return Ensemble.open(folder.absolute())


def fold_average(plans: Mapping[str, object]) -> FoldAverage:
    """What a model folder without a manifest averages: as the nnU-Net that trained it does."""
    return "softmax" if plans.get("experiment_planner_used") == V1_PLANNER else "logits"


def _read_manifest(path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(read_text(path))
    except ValidationError as error:
        place = error.errors()[0]["loc"][:1]
        is_other = place in {("format",), ("storage",), ("labels",)}
        advice = "this renalseg knows no other; give another model" if is_other else "copy it again"
        raise ModelError(f"{path}: not a manifest ({reason(error)}); {advice}") from None


def _check_files(folder: Path, stage: str, member: Member) -> None:
    model = folder / stage
    if not Path(os.path.realpath(model)).is_relative_to(os.path.realpath(folder)):
        raise ModelError(f"{folder}: member {member.name} lies outside: {stage}")
    needed = [model / "plans.json", model / "dataset.json"]
    needed += [model / f"fold_{fold}" / FINAL for fold in member.folds]
    for path in needed:
        if not path.is_file():
            raise ModelError(f"{path}: missing, though the ensemble names it; copy it again")


def _check_model(model: Path, has_manifest: bool) -> None:
    """A model without a manifest may have names of its own for the classes of KiTS."""
    path = model / "dataset.json"
    plans, dataset = read_object(model / "plans.json"), read_object(path)
    check_supported(plans, dataset, model)
    check_kits(read_dataset(dataset, path), path, exactly=has_manifest)


def _copy_model(source: Path, target: Path, folds: Sequence[int], *, half: bool) -> None:
    target.mkdir()
    for name in ("plans.json", "dataset.json"):
        shutil.copyfile(source / name, target / name)
    for fold in folds:
        trained = read_fold(source, fold)
        # What inference needs, and the trainer's name that a plain nnU-Net can resolve.
        kept = {
            "network_weights": halved(trained.weights) if half else trained.weights,
            "trainer_name": "nnUNetTrainer",
            "init_args": {"configuration": trained.configuration},
            "inference_allowed_mirroring_axes": trained.mirror_axes or None,
        }
        (target / f"fold_{fold}").mkdir()
        save_checkpoint(kept, target / f"fold_{fold}" / FINAL)


def halved(weights: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Weights in half precision; those that nnU-Net knows by several names stay one."""
    once = {tensor.data_ptr(): tensor.half() for tensor in weights.values()}
    return {name: once[tensor.data_ptr()] for name, tensor in weights.items()}


def _folds(folder: Path) -> tuple[int, ...]:
    found = [p.parent.name.removeprefix("fold_") for p in folder.glob(f"fold_*/{FINAL}")]
    folds = tuple(sorted(int(name) for name in found if name.isascii() and name.isdigit()))
    if not folds:
        raise ModelError(f"{folder}: no fold_N/{FINAL}; expected a trained nnU-Net v2 model folder")
    return folds
