"""What pretrained recipes start from: the published LiTS network, others, or networks of their own.

The LiTS network is a stand-in without training, in the layout of nnU-Net v1's exporter.
"""

import json
import os

import pytest
import torch

from models import write_model
from renalseg.errors import ExperimentError
from renalseg.experiment.cohorts import KITS_DATASET, LIVER_DATASET
from renalseg.experiment.conduct import plan_run, progress_of
from renalseg.experiment.config import load_experiment
from renalseg.experiment.progress import Silent
from renalseg.experiment.runner import Job, run
from renalseg.experiment.settle import PREDICTIONS, settle
from renalseg.experiment.start_weights import check_start, checkpoint_for, with_default_weights
from renalseg.experiment.tasks import tasks
from renalseg.experiment.trainings import training_steps
from renalseg.models.install import install
from renalseg.models.networks import build_network
from renalseg.models.plans import (
    CASCADE,
    FULLRES,
    LOWRES,
    PAPER_PLAN,
    PLANAR,
    Intensity,
    Plan,
    Resolution,
    nnunet_plans,
)
from renalseg.models.v1.plans import v2_plans
from renalseg.training.dataset import TrainingSet
from renalseg.training.transfer import transfer_weights
from renalseg.training.workspace import Workspace
from renalseg.workers import Serial
from v1_models import STAGES, stage, v1_network, v1_plans, write_v1, zip_folder

LITS = "Task029_LITS"
#: Of the stand-in's shape: three stages of two convolutions.
SMALL_PLAN = Plan(
    fullres=Resolution(spacing_mm=(1, 1, 1), patch_size=(16, 16, 16)),
    lowres=Resolution(spacing_mm=(2, 2, 2), patch_size=(16, 16, 16)),
    features=(4, 8, 16),
    intensity=Intensity(clip_hu=(-62, 310), mean_hu=104.9, std_hu=75.3),
)
KITS_JSON = {"channel_names": {"0": "CT"}, "labels": dict.fromkeys("bktc", 0), "file_ending": ".gz"}
KITS_JSON["labels"] = {name: i for i, name in enumerate(("background", "kidney", "tumor", "cyst"))}


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    """Where models are installed; empty."""
    monkeypatch.setenv("RENALSEG_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """All four configurations of the published network, liver and tumor, of two folds each."""
    root = tmp_path_factory.mktemp("lits")
    plans = v1_plans([STAGES["3d_lowres"], STAGES["3d_fullres"]], classes=2)
    flat = v1_plans([STAGES["2d"]], classes=2)
    for seed, (name, own, channels, of) in enumerate(
        (
            (FULLRES, "3d_fullres", 1, plans),
            (LOWRES, "3d_lowres", 1, plans),
            (CASCADE, "3d_fullres", 3, plans),
            (PLANAR, "2d", 1, flat),
        )
    ):
        network = v1_network(of, STAGES[own], channels=channels, seed=seed)
        write_v1(root / "out", name, of, network, task=LITS, folds=(0, 1))
    return zip_folder(root / "out", root / f"{LITS}.zip")


@pytest.fixture(scope="module")
def installed_once(archive, tmp_path_factory):
    return install(str(archive), tmp_path_factory.mktemp("installed") / LITS).folder


@pytest.fixture
def lits(installed_once, models):
    models.mkdir()
    (models / LITS).symlink_to(installed_once)
    return models / LITS


def checkpoint(folder, configuration, fold=0):
    return folder / configuration / f"fold_{fold}" / "checkpoint_final.pth"


def starts(experiment, liver=None, **chosen):
    """From what each training starts, by its title."""
    recipes = experiment.select(chosen.get("recipes"), everything=True)
    wanted = tasks(experiment, recipes, (0,))
    workspace = Workspace(chosen["root"])
    steps = training_steps(workspace, KITS_DATASET, liver, experiment, wanted, "cpu")
    return {s.title: s.arguments[3] for s in steps if s.title.startswith(("train", "pretrain"))}


def test_the_installed_lits_network_is_the_papers_default(tmp_path, lits):
    experiment = with_default_weights(load_experiment("paper.yaml"))
    found = starts(experiment, root=tmp_path / "run")
    assert found.pop("train pretrained 3d_fullres fold 0") == checkpoint(lits, FULLRES)
    lowres = {found.pop(f"train cascade 3d_lowres fold {fold}") for fold in range(5)}
    assert lowres == {checkpoint(lits, LOWRES)}
    assert set(found.values()) == {None}
    assert not [title for title in found if title.startswith("pretrain")]


def test_each_stage_takes_all_but_its_last_layers(lits):
    """Two classes there, three here; the plan is the same."""
    plans = nnunet_plans(SMALL_PLAN, KITS_DATASET, [(1, 1, 1)], [(16, 16, 16)])
    for resolution in (FULLRES, LOWRES):
        torch.manual_seed(7)
        network = build_network(plans, KITS_JSON, resolution)
        start = checkpoint_for(lits, resolution)
        report = transfer_weights(network, start)
        assert {name.rpartition(".")[0] for name in report.left} == {"decoder.seg_layers"}
        assert not report.adapted
        theirs = torch.load(start, weights_only=True)["network_weights"]
        name = "encoder.stages.0.0.convs.0.conv.weight"
        assert torch.equal(network.state_dict()[name], theirs[name])


def test_the_published_networks_structure_fits_the_papers_without_modification():
    """Plans as v1 determined for LiTS: six stages of 32 to 320 features, 128^3, all 3 x 3 x 3."""
    five = [[2, 2, 2]] * 5
    plans = v1_plans(
        [stage((1.99,) * 3, (128,) * 3, five), stage((1.0, 0.77, 0.77), (128,) * 3, five)],
        classes=2,
        features=32,
    )
    labels = {"background": 0, "liver": 1, "tumor": 2}
    for resolution in (FULLRES, LOWRES):
        with torch.device("meta"):
            theirs = build_network(
                v2_plans(plans, resolution, "Dataset029_LITS"),
                {**KITS_JSON, "labels": labels},
                resolution,
            )
            ours = build_network(
                nnunet_plans(PAPER_PLAN, KITS_DATASET, [(3, 0.78, 0.78)], [(109, 512, 512)]),
                KITS_JSON,
                resolution,
            )
        shapes = [
            {name: tensor.shape for name, tensor in network.state_dict().items()}
            for network in (theirs, ours)
        ]
        assert shapes[0].keys() == shapes[1].keys()
        unlike = {name for name in shapes[0] if shapes[0][name] != shapes[1][name]}
        assert {name.rsplit(".", 2)[0] for name in unlike} == {"decoder.seg_layers"}


def test_another_plan_does_not_start_from_it(lits):
    demo = load_experiment("demo.yaml")
    assert with_default_weights(demo) == demo


def test_weights_of_the_file_come_before_what_is_installed(tmp_path, lits):
    paper = load_experiment("paper.yaml")
    named = paper.model_copy(update={"weights": tmp_path / "other.pth"})
    assert with_default_weights(named) == named


def test_without_it_a_network_of_each_resolution_is_pretrained(tmp_path):
    experiment = with_default_weights(load_experiment("paper.yaml"))
    wanted = tasks(experiment, experiment.recipes, (0,))
    workspace = Workspace(tmp_path / "run")
    steps = training_steps(workspace, KITS_DATASET, LIVER_DATASET, experiment, wanted, "cpu")
    by_title = {step.title: step for step in steps}
    single, first = (
        by_title[f"train {name} fold 0"] for name in ("pretrained 3d_fullres", "cascade 3d_lowres")
    )
    for step, resolution in ((single, FULLRES), (first, LOWRES)):
        (need,) = step.needs
        model = workspace.model("pretraining", LIVER_DATASET, resolution)
        assert by_title[need].arguments[2].stage == resolution
        assert step.arguments[3] == model / "fold_0" / "checkpoint_final.pth"
    assert sum(title.startswith("pretrain ") for title in by_title) == 2


def test_a_cascade_alone_pretrains_the_low_resolution_alone(tmp_path):
    experiment = load_experiment("paper.yaml")
    found = starts(experiment, LIVER_DATASET, recipes=["cascade"], root=tmp_path)
    assert [title for title in found if title.startswith("pretrain ")] == [
        "pretrain on liver and lesions, 3d_lowres"
    ]


def test_a_second_stage_waits_for_its_own_weights_too(tmp_path):
    recipe = (
        load_experiment("paper.yaml")
        .recipes[-2]
        .model_copy(update={"pretrained": True, "first_stage": None})
    )
    assert recipe.configuration == "cascade"
    experiment = load_experiment("paper.yaml").model_copy(update={"recipes": (recipe,)})
    wanted = tasks(experiment, [recipe], (0,))
    steps = training_steps(
        Workspace(tmp_path), KITS_DATASET, LIVER_DATASET, experiment, wanted, "cpu"
    )
    second = next(step for step in steps if step.title == "train cascade 3d_cascade_fullres fold 0")
    assert "pretrain on liver and lesions, 3d_fullres" in second.needs
    assert len(second.needs) == 6  # and for five folds of the first stage


def test_nothing_to_start_from_is_said_before_anything_is_done(tmp_path):
    experiment = with_default_weights(load_experiment("paper.yaml"))
    training_set = TrainingSet(21, "KiTS", (), (), 5)
    job = Job(experiment, experiment.recipes, (0,), Workspace(tmp_path / "run"), training_set)
    with pytest.raises(
        ExperimentError,
        match=r"^pretrained, cascade: no LiTS network .*install Task029_LITS.*--liver",
    ) as caught:
        run(job, Serial(), Silent())
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
    check_start(experiment, experiment.recipes[:4], has_liver=False)  # these start at random
    check_start(experiment, experiment.recipes, has_liver=True)


WEIGHTS = {
    "Task029_LITS": (FULLRES, LOWRES),
    "{lits}": (FULLRES, LOWRES),
    "{lits}/3d_lowres": (LOWRES, LOWRES),
    "{lits}/3d_fullres/fold_1/checkpoint_final.pth": (FULLRES, FULLRES),
    "{{fullres: Task029_LITS, lowres: '{lits}/3d_lowres'}}": (FULLRES, LOWRES),
}


@pytest.mark.parametrize("text", WEIGHTS)
def test_weights_may_be_a_name_a_folder_a_file_or_one_of_each_resolution(tmp_path, lits, text):
    path = tmp_path / "x.yaml"
    named = text.format(lits=lits)
    path.write_text(
        f"name: x\nrecipes: [{{name: a}}]\nensembles: {{ensemble: [a]}}\nweights: {named}\n"
    )
    weights = load_experiment(path).weights
    found = tuple(checkpoint_for(weights, resolution) for resolution in (FULLRES, LOWRES))
    fold = 1 if "fold_1" in text else 0
    assert [os.path.realpath(p) for p in found] == [
        os.path.realpath(checkpoint(lits, name, fold)) for name in WEIGHTS[text]
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nowhere.pth", r"nowhere\.pth: no such checkpoint .*from; see weights"),
        ("Task007_Pancreas", r"from; run `renalseg models install Task007_Pancreas`, or see"),
        ("{fullres: Task029_LITS}", "weights: lowres is needed and not named"),
        ("old", r"3d_fullres: expected fold_N/checkpoint_final\.pth to start 3d_fullres from"),
    ],
)
def test_weights_that_are_not_there_are_one_line(tmp_path, lits, text, said):
    (tmp_path / "old" / "3d_lowres").mkdir(parents=True)
    path = tmp_path / "x.yaml"
    path.write_text(
        "name: x\nrecipes:\n- {name: a, pretrained: true}\n- {name: b, configuration: lowres, "
        f"pretrained: true}}\nensembles: {{ensemble: [a]}}\nweights: {text}\n"
    )
    experiment = load_experiment(path)
    with pytest.raises(ExperimentError, match=said) as caught:
        check_start(experiment, experiment.recipes, has_liver=True)
    assert "\n" not in str(caught.value)


def test_a_model_of_one_fold_on_all_cases_is_taken_where_it_is_the_only_one(tmp_path):
    model = write_model(tmp_path / "m", folds=(10, 2, 3))
    (model / "fold_3").rename(model / "fold_all")
    assert checkpoint_for(model, FULLRES).parent.name == "fold_2"
    for fold in (10, 2):
        (model / f"fold_{fold}" / "checkpoint_final.pth").unlink()
    assert checkpoint_for(model, FULLRES).parent.name == "fold_all"


def kits(tmp_path):
    """A cohort of names alone, for what reads no case."""
    for number in range(5):
        case = tmp_path / "kits" / f"case_{number:05d}"
        case.mkdir(parents=True)
        (case / "imaging.nii.gz").touch()
        (case / "segmentation.nii.gz").touch()
    return tmp_path / "kits"


def test_a_dry_run_says_what_stages_start_from(tmp_path, lits):
    def weights(liver=None):
        described = plan_run("paper.yaml", kits_folder, liver=liver)
        return {(r["model"], r["stage"]): r["initial_weights"] for r in described["runs"]}

    kits_folder = kits(tmp_path)
    found = weights()
    assert found["pretrained", FULLRES] == str(checkpoint(lits, FULLRES))
    assert found["cascade", LOWRES] == str(checkpoint(lits, LOWRES))
    assert found["cascade", CASCADE] == "random"
    own = weights(liver=tmp_path / "LiTS")  # who gives it wants it used
    assert own["pretraining", FULLRES] == own["pretraining", LOWRES] == "random"
    assert own["pretrained", FULLRES] == "3d_fullres, pretrained on liver and lesions (LiTS)"
    assert own["cascade", LOWRES] == "3d_lowres, pretrained on liver and lesions (LiTS)"


def test_status_counts_a_pretraining_where_there_is_one(tmp_path, lits):
    def titles():
        return [one.run for one in progress_of("paper.yaml", tmp_path / "run").runs]

    assert not [title for title in titles() if "pretraining" in title]
    Workspace(tmp_path / "run").results("pretraining").mkdir(parents=True)
    assert titles()[:2] == ["pretraining 3d_fullres fold 0", "pretraining 3d_lowres fold 0"]


def test_a_folder_keeps_the_weights_that_it_was_begun_with(tmp_path, lits):
    paper = load_experiment("paper.yaml")
    published = with_default_weights(paper)
    workspace = Workspace(tmp_path / "run")
    training_set = TrainingSet(21, "KiTS", (), (), 5)
    random_start = paper.select(["baseline"], everything=False)
    settle(workspace, paper, random_start, training_set)
    settle(workspace, published, published.recipes, training_set)  # nothing had started yet
    settle(workspace, paper, random_start, training_set)  # and this does not
    with pytest.raises(
        ExperimentError, match=r"begun with weights .*Task029_LITS, now networks pre"
    ):
        settle(workspace, paper, paper.recipes, training_set)


def test_a_folder_with_a_pretraining_of_its_own_keeps_to_it(tmp_path, lits):
    paper = load_experiment("paper.yaml")
    workspace = Workspace(tmp_path / "run")
    training_set = TrainingSet(21, "KiTS", (), (), 5)
    settle(workspace, paper, paper.recipes, training_set)
    workspace.results("pretraining").mkdir(parents=True)
    settle(workspace, paper, paper.recipes, training_set)
    with pytest.raises(ExperimentError, match=r"begun with networks pretrained .*or --liver"):
        settle(workspace, with_default_weights(paper), paper.recipes, training_set)


def test_predictions_by_another_average_are_not_mixed_in(tmp_path):
    paper = load_experiment("paper.yaml")
    workspace = Workspace(tmp_path / "run")
    training_set = TrainingSet(21, "KiTS", (), (), 5)
    settle(workspace, paper, paper.recipes, training_set)
    record = workspace.root / "experiment.json"
    content = json.loads(record.read_text())
    assert content.pop("fold_average") == "softmax"
    record.write_text(json.dumps(content))  # as it was before folds had an average of choice
    mask = workspace.root / PREDICTIONS / "seed-1" / "case_00000.nii.gz"
    mask.parent.mkdir(parents=True)
    mask.touch()
    with pytest.raises(ExperimentError, match=r"averaged by logits, now by softmax; remove"):
        settle(workspace, paper, paper.recipes, training_set)
    logits = paper.model_copy(update={"fold_average": "logits"})
    settle(workspace, logits, paper.recipes, training_set)
    mask.unlink()
    settle(workspace, paper, paper.recipes, training_set)
    assert json.loads(record.read_text())["fold_average"] == "softmax"
