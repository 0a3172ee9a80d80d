import re
from html.parser import HTMLParser

import numpy as np
import pytest

from renalseg.experiment.config import load_experiment
from renalseg.experiment.paper_tables import fill
from renalseg.labels import COLORS, Label
from renalseg.report import CaseView, Curve, write_report
from renalseg.report.method import Method
from renalseg.report.method_figure import method_svg
from renalseg.report.render import BACKGROUND, render
from renalseg.report.slices import CHANGED, richest, slice_pictures
from renalseg.report.views import draw

SPACING = (4.0, 2.0, 2.0)
SHAPE = (20, 40, 50)


class Strict(HTMLParser):
    """Fails on a tag that is not closed in its turn."""

    void = frozenset({"meta", "img", "line", "br"})

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.drawn = [], [], []

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        self.drawn += [value for name, value in attrs if name == "xlink:href"]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.drawn += [value for name, value in attrs if name == "xlink:href"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def view(changed=True):
    image = np.random.RandomState(0).normal(40, 20, SHAPE).astype(np.int16)
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 15:28, 5:15] = Label.KIDNEY  # the patient's right
    labels[8:11, 18:22, 8:12] = Label.TUMOR
    before = labels.copy()
    if changed:
        before[2:4, 5:9, 40:45] = Label.CYST
    return CaseView("case_00000", image, labels, before, labels, SPACING)


def is_color(pixel, label):
    return np.argmax(pixel) == np.argmax(COLORS[label])


def test_patients_right_is_left_and_front_is_up_in_an_axial_slice():
    labels = np.zeros(SHAPE, np.uint8)
    labels[10, :8, :8] = Label.KIDNEY  # front, right
    picture = slice_pictures(np.zeros(SHAPE), [labels], "axial", 10, SPACING, width=100)[0]
    assert picture.shape == (80, 100, 3)
    assert is_color(picture[5, 5], Label.KIDNEY)
    assert len({tuple(p) for p in picture[40:, 50:].reshape(-1, 3)}) == 1


def test_head_is_up_in_a_coronal_slice_and_pixels_are_square():
    labels = np.zeros(SHAPE, np.uint8)
    labels[:4, 20, :8] = Label.TUMOR
    picture = slice_pictures(np.zeros(SHAPE), [labels], "coronal", 20, SPACING, width=100)[0]
    assert picture.shape == (80, 100, 3)
    assert is_color(picture[5, 5], Label.TUMOR)


def test_richest_slice_has_the_mass():
    labels = view().reference
    assert richest(labels, "axial") in (8, 9, 10)
    assert richest(labels, "coronal") in range(18, 22)
    assert richest(np.zeros(SHAPE, np.uint8), "axial") == 10


def test_render_shows_right_on_the_left_and_what_lies_in_front():
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:16, 20:30, 4:16] = Label.KIDNEY
    labels[8:12, 5:10, 36:44] = Label.CYST
    picture = render(labels, SPACING, width=200)
    middle = picture.shape[0] // 2
    assert is_color(picture[middle, 40], Label.KIDNEY)
    assert is_color(picture[middle, 160], Label.CYST)


@pytest.mark.parametrize("spacing", [SPACING, (1.0, 1.0, 1.0), (8.0, 1.0, 1.0)])
def test_render_of_an_empty_map_is_background(spacing):
    picture = render(np.zeros(SHAPE, np.uint8), spacing)
    assert np.abs(picture.astype(int) - BACKGROUND).max() <= 1


def test_mass_behind_the_kidney_shines_through():
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:16, 10:20, 10:40] = Label.KIDNEY
    alone = render(labels, SPACING)
    labels[8:12, 21:30, 20:30] = Label.TUMOR
    behind = render(labels, SPACING)
    middle = tuple(n // 2 for n in behind.shape[:2])
    assert behind[middle][1] > alone[middle][1] + 20


def test_change_by_postprocessing_is_marked_and_has_a_picture_of_its_own():
    drawn = draw(view())
    assert drawn.changed_voxels == 2 * 4 * 5
    assert [s.title.split(",")[0] for s in drawn.strips] == ["Axial", "Coronal", "Axial", "3D"]
    assert len(draw(view(changed=False)).strips) == 3
    case = view()
    changed = case.before != case.after
    marked = slice_pictures(case.image, [case.after], "axial", 2, SPACING, changed=changed)[0]
    assert (marked == CHANGED).all(axis=-1).any()


def test_page_is_whole_well_formed_and_refers_to_nothing_outside(tmp_path):
    curve = Curve("seed-1 3d_fullres", 0, (1.0, 0.5), (1.1, float("nan")), (0.1, 0.7))
    write_report(
        tmp_path / "report.html",
        tables=fill({}),
        curves=[curve],
        cases=[draw(view())],
        method=method_svg(Method.of(load_experiment("paper.yaml"))),
        title="A <title>",
        summary=[("Cases", "1")],
        notes=["Not a medical device."],
    )
    page = (tmp_path / "report.html").read_text()
    parser = Strict()
    parser.feed(page)
    assert parser.open == []
    assert all(source.startswith(("data:image/webp;base64,", "#")) for source in parser.sources)
    assert 'aria-label="The method of experiment paper"' in page
    assert all(place.startswith("#") or "image/png;base64," in place for place in parser.drawn)
    assert "url(" not in page
    assert "A &lt;title&gt;" in page
    assert re.findall(r"Table (\d)\.", page) == list("123456")
    assert page.count("not run") == 18
    words = re.sub(r"data:image/(webp|png);base64,[^\"]*", "", page)
    assert not re.search(r"\bnan\b", words, re.IGNORECASE)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
