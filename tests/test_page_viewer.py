"""The viewer of the page in a browser: looking, comparing, correcting, saving."""

import gzip

import nibabel
import numpy as np
import pytest

from page_browser import (
    chromium,
    keep,
    middle,
    open_study,
    seen,
    sent,
    settle,
    slice_number,
    tab,
)  # fmt: skip
from page_server import phantom, serving

NUMBER = 2
TUMOR = 2


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def url(tmp_path_factory, browser):
    with serving(tmp_path_factory.mktemp("data"), (NUMBER,), seconds=0.1) as url:
        yield url


@pytest.fixture(scope="module")
def study(tmp_path_factory, browser, url):
    path = tmp_path_factory.mktemp("scan") / "phantom.nii.gz"
    phantom(NUMBER)[0].save(path)
    with tab(browser) as page:
        return sent(page, url, path, uncertainty=True)


@pytest.fixture
def page(browser, url, study):
    with tab(browser) as page:
        open_study(page, url, study)
        yield page


def mask(page, url, study, version):
    answer = page.request.get(f"{url}api/studies/{study}/masks/{version}.nii.gz")
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(answer.body()))
    return np.asarray(image.dataobj, np.uint8)


def versions(page):
    return page.locator("#version option").evaluate_all("(all) => all.map((o) => o.value)")


def paint(page, pane="axial", across=60):
    x, y = middle(page, pane)
    page.mouse.move(x - across, y - 80)
    page.mouse.down()
    page.mouse.move(x + across, y - 80, steps=6)
    page.mouse.up()
    settle(page)


def test_labels_are_hidden_and_shown_by_key_and_by_button(page):
    whole = seen(page)
    page.keyboard.press("t")
    hidden = seen(page)
    assert hidden["tumor"] == 0
    assert hidden["kidney"] >= whole["kidney"]
    page.locator("[data-label=tumor]").click()
    assert seen(page) == whole
    page.keyboard.press(" ")  # the button has the focus and takes it
    assert seen(page)["tumor"] == 0
    page.locator("[data-label=tumor]").click()
    page.locator("#stage").focus()
    page.keyboard.press(" ")
    assert sum(seen(page).values()) == 0


def test_slices_are_scrolled_by_wheel_and_keys_and_panes_follow(page):
    first = slice_number(page)
    page.mouse.move(*middle(page))
    page.mouse.wheel(0, 100)
    assert slice_number(page) == first + 1
    page.keyboard.press("PageUp")
    assert slice_number(page) == first - 9
    page.keyboard.press("End")
    assert slice_number(page) == 48
    coronal = slice_number(page, "coronal")
    page.mouse.move(*middle(page, "coronal"))
    page.keyboard.press("ArrowUp")
    assert slice_number(page, "coronal") == coronal - 1
    assert slice_number(page) == 48
    page.mouse.click(*middle(page, "sagittal"))
    assert slice_number(page) in (24, 25)
    assert slice_number(page, "coronal") in (100, 101)


def test_a_window_is_chosen_by_key_and_by_mouse(page, tmp_path):
    place = page.locator("#place")
    page.keyboard.press("F4")
    assert "W 1800 L 400" in place.text_content()
    assert page.locator("#window-preset").input_value() == "3"
    x, y = middle(page)
    page.mouse.move(x, y)
    page.mouse.down(button="right")
    page.mouse.move(x + 40, y + 20)
    page.mouse.up(button="right")
    assert "W 1860 L 430" in place.text_content()
    page.keyboard.press("F2")
    assert "W 250 L 60" in place.text_content()
    keep(page, tmp_path, "window")


def test_a_lesion_of_the_table_is_gone_to_and_its_diameter_shown(page, tmp_path):
    page.get_by_role("button", name="Cyst").first.click()
    settle(page)
    row = page.locator("#findings tr.chosen")
    diameter = row.locator("td").nth(3).text_content()
    lines = page.locator("#overlay .pane-axial .length")
    assert f"{diameter} mm" in lines.all_text_contents()
    assert seen(page)["cyst"] > 20
    keep(page, tmp_path, "lesion")
    page.locator("#stage").focus()
    page.keyboard.press("n")
    assert page.locator("#findings tr.chosen td").nth(1).text_content() == "Tumor"


def test_layouts_zoom_and_three_dimensions(page, tmp_path):
    page.keyboard.press("2")
    settle(page)
    keep(page, tmp_path, "four-panes")
    page.keyboard.press("3")
    whole = seen(page)
    for _ in range(4):
        page.keyboard.press("+")
    assert seen(page)["tumor"] > 1.5 * whole["tumor"]
    page.keyboard.press("r")
    assert seen(page) == whole
    page.keyboard.press("6")
    page.locator("#stage").focus()
    settle(page)
    before = page.locator("#stage").screenshot()
    x, y = middle(page, "3d")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y)
    page.mouse.up()
    settle(page)
    assert page.locator("#stage").screenshot() != before
    keep(page, tmp_path, "3d")


def test_what_post_processing_took_away_is_seen(page, url, study, tmp_path):
    page.keyboard.press("p")
    page.wait_for_selector('#stage[data-version="raw"]')
    assert page.get_by_role("button", name="Brush (B)").is_disabled()
    page.locator("#compare").select_option("1")
    page.locator(".compared tbody tr").first.wait_for()
    dice = dict(
        page.locator(".compared tbody tr").evaluate_all(
            "(rows) => rows.map((r) => [r.cells[0].textContent, Number(r.cells[1].textContent)])"
        )
    )
    raw, clean = (mask(page, url, study, version) for version in ("raw", "1"))
    both = ((raw == TUMOR) & (clean == TUMOR)).sum()
    expected = 2 * both / ((raw == TUMOR).sum() + (clean == TUMOR).sum())
    assert dice["Tumor"] == pytest.approx(expected, abs=0.001)
    assert dice["Tumor"] < 0.99
    keep(page, tmp_path, "compared")


def test_uncertainty_lies_over_the_scan(page, tmp_path):
    plain = page.locator("#stage").screenshot()
    with page.expect_response("**/entropy.nii.gz"):
        page.keyboard.press("u")
    page.wait_for_selector("#stage[data-uncertainty=on]")
    settle(page)
    assert page.locator("#stage").screenshot() != plain
    keep(page, tmp_path, "uncertainty")
    page.keyboard.press("u")
    settle(page)
    assert page.locator("#stage").screenshot() == plain


def test_a_mask_is_corrected_undone_and_saved_as_a_new_version(page, url, study, tmp_path):
    known = versions(page)
    page.keyboard.press("b")
    before = seen(page)
    paint(page)
    painted = seen(page)
    keep(page, tmp_path, "brush")
    assert painted["tumor"] > before["tumor"] + 50
    page.keyboard.press("Control+z")
    assert seen(page) == before
    page.keyboard.press("Control+Shift+Z")
    assert seen(page) == painted
    page.keyboard.press("Control+s")
    page.get_by_text("Saved as version").wait_for()
    new = (set(versions(page)) - set(known)).pop()
    page.wait_for_selector("#findings tbody tr")
    keep(page, tmp_path, "saved")
    old, corrected = (mask(page, url, study, version) for version in ("1", new))
    changed = corrected != old
    assert changed.sum() > 20
    assert set(corrected[changed]) == {TUMOR}
    assert len(np.unique(np.nonzero(changed)[0])) == 1  # one slice was painted
    said = page.request.get(f"{url}api/studies/{study}").json()["versions"]
    version = next(each for each in said if str(each["number"]) == new)
    assert (version["by"], version["from"]) == ("local", 1)


def volumes(page):
    return page.locator(".label-row .number").all_text_contents()


def test_the_eraser_takes_away_and_a_rule_keeps_the_brush_within_the_mask(page):
    page.locator("#version").select_option("1")
    page.wait_for_selector('#stage[data-version="1"]')
    before = volumes(page)
    page.keyboard.press("b")
    page.get_by_label("What the brush may change").select_option("mask")
    page.get_by_text("Cyst", exact=True).first.click()
    paint(page)
    assert volumes(page) == before  # there is no mask where it went
    page.keyboard.press("e")
    x, y = middle(page)
    page.mouse.move(x - 250, y + 40)
    page.mouse.down()
    for down in range(40, 240, 10):
        page.mouse.move(x + (250 if down % 20 else -250), y + down)
    page.mouse.up()
    settle(page)
    assert volumes(page) != before
    assert seen(page)["kidney"] == 0


def test_corrections_are_not_lost_by_leaving(page):
    page.locator("#version").select_option("1")  # the newest may be painted already
    page.wait_for_selector('#stage[data-version="1"]')
    page.keyboard.press("b")
    paint(page)
    page.locator("#version").select_option("raw")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").wait_for(state="detached")
    settle(page)
    assert page.locator("#version").input_value() != "raw"
    page.keyboard.press("Control+z")
    page.locator("#version").select_option("raw")
    page.wait_for_selector('#stage[data-version="raw"]')


def test_a_distance_is_measured(page):
    page.keyboard.press("m")
    page.keyboard.press("3")
    x, y = middle(page)
    page.mouse.move(x - 100, y)
    page.mouse.down()
    page.mouse.move(x + 100, y, steps=3)
    page.mouse.up()
    settle(page)
    lengths = page.locator("#overlay .pane-axial .length").all_text_contents()
    scale = page.locator("#overlay .pane-axial .ruler").evaluate("(path) => path.getBBox().height")
    mm = 10 * float(page.locator("#overlay .pane-axial .small").text_content().split()[0])
    measured = [float(text.split()[0]) for text in lengths if text]
    assert any(length == pytest.approx(200 * mm / scale, rel=0.03) for length in measured)
