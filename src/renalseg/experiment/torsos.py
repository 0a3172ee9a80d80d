"""Networks trained on torsos alone, from one YAML file; how the model that comes along was made."""

from functools import partial
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from renalseg.cohort.phantom.torso import ShapeBank, TorsoConfig, write_torso_cohort
from renalseg.errors import CohortError, ExperimentError
from renalseg.experiment.progress import Reporter, stage
from renalseg.files import write_json
from renalseg.models.checkpoints import FINAL
from renalseg.models.ensemble import Ensemble, write_ensemble
from renalseg.models.manifest import About, World
from renalseg.models.plans import Plan, Resolution
from renalseg.outputs import check_folder
from renalseg.training.annotations import Annotations
from renalseg.training.dataset import KIDNEY_CLASSES, TrainingCase, TrainingSet
from renalseg.training.feed import TorsoRecipe
from renalseg.training.preprocess import prepare, preprocess_case
from renalseg.training.run import train_fold
from renalseg.training.workspace import Workspace
from renalseg.volume import Volume, read_labels

NUMBER, TITLE = 88, "Torsos"


class TorsoExperiment(BaseModel):
    """What the file says.

    Attributes:
        name: Shown to the user.
        seed: Of all torsos.
        held_out: Of so many patients the first one's shapes are kept for tests.
        plan: Resolutions, normalisation and network.
        networks: What is trained.
        least_ml: The ensemble removes smaller findings by themselves.
        least_tumor_ml: In it smaller tumors are kidney or cyst.
        large_ml: It looks at larger findings twice.
        about: What the ensemble is called, and its licence.
        world: The scans that it knows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    seed: int = Field(default=0, ge=0)
    held_out: int = Field(default=5, ge=2)
    plan: Plan
    networks: tuple[TorsoRecipe, ...] = Field(min_length=1)
    least_ml: float | None = None
    least_tumor_ml: float | None = None
    large_ml: float | None = None
    about: About | None = None
    world: World | None = None

    def resolution(self, recipe: TorsoRecipe) -> Resolution:
        """What a network is trained at."""
        return self.plan.lowres if recipe.configuration == "lowres" else self.plan.fullres


def load_torso_experiment(source: str | Path) -> TorsoExperiment:
    """Read a file, or ``default.yaml`` that comes with the package.

    A ``schedule`` at the top of the file is the default of every network's.

    Raises:
        ExperimentError: If the file is missing, not YAML, or says something that makes no sense.
    """
    path = Path(source)
    if not path.is_file() and path == Path("default.yaml"):
        path = Path(__file__).with_name("default.yaml")
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        schedule = content.pop("schedule", {})
        for network in content["networks"]:
            network["schedule"] = {**schedule, **network.get("schedule", {})}
        return TorsoExperiment.model_validate(content)
    except OSError as error:
        raise ExperimentError(
            f"{source}: cannot be read ({error.strerror}); give a file, or default.yaml"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ExperimentError(
            f"{source}: not YAML ({' '.join(str(error).split())[:160]})"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ExperimentError(f"{source}: {where}: {first['msg']}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ExperimentError(f"{source}: expected a mapping with plan and networks") from error


def split_shapes(folder: Path, held_out: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The patients whose shapes are trained on, and those that are kept for tests.

    Raises:
        CohortError: If there are too few.
    """
    names = sorted(path.name for path in folder.glob("case_*") if path.is_dir())
    kept = tuple(names[::held_out])
    rest = tuple(name for name in names if name not in kept)
    if not rest:
        raise CohortError(f"{folder}: expected case_* folders in KiTS layout, got {len(names)}")
    return rest, kept


def train_on_torsos(
    experiment: TorsoExperiment,
    shapes: Path | None,
    folder: Path,
    reporter: Reporter,
    *,
    networks: list[str] | None = None,
    start: Path | None = None,
    device: str = "cpu",
) -> Ensemble | None:
    """Train the networks of an experiment; finished and interrupted work is taken up.

    Args:
        experiment: The experiment.
        shapes: Annotations in KiTS layout, or shapes written by :class:`ShapeBank`; without them
            every kidney is a synthetic one.
        folder: Where everything goes.
        reporter: Told of every stage.
        networks: Names of those to train; all when absent.
        start: An ensemble of the same experiment whose weights the networks start from.
        device: A torch device.

    Returns:
        The ensemble, once all of its networks are trained.

    Raises:
        ExperimentError: If a network is unknown.
        CohortError: If there are no shapes.
    """
    from renalseg.training.torsos import TorsoSource

    known = [recipe.name for recipe in experiment.networks]
    for name in networks or ():
        if name not in known:
            raise ExperimentError(
                f"no network {name!r} in {experiment.name}; it has {', '.join(known)}"
            )
    check_folder(folder)
    workspace = Workspace(folder)
    bank = _bank(experiment, shapes, folder, reporter)
    dataset = _prepare(experiment, workspace, reporter)
    chosen = [r for r in experiment.networks if networks is None or r.name in networks]
    for recipe in chosen:
        with stage(reporter, f"train {recipe.name}"):
            config = TorsoConfig(
                seed=experiment.seed,
                spacing_mm=experiment.resolution(recipe).spacing_mm,
                shapes=bank,
            )
            train_fold(
                workspace,
                dataset,
                recipe,
                recipe.stages[0],
                0,
                start=start and start / recipe.name / "fold_0" / FINAL,
                device=device,
                on_progress=reporter.update,
                source=TorsoSource(config, recipe.torsos, experiment.plan.intensity),
                same_classes=True,
            )
    return keep(experiment, workspace, dataset)


def keep(experiment: TorsoExperiment, workspace: Workspace, dataset: str) -> Ensemble | None:
    """Gather the trained networks in half precision, if all are there."""
    models = {r.name: workspace.model(r.name, dataset, r.stages[0]) for r in experiment.networks}
    if not all((model / "fold_0" / FINAL).is_file() for model in models.values()):
        return None
    members = {name: [model] for name, model in models.items()}
    return write_ensemble(
        workspace.root / "ensemble",
        members,
        (0,),
        half=True,
        finds=[recipe.name for recipe in experiment.networks if recipe.finds],
        least_ml=experiment.least_ml,
        least_tumor_ml=experiment.least_tumor_ml,
        large_ml=experiment.large_ml,
        about=experiment.about,
        world=experiment.world,
    )


def _bank(
    experiment: TorsoExperiment, shapes: Path | None, folder: Path, reporter: Reporter
) -> Path | None:
    """The shapes to train on as one file; those to test with lie beside it."""
    if shapes is None or shapes.is_file():
        return shapes
    target = folder / "shapes" / "train.bin"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with stage(reporter, "cut the shapes of kidneys"):
            rest, kept = split_shapes(shapes, experiment.held_out)
            ShapeBank.make(shapes, kept).save(target.with_name("held-out.bin"))
            write_json({"train": rest, "held_out": kept}, target.with_name("patients.json"))
            ShapeBank.make(shapes, rest).save(target)
    return target


def _prepare(experiment: TorsoExperiment, workspace: Workspace, reporter: Reporter) -> str:
    """Write plans, and one torso by which nnU-Net sees what the data set is like."""
    config = TorsoConfig(seed=experiment.seed, spacing_mm=experiment.plan.fullres.spacing_mm)
    with stage(reporter, "plan"):
        (case,) = write_torso_cohort(workspace.root / "example", config, [0])
        example = TrainingCase(
            case.name, case / "imaging.nii.gz", partial(_labels, case / "segmentation.nii.gz")
        )
        training_set = TrainingSet(NUMBER, TITLE, KIDNEY_CLASSES, (example,), splits=1)
        plans = prepare(workspace, training_set, experiment.plan)
        stages = {recipe.stages[0]: ("majority",) for recipe in experiment.networks}
        preprocess_case(workspace, training_set, plans, example, stages)
    return training_set.name


def _labels(path: Path, _: Annotations) -> Volume:
    return read_labels(path)
