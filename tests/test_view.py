"""``renalseg view``: a scan and its mask from local files."""

import gzip
import json
import re
import shutil
import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from dicom_phantom import make_series, make_volume, write_series
from page_browser import chromium, keep, middle, seen, settle, tab
from page_server import phantom
from renalseg.cli.main import app
from renalseg.errors import VolumeError
from renalseg.viewer.local import LocalStudy
from renalseg.viewer.server import ViewServer
from renalseg.volume import read_labels

NUMBER = 2
NAMES = ("scan.nii.gz", "mask.nii.gz")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    for name, volume in zip(NAMES, phantom(NUMBER), strict=True):
        volume.save(folder / name)
    return folder


@pytest.fixture
def files(kept, tmp_path):
    return tuple(shutil.copy(kept / name, tmp_path / name) for name in NAMES)


@contextmanager
def serving(study):
    with ViewServer(study) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def server(files):
    with serving(LocalStudy.open(*files)) as server:
        yield server


def ask(server, path, method="GET", body=None, **headers):
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def place(server, path):
    return f"/{server.token}/{path}"


def test_the_page_and_what_it_asks_for_are_there(server, files):
    answer, content = ask(server, place(server, ""))
    assert answer.status == 200
    assert b"<canvas" in content
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    answer, content = ask(server, place(server, "static/js/main.js"))
    assert answer.headers["Content-Type"] == "text/javascript"
    (study,) = json.loads(ask(server, place(server, "api/studies"))[1])
    assert study["name"] == "scan.nii.gz"
    assert [version["by"] for version in study["versions"]] == ["mask.nii.gz"]
    measured = json.loads(ask(server, place(server, "api/studies/scan/measurements?version=1"))[1])
    assert len(measured["lesions"]) == 2


@pytest.mark.parametrize(
    "path",
    ["/", "/api/studies", "/guessed/api/studies", "//api/studies", "/../api/studies"],
)
def test_without_the_address_there_is_nothing(server, path):
    answer, content = ask(server, path)
    assert answer.status == 404
    assert b"the address that `renalseg view` printed" in content


def test_a_name_of_another_site_is_refused(server):
    answer, _ = ask(server, place(server, "api/studies"), Host="evil.example")
    assert answer.status == 404


@pytest.mark.parametrize(
    "path",
    [
        "static/../app.py",
        "static/%2e%2e/app.py",
        "static//etc/passwd",
        "static/js",
        "api/studies/other",
        "api/studies/scan/masks/9.nii.gz",
        "api/studies/scan/masks/..nii.gz",
    ],
)
def test_nothing_else_is_given_away(server, path):
    answer, _ = ask(server, place(server, path))
    assert answer.status in (404, 422)


def corrected(files):
    """A mask with one more voxel, as the page would send it."""
    mask = read_labels(files[1])
    array = mask.array.copy()
    array[10, 50, 60] = 3
    image = nibabel.Nifti1Image(array, mask.affine)
    return gzip.compress(image.to_bytes(), 1), array


def test_a_correction_is_saved_beside_and_overwrites_nothing(server, files):
    body, array = corrected(files)
    before = files[1].read_bytes()
    path = place(server, "api/studies/scan/masks?from=1")
    answer, content = ask(server, path, "POST", body, **{"X-Renalseg-CSRF": server.csrf})
    assert answer.status == 201
    version = json.loads(content)
    assert (version["number"], version["from"]) == (2, 1)
    assert version["saved_as"] == "mask-v2.nii.gz"
    saved = read_labels(files[1].with_name("mask-v2.nii.gz"))
    np.testing.assert_array_equal(saved.array, array)
    assert files[1].read_bytes() == before
    answer, content = ask(server, path, "POST", body, **{"X-Renalseg-CSRF": server.csrf})
    assert json.loads(content)["saved_as"] == "mask-v3.nii.gz"


def test_another_sites_correction_is_refused(server, files):
    body, _ = corrected(files)
    path = place(server, "api/studies/scan/masks?from=1")
    answer, content = ask(server, path, "POST", body)
    assert answer.status == 403
    assert b"reload the page" in content
    assert sorted(path.name for path in files[0].parent.iterdir()) == [
        "mask.nii.gz",
        "scan.nii.gz",
    ]


def test_what_is_no_mask_is_refused(server):
    path = place(server, "api/studies/scan/masks?from=1")
    answer, _ = ask(server, path, "POST", b"nothing", **{"X-Renalseg-CSRF": server.csrf})
    assert answer.status == 422


def test_a_mask_of_another_scan_is_refused(files, tmp_path):
    other = tmp_path / "other.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5), np.uint8), np.eye(4)), other)
    with pytest.raises(VolumeError, match=r"other\.nii\.gz: expected the grid of .*scan\.nii\.gz"):
        LocalStudy.open(files[0], other)


def test_a_folder_of_dicom_is_shown(tmp_path):
    volume = make_volume()
    write_series(make_series(volume).datasets, tmp_path / "CT")
    study = LocalStudy.open(tmp_path / "CT")
    np.testing.assert_array_equal(study.scan.array, volume.array)
    assert study.record()["name"] == "CT"


def test_the_command_says_what_it_cannot_read(tmp_path):
    found = CliRunner().invoke(app, ["view", str(tmp_path / "none.nii.gz"), "--no-browser"])
    assert found.exit_code != 0
    assert "none.nii.gz" in str(found.exception)


def test_a_mask_is_seen_and_corrected_in_a_browser(files, tmp_path):
    with chromium() as browser, serving(LocalStudy.open(*files)) as server, tab(browser) as page:
        page.goto(server.url)
        page.wait_for_selector("#stage[data-surfaces]")
        before = seen(page)
        keep(page, tmp_path, "view")
        assert before["kidney"] > 100
        assert not page.locator("nav").is_visible()
        page.keyboard.press("b")
        x, y = middle(page)
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 50, y)
        page.mouse.up()
        settle(page)
        page.keyboard.press("Control+s")
        page.get_by_text("Saved as mask-v2.nii.gz").wait_for()
    saved = read_labels(files[1].with_name("mask-v2.nii.gz")).array
    assert (saved != read_labels(files[1]).array).sum() > 20


def test_the_address_cannot_be_guessed(files):
    study = LocalStudy.open(*files)
    with ViewServer(study) as one, ViewServer(study) as other:
        assert one.token != other.token
        assert re.fullmatch(r"/[\w-]{20,}/", urlsplit(one.url).path)
