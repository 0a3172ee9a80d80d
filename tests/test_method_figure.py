"""The method's figure says what the configuration says, and its words stay in their places."""

from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from renalseg.experiment.config import Experiment, load_experiment
from renalseg.models.plans import PAPER_PLAN
from renalseg.report.method import Method
from renalseg.report.method_figure import method_figure, method_svg, save_method
from renalseg.report.study.canvas import house_style
from renalseg.training.recipe import Recipe


def experiment(recipes, members=None, **options):
    made = tuple(Recipe.model_validate(recipe) for recipe in recipes)
    names = members or tuple(recipe.name for recipe in made)
    return Experiment(name="mine", recipes=made, ensembles={"ensemble": names}, **options)


def words(method):
    return [text.get_text() for text in method_figure(method).axes[0].texts]


MANY = [
    {"name": f"a-model-with-a-name-of-which-nobody-sees-the-end-{n}", "annotations": kind}
    for n, kind in enumerate(("fresh", "mean", "case-2", "map-3", "majority", 12))
]
EXPERIMENTS = {
    "paper": load_experiment("paper.yaml"),
    "demo": load_experiment("demo.yaml"),
    "one 2D network": experiment([{"name": "flat", "configuration": "2d"}], folds=(0,)),
    "planned by nnU-Net": experiment([{"name": "c", "configuration": "cascade"}], plan="auto"),
    "many with long names": experiment(MANY),
    "a cascade of two kinds": experiment(
        [
            {
                "name": "cascade",
                "configuration": "cascade",
                "annotations": "mean",
                "pretrained": True,
                "regularization": {"neighbours": 26, "beta": 2, "dilation": 2},
                "first_stage": {"annotations": "fresh", "regularization": None},
            },
            {"name": "large", "network": "resenc-xl"},
        ]
    ),
}


def test_the_papers_figure_says_what_the_paper_says():
    """Golts et al. 2021, sections 2.2, 2.3 and 3.6."""
    said = words(Method.of(EXPERIMENTS["paper"]))
    for line in (
        "3D U-Net, 1.99 mm",
        "patch 128 × 128 × 128",
        "clipped to -62, 310 HU",
        "less 104.9, by 75.3",
        "5-fold cross-validation",
        "Dice + cross-entropy + 1 × image loss (β 10)",
        "starts from LiTS, full resolution",
        "a plausible map for each slice, seed 3",
        "1. 3D U-Net, 1.99 mm; starts from LiTS, low resolution",
        "Also trained, for the tables: baseline, seed-1, seed-2, volume-loss, baseline-2d",
    ):
        assert line in said
    assert [line for line in said if line in EXPERIMENTS["paper"].ensembles["ensemble"]] == [
        "image-loss",
        "pretrained",
        "seed-3",
        "cascade",
    ]
    assert said.count("5 folds") == said.count("mean softmax") == 4


def test_another_experiments_figure_says_its_own_truth():
    demo = words(Method.of(EXPERIMENTS["demo"]))
    assert {"112 phantoms", "3D U-Net, 12 mm", "= 192 × 192 × 256 mm"} <= set(demo)
    assert not [line for line in demo if "LiTS" in line or "0.78" in line]
    flat = words(Method.of(EXPERIMENTS["one 2D network"]))
    assert {"2D U-Net, 0.78 mm", "1 fold", "softmax", "majority vote of the annotators"} <= set(
        flat
    )
    assert not [line for line in flat if "cascade" in line.lower() or "Also" in line]
    mixed = Method.of(EXPERIMENTS["a cascade of two kinds"])
    first, second = mixed.models[0].stages
    assert first.lines[:2] == ("a plausible map at random at every look", "Dice + cross-entropy")
    assert second.lines[1:] == (
        "Dice + cross-entropy + 1 × 26-neighbour (dilation 2) loss (β 2)",
        "starts from LiTS, full resolution",
    )
    assert mixed.models[1].stages[0].network == "3D U-Net (resenc-xl), 0.78 mm"


@pytest.mark.parametrize(
    ("weights", "source"),
    [("models/Task029_LITS", "LiTS"), ("other/checkpoint_final.pth", "the weights named")],
)
def test_what_stages_start_from_is_said_where_weights_are_given(weights, source):
    given = EXPERIMENTS["paper"].model_copy(update={"weights": Path(weights)})
    said = words(Method.of(given))
    assert f"starts from {source}, full resolution" in said
    assert f"1. 3D U-Net, 1.99 mm; starts from {source}, low" in " ".join(said)


def test_every_number_comes_from_the_configuration():
    plan = PAPER_PLAN.model_copy(
        update={"intensity": PAPER_PLAN.intensity.model_copy(update={"mean_hu": 99})}
    )
    other = EXPERIMENTS["paper"].model_copy(
        update={"plan": plan, "fold_average": "logits", "folds": (0, 1)}
    )
    said = words(Method.of(other))
    assert "less 99, by 75.3" in said
    assert said.count("2 folds") == said.count("mean logits") == 4


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_no_words_overlap_or_leave_their_box(name):
    with house_style():
        figure = method_figure(Method.of(EXPERIMENTS[name]))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    axes, renderer = figure.axes[0], canvas.get_renderer()
    extents = {text: text.get_window_extent(renderer) for text in axes.texts if text.get_text()}
    page = figure.bbox
    for text, extent in extents.items():
        assert page.x0 <= extent.x0 <= extent.x1 <= page.x1, text
        assert page.y0 <= extent.y0 <= extent.y1 <= page.y1, text
    for (one, first), (other, second) in combinations(extents.items(), 2):
        assert not first.overlaps(second), (one, other)
    boxes = [p.get_window_extent(renderer) for p in axes.patches if isinstance(p, FancyBboxPatch)]
    for text, extent in extents.items():
        touched = [box for box in boxes if box.overlaps(extent)]  # of a stack of cards, several
        inside = [
            box.x0 <= extent.x0
            and extent.x1 <= box.x1
            and box.y0 <= extent.y0
            and extent.y1 <= box.y1
            for box in touched
        ]
        assert any(inside) or not touched, (text, text.get_text())


def test_the_same_experiment_gives_the_same_text():
    once, again = (method_svg(Method.of(EXPERIMENTS["paper"])) for _ in range(2))
    assert once == again
    assert once != method_svg(Method.of(EXPERIMENTS["demo"]))


def test_it_is_saved_as_a_picture(tmp_path):
    save_method(Method.of(EXPERIMENTS["demo"]), tmp_path / "method.png", dpi=50)
    with Image.open(tmp_path / "method.png") as picture:
        assert picture.width == 650
