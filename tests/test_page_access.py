"""Whether everybody can use the page: assistive technology, keyboard, tablet; and its failures."""

import runpy
from pathlib import Path

import pytest

from page_browser import chromium, keep, open_study, seen, sent, settle, slice_number, tab
from page_server import phantom, serving

NUMBER = 2
BUILD = Path(__file__).parents[1] / "web" / "build.py"


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
        return sent(page, url, path)


@pytest.fixture(scope="module")
def axe():
    """axe-core, which finds faults; npm gets it."""
    page = runpy.run_path(str(BUILD))
    try:
        page["build"](page["AXE"])
    except page["BuildError"] as error:
        pytest.skip(f"needs axe-core: {error}")
    return page["AXE"].path.read_text()


def faults(page, axe):
    page.evaluate(axe)
    found = page.evaluate("axe.run()")
    return [
        (each["id"], each["impact"], [node["html"][:120] for node in each["nodes"]])
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]


def test_axe_finds_no_serious_fault(browser, url, study, axe):
    with tab(browser) as page:
        page.goto(url)
        page.get_by_role("heading", name="Drop a scan here").wait_for()
        assert faults(page, axe) == []
        page.locator("summary").click()
        open_study(page, url, study)
        page.keyboard.press("n")
        page.keyboard.press("b")
        assert faults(page, axe) == []
        page.keyboard.press("?")
        page.get_by_role("dialog").wait_for()
        assert faults(page, axe) == []


def test_the_login_page_has_no_serious_fault(browser, url, axe):
    with tab(browser) as page:
        page.goto(f"{url}login")
        assert faults(page, axe) == []


def test_everything_is_reached_by_keyboard(browser, url, study, tmp_path):
    with tab(browser) as page:
        page.goto(url)
        page.wait_for_selector(".card.done")
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.matches('.card-main')"):
                break
        page.keyboard.press("Enter")
        page.wait_for_selector("#stage[data-surfaces]")
        names = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            names.add(
                page.evaluate(
                    "(document.activeElement.getAttribute('aria-label') "
                    "?? document.activeElement.textContent).trim()"
                )
            )
        assert {"Brush (B)", "Eraser (E)", "Four panes (2)", "JSON"} <= names
        assert any(name.startswith("Axial, coronal") for name in names)
        page.locator("#stage").focus()
        first = slice_number(page)
        page.keyboard.press("ArrowDown")
        assert slice_number(page) == first + 1
        page.keyboard.press("?")
        page.get_by_role("heading", name="Keys and mouse").wait_for()
        keep(page, tmp_path, "keys")
        page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for(state="detached")


def test_a_tablet_shows_list_and_panel_on_demand(browser, url, study, tmp_path):
    with tab(browser, has_touch=True) as page:
        page.set_viewport_size({"width": 820, "height": 1180})
        open_study(page, url, study)
        settle(page)
        keep(page, tmp_path, "tablet")
        assert sum(seen(page).values()) > 50
        assert not page.locator("#panel").is_visible()
        page.get_by_role("button", name="Findings and display").tap()
        page.locator("#panel").wait_for()
        page.wait_for_timeout(300)  # it slides in
        keep(page, tmp_path, "tablet-panel")
        page.locator("#findings .row-button").last.tap()
        assert page.locator("#stage").get_attribute("data-lesion") == "2"
        page.get_by_role("button", name="Findings and display").tap()
        page.get_by_role("button", name="Studies").tap()
        page.locator(".card.done").wait_for()
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert not wide


def test_a_server_that_is_gone_is_said(browser, tmp_path):
    with tab(browser) as page:
        with serving(tmp_path / "data", (NUMBER,)) as url:
            page.goto(url)
            page.get_by_role("heading", name="Drop a scan here").wait_for()
        page.get_by_text("Connection lost").wait_for()
        keep(page, tmp_path, "offline")
        page.wrong.clear()  # the browser reports each try


def test_a_page_without_niivue_says_what_is_missing(browser, url, study, tmp_path):
    with tab(browser) as page:
        page.route("**/vendor/niivue.js", lambda route: route.fulfill(status=404))
        page.goto(f"{url}#{study}")
        page.get_by_role("heading", name="The viewer cannot start").wait_for()
        assert "Install npm" in page.get_by_role("alert").text_content()
        keep(page, tmp_path, "missing")
        page.wrong.clear()  # the browser reports the missing file


def test_nothing_is_fetched_from_elsewhere(browser, url, study):
    with tab(browser) as page:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        open_study(page, url, study)
        page.keyboard.press("n")
        page.wait_for_timeout(300)
    ours = (url, f"blob:{url}", "data:")
    assert [address for address in asked if not address.startswith(ours)] == []
