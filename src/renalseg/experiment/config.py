"""An experiment: recipes, folds and ensembles, from one YAML file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from renalseg.errors import ExperimentError
from renalseg.models.install import models_folder
from renalseg.models.manifest import FoldAverage
from renalseg.models.plans import FULLRES, LOWRES, PAPER_PLAN, Plan
from renalseg.training.recipe import Recipe, Schedule

#: Files that come with the package.
BUILT_IN = ("paper.yaml", "demo.yaml")


class PhantomSettings(BaseModel):
    """The synthetic cohort that ``renalseg demo`` makes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cases: int = Field(ge=2)
    liver_cases: int = Field(ge=1)
    seed: int = 0
    in_plane_mm: tuple[float, float]
    slice_mm: tuple[float, float]
    tumor_mm: tuple[float, float] = (12.0, 96.0)


class StageWeights(BaseModel):
    """What stages start from by their resolution: a checkpoint, or a model's folder, of each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fullres: Path | None = None
    lowres: Path | None = None


class Experiment(BaseModel):
    """What an experiment file says.

    Attributes:
        name: Shown in reports.
        phantom: The demo's cohort; absent where the user brings one.
        plan: ``paper``, ``auto`` (nnU-Net's planner), or a plan written out.
        splits: Number of cross-validation folds that the cohort is cut into.
        folds: Those of them that are trained.
        held_out: How many held-out cases of each fold are predicted and scored; all when absent.
        pretraining: Schedule of the pretraining on liver and lesions.
        weights: What pretrained recipes start from in place of that: the name of an installed
            model, a model's folder or checkpoint, or one of these for each resolution; relative to
            the experiment file. It must not have seen the cohort's cases, or the validation is not
            one. When absent, see :func:`renalseg.experiment.start_weights.with_default_weights`.
        recipes: Every model.
        default: Names of the recipes that run when ``--all`` is not asked for; all when absent.
        fold_average: What is averaged over tiles, mirrored copies and folds: ``softmax`` as in the
            paper's nnU-Net v1, or ``logits`` as in v2.
        ensembles: For each ensemble its members' names.
        final: The ensemble that is post-processed and kept for ``renalseg predict``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    phantom: PhantomSettings | None = None
    plan: Plan | Literal["paper", "auto"] = "paper"
    splits: int = Field(default=5, ge=2)
    folds: tuple[int, ...] = (0, 1, 2, 3, 4)
    held_out: int | None = Field(default=None, ge=1)
    pretraining: Schedule = Schedule()
    weights: Path | StageWeights | None = None
    recipes: tuple[Recipe, ...] = Field(min_length=1)
    default: tuple[str, ...] | None = None
    fold_average: FoldAverage = "softmax"
    ensembles: dict[str, tuple[str, ...]] = {}
    final: str = "ensemble"

    @property
    def fixed_plan(self) -> Plan | None:
        """The plan, or None where nnU-Net makes one."""
        if isinstance(self.plan, Plan):
            return self.plan
        return PAPER_PLAN if self.plan == "paper" else None

    def pretraining_recipe(self, resolution: str) -> Recipe:
        """The network of a resolution that pretrained recipes start from."""
        return Recipe(
            name="pretraining",
            configuration="lowres" if resolution == LOWRES else "fullres",
            schedule=self.pretraining,
        )

    def start_resolutions(self, recipes: Sequence[Recipe]) -> tuple[str, ...]:
        """The resolutions of the networks that recipes start from: of a stage its own."""
        stages = [stage for r in recipes for stage in r.stages if r.at(stage).pretrained]
        needed = {start_resolution(stage) for stage in stages}
        return tuple(name for name in (FULLRES, LOWRES) if name in needed)

    def pretrainings(self, recipes: Sequence[Recipe]) -> tuple[str, ...]:
        """The resolutions at which the experiment has to pretrain networks of its own."""
        return self.start_resolutions(recipes) if self.weights is None else ()

    def select(self, names: Sequence[str] | None, *, everything: bool) -> tuple[Recipe, ...]:
        """The recipes to run.

        Raises:
            ExperimentError: If a name is unknown.
        """
        known = {recipe.name: recipe for recipe in self.recipes}
        for name in names or ():
            if name not in known:
                raise ExperimentError(
                    f"no recipe {name!r} in {self.name}; it has {', '.join(known)}"
                )
        chosen = names or (None if everything else self.default)
        return tuple(r for r in self.recipes if chosen is None or r.name in chosen)

    @model_validator(mode="after")
    def _names_agree(self) -> "Experiment":
        known = [recipe.name for recipe in self.recipes]
        if len(set(known)) < len(known):
            raise ValueError(f"recipe names must differ, got {', '.join(known)}")
        for what, names in {"default": self.default or (), **self.ensembles}.items():
            unknown = sorted(set(names) - set(known))
            if unknown:
                raise ValueError(f"{what} names unknown recipes: {', '.join(unknown)}")
        if any(not 0 <= fold < self.splits for fold in self.folds):
            raise ValueError(f"folds {self.folds} must lie in 0-{self.splits - 1}")
        if self.final not in self.ensembles:
            raise ValueError(f"final ensemble {self.final!r} is not among the ensembles")
        return self


def start_resolution(stage: str) -> str:
    """The resolution of the weights that a stage starts from: low for low, else full."""
    return LOWRES if stage == LOWRES else FULLRES


def load_experiment(source: str | Path) -> Experiment:
    """Read an experiment file, or one of those that come with the package by its name.

    A ``schedule`` at the top of the file is the default of every recipe's.

    Raises:
        ExperimentError: If the file is missing, not YAML, or says something that makes no sense.
    """
    path = Path(source)
    if not path.is_file() and path.name in BUILT_IN and path.parent == Path():
        path = Path(__file__).with_name(path.name)
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ExperimentError(
            f"{source}: cannot be read ({error.strerror}); give a file, or {' or '.join(BUILT_IN)}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ExperimentError(
            f"{source}: not YAML ({' '.join(str(error).split())[:160]})"
        ) from error
    if not isinstance(content, dict):
        raise ExperimentError(f"{source}: expected a mapping with name and recipes")
    schedule = content.pop("schedule", {})
    try:
        for recipe in content.get("recipes", ()):
            recipe["schedule"] = {**schedule, **recipe.get("schedule", {})}
        content["pretraining"] = {**schedule, **content.get("pretraining", {})}
        if content.get("weights") is not None:
            content["weights"] = _located(content["weights"], path.parent.absolute())
        return Experiment.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ExperimentError(f"{source}: {where}: {first['msg']}") from error
    except (TypeError, AttributeError) as error:
        raise ExperimentError(f"{source}: schedule and recipes must be mappings") from error


def _located(weights: Any, folder: Path) -> Any:
    """Weights as an experiment file names them, as paths."""
    if isinstance(weights, dict):
        return {name: _located(path, folder) for name, path in weights.items()}
    place = folder / Path(weights).expanduser()
    installed = models_folder() / str(weights)
    return installed if not place.exists() and installed.is_dir() else place
