"""From the command to the page, and a large study scrolled, in a headless browser.

The browser draws by the processor, as on a machine without a graphics card. The model is tiny and
untrained.

    python benchmarks/bench_page.py [--json FILE]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from models import write_model
from page_browser import ARGUMENTS, SIZE, settle
from renalseg.viewer.local import LocalStudy, Version
from renalseg.viewer.server import ViewServer
from renalseg.volume import Volume

RENALSEG = "from renalseg.cli.main import run; run()"
SHAPE = (300, 512, 512)
SLICES = 100
#: Scrolls a slice a frame. Gives milliseconds from frame to frame, or, if `alone` is true, those
#: that a slice itself takes: from a frame's begin until what was drawn can be read back.
SCROLL = """async ([slices, alone]) => {
  const stage = document.querySelector("#stage");
  const canvases = [...stage.querySelectorAll(":scope > canvas:not([hidden])")];
  const frame = () => new Promise((done) => requestAnimationFrame(() => done(performance.now())));
  const times = [];
  let last = await frame();
  for (let i = 0; i < slices; i++) {
    const began = frame();
    stage.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowUp", bubbles: true }));
    const drawn = frame();
    await drawn;
    if (alone) canvases.forEach((canvas) => canvas.getContext("2d").getImageData(0, 0, 1, 1));
    const now = await began;
    times.push(alone ? performance.now() - now : now - last);
    last = now;
  }
  return times;
}"""


def main() -> None:
    """Measure both, and print them."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--browser", default="/usr/bin/chromium")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=options.browser, args=list(ARGUMENTS))
        page = browser.new_page(viewport=SIZE)
        found = command_to_page(page, Path(folder)) | scroll(page, Path(folder))
        browser.close()
    for name, value in found.items():
        print(f"{name:<48} {value}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


def command_to_page(page, folder: Path) -> dict[str, float]:
    """Seconds from the command to a page that can be used; the third start of three."""
    model = write_model(folder / "model")
    command = ["serve", "-m", model, "--data", folder / "data", "--port", "0"]
    for _ in range(3):
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-c", RENALSEG, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as server:
            url = server.stdout.readline().strip()
            listening = time.perf_counter() - began
            page.goto(url)
            page.get_by_role("heading", name="Drop a scan here").wait_for()
            seconds = time.perf_counter() - began
            server.terminate()
    return {"command to address, s": round(listening, 2), "command to page, s": round(seconds, 2)}


def scroll(page, folder: Path) -> dict[str, float]:
    """A study of 512 x 512 x 300 voxels: seconds to open it, and milliseconds for a slice."""
    scan, labels = _large()
    mask = Version(1, labels, "bench", datetime.now(UTC), folder / "mask.nii.gz")
    study = LocalStudy(folder / "large.nii.gz", scan, versions=[mask])
    study.measurements(1)  # is kept: measuring is no part of opening
    with ViewServer(study) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        began = time.perf_counter()
        page.goto(server.url)
        page.wait_for_selector("#stage[data-ready]", timeout=120_000)
        settle(page)
        opened = time.perf_counter() - began
        page.wait_for_selector("#stage[data-surfaces]")
        page.wait_for_timeout(1000)
        milliseconds = {}
        for layout, name in (("1", "four panes"), ("3", "axial alone")):
            page.keyboard.press(layout)
            page.keyboard.press("End")
            settle(page)
            for what, alone in (("from slice to slice", False), ("a slice itself", True)):
                times = page.evaluate(SCROLL, [SLICES, alone])
                for percent in (50, 95):
                    milliseconds[f"{what}, {name}, {percent} %, ms"] = round(
                        float(np.percentile(times, percent)), 1
                    )
        server.shutdown()
    return {"512 x 512 x 300 opened, s": round(opened, 2), **milliseconds}


def _large() -> tuple[Volume, Volume]:
    """Noise, and kidneys with lesions as ellipsoids."""
    small = np.random.RandomState(0).randint(-200, 300, (75, 128, 128)).astype(np.int16)
    array = small.repeat(4, 0).repeat(4, 1).repeat(4, 2)
    affine = np.array([[0, 0, -0.8, 200], [0, -0.8, 0, 200], [-1.0, 0, 0, 0], [0, 0, 0, 1]])
    labels = np.zeros(SHAPE, np.uint8)
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    for label, column, radius in ((1, 150, 40), (1, 360, 40), (2, 170, 20), (3, 380, 15)):
        far = (
            ((z - 150) / (2 * radius)) ** 2
            + ((y - 300) / radius) ** 2
            + ((x - column) / radius) ** 2
        )
        labels[far < 1] = label
    return Volume(array, affine), Volume(labels, affine)


if __name__ == "__main__":
    main()
