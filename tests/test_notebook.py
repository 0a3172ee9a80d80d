"""A segmentation shows itself in a notebook."""

import base64
import gzip
import json
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from page_browser import chromium, keep, tab
from page_server import phantom
from renalseg.errors import RenalsegError, VolumeError
from renalseg.labels import COLORS, Label
from renalseg.report import notebook
from renalseg.segmentation import Segmentation
from renalseg.volume import Volume

NUMBER = 2
VIEW = "application/vnd.jupyter.widget-view+json"
#: What a notebook is to a widget, and no more.
HOST = """async ({ view, layers }) => {
  const data = (value) => value?.base64
    ? new DataView(Uint8Array.from(atob(value.base64), (letter) => letter.charCodeAt(0)).buffer)
    : value;
  const model = (state) => ({
    get: (name) => data(state[name]), set: (name, value) => { state[name] = value; },
    on() {}, off() {}, save_changes() {}, send() {},
    widget_manager: { get_model: async (id) => model(layers[id]) },
  });
  const element = document.createElement("div");
  document.body.replaceChildren(element);
  const widget = (await import("http://notebook.test/widget.js")).default;
  await widget.initialize?.({ model: model(view) });
  await widget.render({ model: model(view), el: element });
}"""


@pytest.fixture
def segmentation():
    return Segmentation(phantom(NUMBER)[1], ("phantom",))


def test_text_is_shown_without_the_viewer(segmentation, monkeypatch):
    monkeypatch.setattr(notebook, "is_available", lambda: False)
    shown = segmentation._repr_mimebundle_()
    assert shown == {
        "text/plain": "Segmentation of (48, 199, 199): kidney 128.6 ml, tumor 12.6 ml, cyst 7.5 ml"
    }
    with pytest.raises(RenalsegError, match=r"pip install 'renalseg\[notebook\]'"):
        segmentation.show()


def test_a_notebook_is_given_a_viewer(segmentation):
    pytest.importorskip("ipyniivue", reason="needs renalseg[notebook]")
    shown = segmentation._repr_mimebundle_()
    assert "kidney" in shown["text/plain"]
    assert set(shown[VIEW]) >= {"model_id", "version_major"}


def test_the_viewer_holds_scan_and_labels_where_they_lie(segmentation):
    pytest.importorskip("ipyniivue", reason="needs renalseg[notebook]")
    ct, labels = phantom(NUMBER)
    scan, mask = segmentation.show(ct).volumes
    for layer, volume in ((scan, ct), (mask, labels)):
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(layer.data))
        again = Volume.from_stored(np.asarray(image.dataobj), image.affine)
        np.testing.assert_array_equal(again.array, volume.array)
        assert again.same_grid(volume)
    assert (scan.cal_min, scan.cal_max) == (-160, 240)
    assert mask.colormap_label.labels == ["background", "kidney", "tumor", "cyst"]
    assert mask.colormap_label.lut[4:8] == [*COLORS[Label.KIDNEY], 255]


def test_another_scan_is_refused(segmentation):
    pytest.importorskip("ipyniivue", reason="needs renalseg[notebook]")
    with pytest.raises(VolumeError, match="give the scan that the labels belong to"):
        segmentation.show(phantom(0)[0])


def test_a_browser_draws_it(segmentation, tmp_path):
    ipyniivue = pytest.importorskip("ipyniivue", reason="needs renalseg[notebook]")
    view = segmentation.show()
    layers = {f"IPY_MODEL_{layer.model_id}": layer.get_state() for layer in view.volumes}
    layers |= {name.removeprefix("IPY_MODEL_"): state for name, state in layers.items()}
    script = Path(ipyniivue.__file__).parent / "static" / "widget.js"
    with chromium() as browser, tab(browser) as page:
        page.route("http://notebook.test/", lambda route: route.fulfill(body="<!doctype html>"))
        page.route("http://notebook.test/widget.js", lambda route: route.fulfill(path=script))
        page.goto("http://notebook.test/")
        state = json.dumps({"view": view.get_state(), "layers": layers}, default=_plain)
        page.evaluate(HOST, json.loads(state))
        page.wait_for_timeout(1500)
        keep(page, tmp_path, "notebook")
        picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
        page.wrong.clear()  # the host lacks what a kernel answers
    pixels = np.asarray(picture, int)
    for label in (Label.KIDNEY, Label.TUMOR):
        assert (np.abs(pixels - COLORS[label]).max(axis=-1) < 20).sum() > 50, label


def _plain(value):
    """Bytes for JSON."""
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else None
