"""An ensemble on disk: a manifest and plain nnU-Net v2 model folders."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from renalseg.errors import ModelError
from renalseg.labels import FOREGROUND
from renalseg.models.checkpoints import FINAL, load_checkpoint, save_checkpoint

MANIFEST = "ensemble.json"


class Member(BaseModel):
    """One model of an ensemble.

    Attributes:
        name: The recipe's name.
        stages: Model folders beside the manifest: one, or first and second stage of a cascade.
        folds: The folds whose logits are averaged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    stages: tuple[str, ...] = Field(min_length=1, max_length=2)
    folds: tuple[int, ...] = Field(min_length=1)


class Manifest(BaseModel):
    """What one must know to use an ensemble.

    Attributes:
        format: Version of this file.
        storage: Orientation in which the networks saw their training scans (as nibabel names it).
        labels: Class names and voxel values.
        members: The models; their softmax probabilities are averaged on the scan's grid.
        postprocess: Whether section 3.5 of the paper cleans the result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    storage: Literal["IPL"] = "IPL"
    labels: dict[str, int] = {"background": 0} | {label.title: int(label) for label in FOREGROUND}
    members: tuple[Member, ...] = Field(min_length=1)
    postprocess: bool = True


class Ensemble(BaseModel):
    """A folder that ``renalseg predict -m`` takes."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path) -> "Ensemble":
        """Open an ensemble, or a single nnU-Net v2 model folder as an ensemble of one.

        Raises:
            ModelError: If the folder is neither, or lacks something its manifest names.
        """
        folder = Path(folder)
        if (folder / MANIFEST).is_file():
            try:
                manifest = Manifest.model_validate_json((folder / MANIFEST).read_text())
            except (ValidationError, UnicodeDecodeError) as error:
                raise ModelError(
                    f"{folder / MANIFEST}: not a manifest ({_first(error)})"
                ) from error
        elif (folder / "plans.json").is_file():
            member = Member(name=folder.name, stages=(".",), folds=_folds(folder))
            manifest = Manifest(members=(member,), postprocess=False)
        else:
            raise ModelError(
                f"{folder}: no {MANIFEST} and no plans.json; expected a renalseg ensemble or an "
                "nnU-Net v2 model folder"
            )
        ensemble = cls(folder=folder, manifest=manifest)
        ensemble._check()
        return ensemble

    def only(self, name: str) -> "Ensemble":
        """Take one member by itself, without post-processing.

        Raises:
            ModelError: If there is no such member.
        """
        chosen = tuple(m for m in self.manifest.members if m.name == name)
        if not chosen:
            known = ", ".join(m.name for m in self.manifest.members)
            raise ModelError(f"{self.folder}: no member {name!r}; it has {known}")
        manifest = self.manifest.model_copy(update={"members": chosen, "postprocess": False})
        return Ensemble(folder=self.folder, manifest=manifest)

    def _check(self) -> None:
        for member in self.manifest.members:
            for stage in member.stages:
                model = self.folder / stage
                if not model.resolve().is_relative_to(self.folder.resolve()):
                    raise ModelError(f"{self.folder}: member {member.name} lies outside: {stage}")
                needed = [model / "plans.json", model / "dataset.json"]
                needed += [model / f"fold_{fold}" / FINAL for fold in member.folds]
                for path in needed:
                    if not path.is_file():
                        raise ModelError(
                            f"{path}: missing, though the ensemble names it; copy it again"
                        )


def write_ensemble(
    folder: Path,
    members: Mapping[str, Sequence[Path]],
    folds: Sequence[int],
    *,
    postprocess: bool = True,
) -> Ensemble:
    """Gather trained models into an ensemble folder.

    Args:
        folder: Where the ensemble is to stand; an older one there is replaced.
        members: For each member its nnU-Net model folders, first stage first.
        folds: The folds to take of each.
        postprocess: What the manifest says of post-processing.

    Raises:
        ModelError: If a model was not trained to its end.
    """
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    described = []
    for name, stages in members.items():
        names = [name] if len(stages) == 1 else [f"{name}-stage{i + 1}" for i in range(len(stages))]
        for source, target in zip(stages, names, strict=True):
            _copy_model(source, beside / target, folds)
        described.append(Member(name=name, stages=tuple(names), folds=tuple(folds)))
    manifest = Manifest(members=tuple(described), postprocess=postprocess)
    (beside / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(beside, folder)
    return Ensemble.open(folder)


def _copy_model(source: Path, target: Path, folds: Sequence[int]) -> None:
    target.mkdir()
    for name in ("plans.json", "dataset.json"):
        shutil.copyfile(source / name, target / name)
    for fold in folds:
        checkpoint = load_checkpoint(source / f"fold_{fold}" / FINAL)
        # What inference needs, and the trainer's name that a plain nnU-Net can resolve.
        kept = {
            "network_weights": checkpoint["network_weights"],
            "trainer_name": "nnUNetTrainer",
            "init_args": {"configuration": checkpoint["init_args"]["configuration"]},
            "inference_allowed_mirroring_axes": checkpoint["inference_allowed_mirroring_axes"],
        }
        (target / f"fold_{fold}").mkdir()
        save_checkpoint(kept, target / f"fold_{fold}" / FINAL)


def _folds(folder: Path) -> tuple[int, ...]:
    found = [p.parent.name.removeprefix("fold_") for p in folder.glob(f"fold_*/{FINAL}")]
    folds = tuple(sorted(int(name) for name in found if name.isdigit()))
    if not folds:
        raise ModelError(f"{folder}: no fold_N/{FINAL}; expected a trained nnU-Net v2 model folder")
    return folds


def _first(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
