import base64
import io
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import study_phantom as phantom
from renalseg.cli.main import app
from renalseg.clinical.nephrometry import nephrometry
from renalseg.clinical.nephrometry_picture import nephrometry_picture
from renalseg.errors import VolumeError
from renalseg.labels import COLORS, DiameterLine, Label
from renalseg.report.study import Patient, Study, study_pdf, write_study_page, write_study_pdf
from renalseg.report.study.canvas import GROUND, Window
from renalseg.report.study.layout import BOTTOM_MM, HEIGHT_MM, TOP_MM, Flow
from renalseg.report.study.lettering import text_width, wrap
from renalseg.report.study.page import paint
from renalseg.report.study.pictures import coronal_panels, lesion_panel, solid_panels
from renalseg.report.study.score_table import score_table
from renalseg.report.study.settings import settings_text
from renalseg.report.study.tables import lesion_table
from renalseg.report.study.text import facts, flags, made_by
from renalseg.volume import Volume

MARK = (255, 214, 10)


class Page(HTMLParser):
    """What a page is made of; fails on a tag that is not closed in its turn."""

    void = frozenset({"meta", "img", "br"})

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.links, self.tags, self.words = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "img":
            self.images.append(given)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page_of(study, folder):
    write_study_page(study, folder / "study.html")
    assert [p.name for p in folder.iterdir()] == ["study.html"]
    return Page((folder / "study.html").read_text())


def near(picture, color, tolerance=40):
    return (np.abs(picture.astype(int) - np.array(color)) <= tolerance).all(axis=-1)


def test_page_is_whole_well_formed_and_refers_to_nothing_outside(tmp_path):
    study = phantom.make_study(provenance=phantom.provenance(), title="A <title>")
    page = page_of(study, tmp_path)
    assert page.open == []
    assert all(link.startswith("data:image/webp;base64,") for link in page.links)
    source = (tmp_path / "study.html").read_text()
    assert "<script" not in source
    assert "url(" not in source
    assert "A &lt;title&gt;" in source
    assert "prefers-color-scheme: dark" in source
    assert "@media print" in source


def test_every_picture_says_what_it_shows_and_has_its_own_size(tmp_path):
    page = page_of(phantom.make_study(), tmp_path)
    assert len(page.images) == 2 + 2 + 2 + 1  # 3D, kidneys, lesions, the tumor's scores
    for image in page.images:
        assert len(image["alt"]) > 30
        content = base64.b64decode(image["src"].partition(",")[2])
        size = Image.open(io.BytesIO(content)).size
        assert size == (int(image["width"]), int(image["height"]))
    assert "tumor 1 of the right kidney: largest diameter 30.0 mm" in page.images[4]["alt"]


def test_tables_have_headers_of_columns_and_rows(tmp_path):
    page = page_of(phantom.make_study(), tmp_path)
    tables = sum(tag == "table" for tag, _ in page.tags)
    assert tables == sum(tag == "caption" for tag, _ in page.tags) == 4
    scopes = [given.get("scope") for tag, given in page.tags if tag == "th"]
    assert set(scopes) == {"col", "row"}
    assert scopes.count("row") == 2 + 2 + 2 + 2  # kidneys, lesions twice, components


def test_page_says_what_was_measured(tmp_path):
    page = page_of(phantom.make_study(provenance=phantom.provenance()), tmp_path)
    for words in (
        "Not for diagnostic use",
        "Volume with lesions (ml)",
        "112.3",
        "14.1 13.1 – 15.9",
        "45 ± 12",
        "−7 / 44 / 90",
        "Tumor 1: R.E.N.A.L. 2x (h open), low complexity",
        "open: not in the labels",
        "taken from the kidney's shape alone",
        "A kidney is cut off by the scan's end.",
        "a.pth ab12ab12ab12",
        "profile: balanced; clean: yes; memory: none",
        "segment 12.3 s",
        "renalseg 9.8.7",
    ):
        assert words in page.text


def test_nobody_is_named_unless_asked_for(tmp_path):
    made = phantom.provenance()
    assert "Doe" not in page_of(phantom.make_study(provenance=made), tmp_path).text
    known = phantom.make_study(patient=Patient("Doe^Jane", "", "2 Jan 2026"))
    text = page_of(known, tmp_path).text
    assert "Doe^Jane" in text
    assert "2 Jan 2026" in text
    assert "Identifier" not in text


def test_near_threshold_is_flagged_and_far_is_not():
    study = phantom.make_study()
    tumor = study.tumors[0]
    cell = score_table(tumor, phantom.score(0.7)).rows[0][-1]
    assert (cell.text, cell.below, cell.is_flagged) == ("0.7 mm", "near", True)
    assert not score_table(tumor, phantom.score(2.1)).rows[0][-1].is_flagged
    assert flags(study) == ("Tumor 1 is near a threshold between points: R.E.N.A.L. N (0.7 mm).",)


def test_columns_that_say_nothing_are_left_out():
    open_alone = phantom.score().model_copy(update={"components": phantom.score().components[1:]})
    titles = [c.title for c in score_table(phantom.make_study().tumors[0], open_alone).columns]
    assert titles == ["Component", "What it looks at", "Finding"]


def test_flags_name_warnings_notes_and_a_missing_ct():
    study = phantom.make_study(
        ct=False, sides=("left",), lesions=False, provenance=phantom.provenance()
    )
    cut, alone, no_ct = flags(study)
    assert cut == "A kidney is cut off by the scan's end."
    assert alone == "One kidney alone was found."
    assert "No CT was given" in no_ct


def test_settings_are_told_in_words():
    told = settings_text(
        {
            "profile": "fast",
            "mirror": False,
            "large_ml": 600.0,
            "least_ml": None,
            "memory_gb": 4,
            "boxes": [[[1, 60], [29, 81], [21, 106]], [[0, 1], [0, 2], [0, 3]]],
            "other_thing": {"a_mm": 1.5, "on": True, "list": [1, [2, "x"]]},
        }
    )
    assert told == (
        "profile: fast; mirrored copies: no; looked at twice above: 600 ml; findings removed "
        "below: none; memory: 4 GB; full resolution in: slices 2–60, rows 30–81, columns 22–106 "
        "and slices 1–1, rows 1–2, columns 1–3; other thing: (a 1.5 mm, on yes, list 1, (2, x))"
    )
    assert settings_text({"boxes": []}) == "full resolution in: nothing"


def test_the_picture_of_a_score_lies_in_the_plane_of_its_line():
    from nephrometry_bodies import Ball, Body

    anatomy, (tumor,) = Body((Ball((26.0, -24.0, 6.0), 14.0),)).anatomy()
    pictures = {
        line: nephrometry_picture(anatomy, tumor, nephrometry(anatomy, tumor, line)[0], 600)
        for line in DiameterLine
    }
    panels = [picture[40:, :118].tobytes() for picture in pictures.values()]
    assert len(set(panels)) == len(DiameterLine)  # the first panel differs, the others do not
    others = {picture[40:, 130:].tobytes() for picture in pictures.values()}
    assert len(others) == 1


def test_facts_of_a_study():
    assert dict(facts(phantom.make_study()))["Largest tumor, right"] == "30 × 24 mm, 14.1 ml"
    assert dict(facts(phantom.make_study(sides=())))["Kidneys, with lesions"] == "none found"
    assert dict(made_by(phantom.make_study()))["Segmented by"].startswith("not known")


def test_a_report_carries_the_models_version_licence_and_notice(tmp_path):
    made = phantom.provenance()
    about = {"name": "own", "version": "2", "licence": "CC BY 4.0", "notice": "Look twice."}
    named = made.model_copy(update={"model": made.model.model_copy(update=about)})
    study = phantom.make_study(provenance=named)
    told = dict(made_by(study))
    assert (told["Model"], told["Licence of the weights"]) == ("own 2", "CC BY 4.0")
    page = page_of(study, tmp_path).text
    assert "CC BY 4.0" in page
    assert "Look twice." in page
    assert "Licence of the weights" not in dict(made_by(phantom.make_study(provenance=made)))


def test_lesion_table_counts_slices_as_people_do():
    row = lesion_table(phantom.make_study()).rows[0]
    assert [cell.text for cell in row] == ["Tumor 1", "right", "14.1", "30.0", "24.0", "30.0", "24"]
    assert row[2].below == "13.1 – 15.9"


def test_ct_on_another_grid_is_refused():
    study = phantom.make_study()
    moved = Volume(study.ct.array[:-1], study.ct.affine)
    with pytest.raises(VolumeError, match=r"different grids .*give the CT that was segmented"):
        Study(moved, study.labels, study.measurements)


def test_diameter_is_drawn_where_it_lies():
    study = phantom.make_study(ct=False)
    picture = paint(lesion_panel(study, study.tumors[0]), 640)
    marked = near(picture, MARK)
    middle = picture.shape[0] // 2
    assert marked[middle - 3 : middle + 3, 260:380].any(axis=0).mean() > 0.9  # the line lies across
    columns = np.flatnonzero(marked[middle - 1 : middle + 1].any(axis=0))
    view_mm = max(64.0, 2.1 * 30)
    length = 30 / view_mm * 640
    assert columns[0] == pytest.approx(320 - length / 2, abs=6)


def test_axial_view_has_the_right_on_the_left_and_the_front_up():
    study = phantom.make_study(ct=False)
    window = Window.around(study.labels, "axial", phantom.point(20, 30, 25), 100)
    assert window.index == 20
    right = window.place(phantom.point(20, 30, 20))
    left = window.place(phantom.point(20, 30, 30))
    front = window.place(phantom.point(20, 25, 25))
    assert right[0] < left[0]
    assert front[1] < right[1]
    assert window.centre_mm == window.place(phantom.point(20, 30, 25))


def test_contours_have_the_labels_colours_and_no_ct_has_a_dark_ground():
    study = phantom.make_study(ct=False)
    kidney = paint(coronal_panels(study)[0], 640)
    assert near(kidney, COLORS[Label.KIDNEY]).sum() > 200
    assert near(kidney, COLORS[Label.TUMOR]).sum() > 100
    ground = tuple(bytes.fromhex(GROUND[1:]))
    assert near(kidney[60:100, 60:100], ground, 2).all()


def test_ct_is_seen_within_the_contours():
    study = phantom.make_study(ct=True)
    picture = paint(coronal_panels(study)[1], 640)  # the left kidney, without a lesion
    inside = picture[320, 300]
    assert len(set(inside.tolist())) == 1  # gray: no colour hides the tissue
    assert inside[0] == pytest.approx((60 + 160) / 400 * 255, abs=2)


def test_kidney_is_cut_where_kidney_and_lesion_are_seen_together():
    study = phantom.make_study()
    right, left = coronal_panels(study)
    assert "with tumor 1" in right.caption
    assert "no lesion" in left.caption


def test_a_picture_may_reach_beyond_the_scan():
    study = phantom.make_study(ct=True)
    corner = phantom.lesion(1, "tumor", "right", (0, 0, 0), 40.0)
    picture = paint(lesion_panel(study, corner), 320)
    assert picture.shape == (320, 320, 3)
    ground = tuple(bytes.fromhex(GROUND[1:]))
    assert near(picture[20:100, 20:100], ground, 2).all()


@pytest.mark.parametrize("ct", [True, False])
def test_nothing_found_is_said_and_shown(ct, tmp_path):
    study = phantom.make_study(ct=ct, sides=())
    page = page_of(study, tmp_path)
    assert "No kidney was found." in page.text
    assert "No tumor and no cyst was found." in page.text
    assert len(page.images) == (1 if ct else 0)
    assert solid_panels(study) == ()
    assert study_pdf(study).startswith(b"%PDF")


def test_one_kidney_without_a_lesion(tmp_path):
    page = page_of(phantom.make_study(sides=("left",), lesions=False), tmp_path)
    assert len(page.images) == 3
    assert "Nephrometry" not in page.text
    assert study_pdf(phantom.make_study(sides=("left",), lesions=False)).startswith(b"%PDF")


def test_pdf_is_a4_with_truetype_fonts_and_names_nobody():
    study = phantom.make_study(patient=Patient("Doe^Jane"), provenance=phantom.provenance())
    content = study_pdf(study)
    boxes = re.findall(rb"/MediaBox \[\s*0 0 ([\d.]+) ([\d.]+)", content)
    assert boxes
    assert all(abs(float(w) - 595.28) < 0.1 and abs(float(h) - 841.89) < 0.1 for w, h in boxes)
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    assert b"/CreationDate" not in content
    about = re.search(rb"/Title \(([^)]*)\)", content)
    assert about[1] == b"renalseg study report"
    assert b"Doe" not in content  # its pages are compressed; its metadata are not


def test_pdf_is_equal_for_equal_studies_in_any_process(tmp_path):
    code = (
        "import sys, hashlib; sys.path.insert(0, 'tests'); import study_phantom as p\n"
        "from renalseg.report.study.document import study_pdf\n"
        "s = p.make_study(provenance=p.provenance())\n"
        "print(hashlib.sha256(study_pdf(s)).hexdigest())"
    )
    root = Path(__file__).parents[1]
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_pdf_is_written_whole_or_not_at_all(tmp_path):
    write_study_pdf(phantom.make_study(ct=False), tmp_path / "study.pdf")
    assert [p.name for p in tmp_path.iterdir()] == ["study.pdf"]
    with pytest.raises(OSError, match="missing"):
        write_study_pdf(phantom.make_study(ct=False), tmp_path / "missing" / "study.pdf")


def test_lines_are_no_wider_than_their_room_and_lose_no_letter():
    text = "a long sentence with " + "x" * 200 + " and an end"
    lines = wrap(text, 50, 9)
    assert all(text_width(line, 9, "normal") <= 50.1 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrap("", 50, 9) == [""]


def test_letters_that_the_font_lacks_do_not_stop_a_report(tmp_path):
    study = phantom.make_study(lesions=False, patient=Patient("山田 \x07 $x_1$ Ömer"))
    assert study_pdf(study).startswith(b"%PDF")
    assert "山田" in page_of(study, tmp_path).text


def test_nothing_is_written_below_the_page():
    flow = Flow()
    flow.facts([("name", "word " * 3000)])
    flow.box("Look", [f"line {n}" for n in range(150)], size=9, color="k", ground="w", edge="k")
    flow.table(lesion_table(many_lesions()))
    assert len(flow.pages) > 4
    for page in flow.pages:
        heights = [(1 - text.get_position()[1]) * HEIGHT_MM for text in page.texts]
        assert min(heights) >= TOP_MM
        assert max(heights) <= BOTTOM_MM


def test_a_table_over_the_page_repeats_its_head():
    flow = Flow()
    flow.table(lesion_table(many_lesions()))
    words = [[text.get_text() for text in page.texts] for page in flow.pages]
    assert len(words) == 2
    assert all("Lesion" in page for page in words)
    named = [word for page in words for word in page if word.startswith("Cyst ")]
    assert named == [f"Cyst {n}" for n in range(1, 61)]


def many_lesions():
    study = phantom.make_study(lesions=False)
    cysts = tuple(phantom.lesion(n, "cyst", "left", (20, 30, 75), 6.0) for n in range(1, 61))
    return Study(study.ct, study.labels, study.measurements.model_copy(update={"lesions": cysts}))


def report(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_the_command_writes_a_page_and_a_pdf(tmp_path):
    study = phantom.make_study()
    study.labels.save(tmp_path / "mask.nii.gz")
    result = report(
        tmp_path / "mask.nii.gz", "-o", tmp_path / "study.html", "-o", tmp_path / "study.pdf"
    )
    assert result.exit_code == 0
    assert "R.E.N.A.L." in (tmp_path / "study.html").read_text()
    assert (tmp_path / "study.pdf").read_bytes().startswith(b"%PDF")


def test_the_command_refuses_another_kind_of_file(tmp_path):
    phantom.make_study().labels.save(tmp_path / "mask.nii.gz")
    result = report(tmp_path / "mask.nii.gz", "-o", tmp_path / "study.docx")
    assert "expected a file that ends in .html or .pdf" in str(result.exception)
    assert not (tmp_path / "study.docx").exists()
