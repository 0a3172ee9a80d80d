"""A browser for the page's tests: Debian's Chromium, driven by Playwright."""

import base64
import os
import shutil
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from renalseg.labels import COLORS

STATIC = Path(__file__).parents[1] / "src" / "renalseg" / "web" / "static"
#: As on any machine without a graphics card: WebGL, which draws 3D alone, by the processor.
ARGUMENTS = ("--no-sandbox", "--enable-unsafe-swiftshader")
SIZE = {"width": 1440, "height": 900}
WAIT_MS = 30_000


@contextmanager
def chromium():
    """A browser; the tests skip where there is none, or where the viewer is not installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    if not (STATIC / "vendor" / "niivue.js").is_file():
        pytest.skip("NiiVue is not installed: install npm, then run python web/build.py")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


@contextmanager
def tab(browser, **more):
    """A page of a user of its own; whatever goes wrong in it fails the test."""
    context = browser.new_context(viewport=SIZE, accept_downloads=True, **more)
    page = context.new_page()
    page.set_default_timeout(WAIT_MS)
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(_located(said)) if said.type == "error" else None)
    try:
        page.wrong = wrong
        yield page
    finally:
        context.close()
    assert not wrong, wrong


def _located(said):
    return f"{said.text} {said.location.get('url', '')}"


def drop(page, name, content):
    """Drop a file on the page, as a mouse would."""
    transfer = page.evaluate_handle(
        """([name, base64]) => {
          const transfer = new DataTransfer();
          const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
          transfer.items.add(new File([bytes], name));
          return transfer;
        }""",
        [name, base64.b64encode(content).decode()],
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("body", event, {"dataTransfer": transfer})


def keep(page, folder, name):
    """Keep what is seen as a test artefact."""
    kept = Path(os.environ.get("RENALSEG_ARTEFACTS", folder))
    kept.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=kept / f"page-{name}.png")


def open_study(page, url, study, *, settled=True):
    """Open a study, and wait until it is drawn; with its surfaces, if it is to be settled."""
    page.goto(f"{url}#{study}")
    page.wait_for_selector(f'#stage[data-ready="{study}"]')
    if settled:
        page.wait_for_selector("#stage[data-surfaces]")


def seen(page, pane="axial"):
    """How many pixels of a pane have each label's colour."""
    settle(page)
    box = page.locator(f"#clip-{pane} rect").evaluate(
        "(rect) => ['x', 'y', 'width', 'height'].map((name) => Number(rect.getAttribute(name)))"
    )
    image = Image.open(BytesIO(page.locator("#stage").screenshot())).convert("RGB")
    left, top, width, height = (round(value) for value in box)
    pixels = np.asarray(image, int)[top : top + height, left : left + width]
    return {
        label.title: int((np.abs(pixels - color).max(axis=-1) <= 6).sum())
        for label, color in COLORS.items()
    }


def settle(page):
    """Wait until what was asked for is drawn."""
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def middle(page, pane="axial"):
    """The middle of a pane on the screen."""
    x, y, width, height = page.locator(f"#clip-{pane} rect").evaluate(
        "(rect) => ['x', 'y', 'width', 'height'].map((name) => Number(rect.getAttribute(name)))"
    )
    stage = page.locator("#stage").bounding_box()
    return stage["x"] + x + width / 2, stage["y"] + y + height / 2


def slice_number(page, pane="axial"):
    """The number that stands on a pane: 17 of "Axial 17/48"."""
    settle(page)
    text = page.locator(f"#overlay .pane-{pane} .title").text_content()
    return int(text.split()[-1].split("/")[0])


def sent(page, url, path, **options):
    """A study that was sent by a program and is done."""
    csrf = page.request.get(f"{url}api/session").json()["csrf"]
    headers = {"X-Renalseg-CSRF": csrf, "Content-Type": "application/octet-stream"}
    answer = page.request.post(
        f"{url}api/studies",
        data={"name": "phantom", "options": options},
        headers={"X-Renalseg-CSRF": csrf},
    )
    study = answer.json()["id"]
    page.request.put(
        f"{url}api/studies/{study}/files?path={path.name}", data=path.read_bytes(), headers=headers
    )
    page.request.post(f"{url}api/studies/{study}/start", headers=headers)
    page.goto(url)
    page.wait_for_selector(f'.card.done[data-id="{study}"]')
    return study
