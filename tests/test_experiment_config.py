from pathlib import Path

import pytest

from renalseg.errors import ExperimentError
from renalseg.experiment.config import load_experiment
from renalseg.experiment.describe import describe
from renalseg.experiment.progress import Silent
from renalseg.experiment.runner import Job, run
from renalseg.experiment.tasks import tasks
from renalseg.experiment.trainings import training_steps
from renalseg.models.plans import PAPER_PLAN
from renalseg.training.annotations import needed_variants, training_variants, validation_variant
from renalseg.training.dataset import TrainingSet, crossval_splits
from renalseg.training.recipe import Recipe
from renalseg.training.workspace import Workspace
from renalseg.workers import Serial


@pytest.fixture
def paper():
    return load_experiment("paper.yaml")


def described(paper):
    names = [f"case_{i:05d}" for i in range(300)]
    return describe(paper, paper.recipes, paper.folds, names)


def test_paper_recipes_are_the_papers(paper):
    """Golts et al. 2021, sections 2.4, 3.3-3.6 and 4."""
    recipes = {recipe.name: recipe for recipe in paper.recipes}
    assert paper.fixed_plan == PAPER_PLAN
    for recipe in paper.recipes:
        schedule = recipe.schedule
        assert (schedule.epochs, schedule.iterations) == (1000, 250)
        assert (schedule.learning_rate, schedule.momentum) == (0.01, 0.99)
    assert recipes["baseline"].annotations == "majority"
    assert [recipes[f"seed-{i}"].annotations for i in (1, 2, 3)] == [1, 2, 3]
    assert recipes["pretrained"].pretrained
    cascade = recipes["cascade"]
    assert [cascade.at(stage).pretrained for stage in cascade.stages] == [True, False]
    image, volume = recipes["image-loss"].regularization, recipes["volume-loss"].regularization
    assert (image.neighbours, image.beta, image.weight) == (4, 10, 1)
    assert (volume.neighbours, volume.beta, volume.weight) == (6, 5, 1)
    assert paper.ensembles["ensemble"] == ("image-loss", "pretrained", "seed-3", "cascade")


def test_paper_folds_have_240_and_60_cases(paper):
    sizes = [(s["train"], s["validate"]) for s in described(paper)["splits"]]
    assert sizes == [(240, 60)] * 5


def test_paper_has_a_training_for_every_row_and_fold(paper):
    runs = described(paper)["runs"]
    lits, single_stage, cascade, planar = 2, 7, 2, 1
    assert len(runs) == lits + 5 * (single_stage + cascade + planar)
    tables = {number for run in runs for number in run["tables"]}
    tables |= {n for ensemble in described(paper)["ensembles"] for n in ensemble["tables"]}
    assert tables == {1, 2, 3, 4, 5, 6}


def test_demo_trains_the_same_models_as_the_paper(paper):
    demo = load_experiment("demo.yaml")

    def essence(recipe):
        return recipe.model_dump(exclude={"schedule"})

    assert sorted(map(str, map(essence, demo.recipes))) == sorted(
        map(str, map(essence, paper.recipes))
    )
    assert demo.ensembles == paper.ensembles
    assert {recipe.name for recipe in demo.select(None, everything=False)} == set(
        paper.ensembles["ensemble"]
    )
    assert demo.select(None, everything=True) == demo.recipes


def test_first_stage_of_a_cascade_trains_in_every_fold(paper):
    cascade = paper.select(["cascade"], everything=False)
    stages = [(task.stage, task.fold) for task in tasks(paper, cascade, [2])]
    assert stages == [("3d_lowres", fold) for fold in range(5)] + [("3d_cascade_fullres", 2)]


def test_recipe_fingerprint_changes_with_every_number(paper):
    recipe = paper.recipes[0]
    other = recipe.model_copy(update={"annotations": 7})
    assert recipe.fingerprint == paper.recipes[0].model_copy().fingerprint
    assert recipe.fingerprint != other.fingerprint
    assert len({r.fingerprint for r in paper.recipes}) == len(paper.recipes)


def test_first_stage_differs_in_what_it_names():
    recipe = Recipe.model_validate(
        {
            "name": "a",
            "configuration": "cascade",
            "annotations": "fresh",
            "regularization": {"neighbours": 18, "beta": 2},
            "pretrained": True,
            "first_stage": {"regularization": None, "annotations": 3},
        }
    )
    first, second = (recipe.at(stage) for stage in recipe.stages)
    assert (first.annotations, first.regularization, first.pretrained) == (3, None, True)
    assert (second.annotations, second.regularization.neighbours) == ("fresh", 18)


@pytest.mark.parametrize(
    ("choice", "needed", "drawn"),
    [
        ("majority", 1, 1),
        (4, 1, 1),
        ("case-2", 1, 1),
        ("map-14", 1, 1),
        ("fresh", 16, 15),
        ("mean", 17, 1),
    ],
)
def test_label_variants_of_a_choice_of_annotations(choice, needed, drawn):
    variants = needed_variants(choice)
    assert len(variants) == needed
    assert len(training_variants(choice)) == drawn
    assert {*training_variants(choice), validation_variant(choice)} <= set(variants)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nrecipes: [{name: a, annotations: best}]", "annotations"),
        ("name: x\nrecipes: [{name: a, annotations: -1}]", "annotations"),
        ("name: x\nrecipes: [{name: a, first_stage: {}}]", "needs configuration cascade"),
        ("name: x\nrecipes: [{name: a, configuration: 2d, pretrained: true}]", "no 3D weights"),
        (
            "name: x\nrecipes: [{name: a, configuration: 2d, "
            "regularization: {neighbours: 6, beta: 1}}]",
            "4 or 8 neighbours, got 6",
        ),
        (
            "name: x\nrecipes: [{name: a, configuration: cascade, network: resenc-m}]",
            "single-stage and 3D, got cascade",
        ),
        ("recipes: [", "not YAML"),
        ("- 1", "expected a mapping"),
        ("name: x\nrecipes: []", "recipes"),
        ("name: x\nrecipes: [{name: a, annotatons: 1}]", "recipes.0.annotatons"),
        ("name: x\nrecipes: [{name: a}]\nensembles: {ensemble: [b]}", "unknown recipes: b"),
        ("name: x\nrecipes: [3]", "must be mappings"),
    ],
)
def test_bad_experiment_file_is_one_line(tmp_path, text, message):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ExperimentError, match=message) as caught:
        load_experiment(path)
    assert "\n" not in str(caught.value)


def test_missing_experiment_file_names_those_that_come_along():
    with pytest.raises(ExperimentError, match=r"paper\.yaml or demo\.yaml"):
        load_experiment("nowhere.yaml")


def test_weights_take_the_place_of_the_pretraining(tmp_path):
    """Relative to the experiment file; nothing is pretrained, and the recipes start from them."""
    content = (Path(__file__).parent / "tiny.yaml").read_text()
    (tmp_path / "tiny.yaml").write_text(content + "weights: model/fold_0/checkpoint_final.pth\n")
    experiment = load_experiment(tmp_path / "tiny.yaml")
    weights = tmp_path / "model/fold_0/checkpoint_final.pth"
    weights.parent.mkdir(parents=True)
    weights.touch()
    assert experiment.weights == weights
    assert not experiment.pretrainings(experiment.recipes)
    wanted = tasks(experiment, experiment.select(["cascade"], everything=False), (0, 1))
    steps = training_steps(
        Workspace(tmp_path / "run"), "Dataset021_KiTS", None, experiment, wanted, "cpu"
    )
    starts = {step.title: step.arguments[3] for step in steps if step.title.startswith("train")}
    assert set(starts.values()) == {weights, None}  # the second stage starts anew
    runs = describe(experiment, experiment.recipes, (0,), ["a", "b"])["runs"]
    assert "pretraining" not in {run["model"] for run in runs}
    assert str(weights) in {run["initial_weights"] for run in runs}


def test_missing_weights_are_said_before_anything_is_done(tmp_path):
    content = (Path(__file__).parent / "tiny.yaml").read_text()
    (tmp_path / "tiny.yaml").write_text(content + "weights: nowhere.pth\n")
    training_set = TrainingSet(21, "KiTS", (), (), 2)
    experiment = load_experiment(tmp_path / "tiny.yaml")
    job = Job(experiment, experiment.recipes, (0,), Workspace(tmp_path / "run"), training_set)
    with pytest.raises(ExperimentError, match=r"nowhere\.pth: no such checkpoint"):
        run(job, Serial(), Silent())
    assert not (tmp_path / "run").exists()


def test_fewer_cases_than_folds_are_refused():
    with pytest.raises(ExperimentError, match="each of 5 folds, got 4; add cases"):
        crossval_splits([f"case_{number:05d}" for number in range(4)], 5)
