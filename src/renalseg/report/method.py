"""What an experiment's method is, in the words of its figure: read from its configuration alone."""

from dataclasses import dataclass

from renalseg.experiment.config import Experiment, start_resolution
from renalseg.experiment.describe import loss_name
from renalseg.experiment.start_weights import LITS
from renalseg.models.plans import LOWRES, PLANAR, Plan, Resolution
from renalseg.training.annotations import Annotations
from renalseg.training.recipe import Recipe

#: What annotations are called that are not chosen by a number.
_ANNOTATIONS = {
    "majority": "majority vote of the annotators",
    "fresh": "a plausible map at random at every look",
    "mean": "mean of all plausible maps",
}


@dataclass(frozen=True)
class Stage:
    """One network of a model, as the figure shows it.

    Attributes:
        network: What kind it is, and the voxel size that it sees.
        lines: What it is trained with.
        resolution: The plan's; None where nnU-Net plans.
    """

    network: str
    lines: tuple[str, ...]
    resolution: Resolution | None


@dataclass(frozen=True)
class Model:
    """One model of the final ensemble: its name, and its stages in their order."""

    name: str
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Method:
    """The way from a cohort to a cleaned mask.

    Attributes:
        name: The experiment's.
        cohort: What is trained on, and into how many parts it is cut.
        preprocessing: What becomes of a scan before a network sees it.
        models: Those of the final ensemble.
        folds: How many networks each of them has.
        average: What is averaged over a model's folds.
        others: Recipes that are trained for the tables alone.
        cascade: The two stages that Fig. 1 of the paper shows; None where there is no cascade.
    """

    name: str
    cohort: tuple[str, ...]
    preprocessing: tuple[str, ...]
    models: tuple[Model, ...]
    folds: int
    average: str
    others: tuple[str, ...]
    cascade: Model | None

    @classmethod
    def of(cls, experiment: Experiment) -> "Method":
        """Read an experiment."""
        final = experiment.ensembles[experiment.final]
        recipes = {recipe.name: recipe for recipe in experiment.recipes}
        models = tuple(_model(experiment, recipes[name]) for name in final)
        cascades = [
            _model(experiment, recipe)
            for recipe in sorted(experiment.recipes, key=lambda recipe: recipe.name not in final)
            if recipe.configuration == "cascade"
        ]
        phantom = experiment.phantom
        return cls(
            name=experiment.name,
            cohort=(
                "CT and annotations" if phantom is None else f"{phantom.cases} phantoms",
                f"{experiment.splits}-fold cross-validation",
                f"{len(experiment.folds)} folds trained",
            ),
            preprocessing=_preprocessing(experiment.fixed_plan),
            models=models,
            folds=len(experiment.folds),
            average=experiment.fold_average,
            others=tuple(name for name in recipes if name not in final),
            cascade=cascades[0] if cascades else None,
        )


def _model(experiment: Experiment, recipe: Recipe) -> Model:
    stages = (_stage(experiment, recipe.at(name), name) for name in recipe.stages)
    return Model(recipe.name, tuple(stages))


def _stage(experiment: Experiment, recipe: Recipe, name: str) -> Stage:
    plan, resolution = experiment.fixed_plan, None
    if plan is not None:
        resolution = plan.lowres if name == LOWRES else plan.fullres
    kind = "2D U-Net" if name == PLANAR else "3D U-Net"
    if recipe.network != "plain":
        kind += f" ({recipe.network})"
    term = recipe.regularization
    beta = "" if term is None else f" (β {term.beta:g})"
    return Stage(
        network=f"{kind}, {_level(name) if resolution is None else _mm(resolution)}",
        lines=(
            _annotations(recipe.annotations),
            loss_name(recipe).replace(" x ", " × ") + beta,
            f"starts from {_start(experiment, name) if recipe.pretrained else 'random weights'}",
        ),
        resolution=resolution,
    )


def _start(experiment: Experiment, stage: str) -> str:
    """What a pretrained stage starts from."""
    weights = experiment.weights
    if weights is None:
        source = "LiTS" if experiment.phantom is None else "phantoms of livers"
    else:
        source = "LiTS" if LITS in str(weights) else "the weights named"
    return f"{source}, {_level(stage)}"


def _level(stage: str) -> str:
    return f"{'low' if start_resolution(stage) == LOWRES else 'full'} resolution"


def _annotations(choice: Annotations) -> str:
    if isinstance(choice, int):
        return f"a plausible map for each slice, seed {choice}"
    if choice in _ANNOTATIONS:
        return _ANNOTATIONS[choice]
    kind, number = choice.split("-")
    return f"plausible map {number}" if kind == "map" else f"one plausible map, seed {number}"


def _preprocessing(plan: Plan | None) -> tuple[str, ...]:
    if plan is None:
        return ("planned by nnU-Net",)
    low, high = plan.intensity.clip_hu
    return (
        f"clipped to {low:g}, {high:g} HU",
        f"less {plan.intensity.mean_hu:g}, by {plan.intensity.std_hu:g}",
        f"at {_mm(plan.fullres)} and {_mm(plan.lowres)}",
    )


def _mm(resolution: Resolution) -> str:
    sizes = [f"{mm:g}" for mm in resolution.spacing_mm]
    return f"{sizes[0] if len(set(sizes)) == 1 else ' × '.join(sizes)} mm"
