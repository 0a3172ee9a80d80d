"""The page, end to end in a browser: a scan is dropped, watched, seen, taken away, deleted."""

import gzip
import io
import json
import zipfile

import nibabel
import numpy as np
import pytest

from dicom_phantom import make_series, write_series
from page_browser import chromium, drop, keep, seen, sent, tab
from page_server import phantom, serving
from renalseg.postprocess import postprocess
from renalseg.volume import Volume

NIFTI, DICOM = 2, 0


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def url(tmp_path_factory, browser):
    with serving(tmp_path_factory.mktemp("data"), (NIFTI, DICOM), seconds=0.6) as url:
        yield url


@pytest.fixture
def page(browser):
    with tab(browser) as page:
        yield page


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    ct, labels = phantom(NIFTI)
    path = tmp_path_factory.mktemp("scan") / "phantom.nii.gz"
    ct.save(path)
    return path, labels


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    ct, _ = phantom(DICOM)
    folder = tmp_path_factory.mktemp("series") / "CT"
    write_series(make_series(ct).datasets, folder)
    return folder


def cleaned(labels):
    """What the server makes of what its model found."""
    return postprocess(labels.array)


def test_a_nifti_file_is_dropped_watched_and_seen(page, url, scan, tmp_path):
    page.goto(url)
    page.get_by_role("heading", name="Drop a scan here").wait_for()
    keep(page, tmp_path, "empty")
    drop(page, "phantom.nii.gz", scan[0].read_bytes())
    page.wait_for_selector(".card.running")
    bar = page.locator("#waiting progress[value]")
    fractions = {
        bar.evaluate("(bar) => bar.value") for _ in range(5) if not page.wait_for_timeout(99)
    }
    keep(page, tmp_path, "progress")
    assert max(fractions) > min(fractions)
    page.wait_for_selector("#stage[data-ready]")
    page.wait_for_selector("#stage[data-surfaces]")
    found = seen(page)
    keep(page, tmp_path, "viewer")
    assert found["kidney"] > 100
    assert found["tumor"] > 50
    for pane in ("coronal", "sagittal"):
        assert sum(seen(page, pane).values()) > 50, pane
    assert page.locator("#findings tbody tr").count() == 2


def test_a_zip_of_dicom_is_dropped_and_gives_dicom_back(page, url, series, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in series.iterdir():
            archive.write(path, f"CT/{path.name}")
    page.goto(url)
    drop(page, "series.zip", buffer.getvalue())
    page.wait_for_selector("#stage[data-surfaces]")
    assert sum(seen(page).values()) > 100
    keep(page, tmp_path, "dicom")
    formats = page.locator(".download").evaluate_all("(all) => all.map((a) => a.dataset.format)")
    assert {"seg", "sr", "rtstruct"} <= set(formats)
    with page.expect_download() as waited:
        page.locator("[data-format=seg]").click()
    content = waited.value.path().read_bytes()
    assert content[128:132] == b"DICM"


def test_a_folder_of_dicom_is_chosen(page, url, series):
    page.goto(url)
    page.locator("#add input[webkitdirectory]").set_input_files(series)
    page.wait_for_selector("#stage[data-surfaces]")
    assert page.locator(".card-main[aria-current=true] .card-name").text_content() == "CT"


def test_masks_measurements_and_reports_are_taken_away(page, url, scan):
    study = sent(page, url, scan[0])
    page.goto(f"{url}#{study}")
    taken = {}
    for name in ("nifti", "nrrd", "pdf", "html", "csv", "json"):
        with page.expect_download() as waited:
            page.locator(f"[data-format={name}]").click()
        taken[name] = (waited.value.suggested_filename, waited.value.path().read_bytes())
    name, content = taken["nifti"]
    assert name.endswith(".nii.gz")
    mask = nibabel.Nifti1Image.from_bytes(gzip.decompress(content))
    stored = np.asarray(mask.dataobj, np.uint8)
    np.testing.assert_array_equal(Volume.from_stored(stored, mask.affine).array, cleaned(scan[1]))
    assert taken["pdf"][1].startswith(b"%PDF")
    assert taken["nrrd"][1].startswith(b"NRRD")
    assert len(json.loads(taken["json"][1])["lesions"]) == 2


def test_a_study_is_deleted_for_good(page, url, scan, tmp_path):
    study = sent(page, url, scan[0])
    card = page.locator(f'.card[data-id="{study}"]')
    card.hover()
    card.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    keep(page, tmp_path, "delete")
    dialog.get_by_role("button", name="Cancel").click()
    assert card.count() == 1
    card.hover()
    card.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    card.wait_for(state="detached")
    assert page.request.get(f"{url}api/studies/{study}").status == 404


def test_what_cannot_be_segmented_says_why(page, url, tmp_path):
    page.goto(url)
    drop(page, "letter.nii.gz", b"Dear colleague, thank you for the referral.")
    alert = page.get_by_role("alert").first
    alert.wait_for()
    keep(page, tmp_path, "refused")
    assert "letter" in alert.text_content()
    page.wrong.clear()  # the browser reports refused requests


def test_a_scan_that_the_model_fails_on_can_be_tried_again(page, url, tmp_path):
    path = tmp_path / "unknown.nii.gz"
    array = np.random.RandomState(0).normal(0, 100, (20, 20, 20)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
    page.goto(url)
    page.locator("#add input[type=file]").first.set_input_files(path)
    page.get_by_role("heading", name="This scan could not be segmented").wait_for()
    keep(page, tmp_path, "failed")
    assert "knows no scan" in page.locator("#waiting [role=alert]").text_content()
    page.get_by_role("button", name="Try again", exact=True).click()
    page.get_by_role("heading", name="This scan could not be segmented").wait_for()


def test_a_study_that_runs_is_cancelled(browser, tmp_path, scan):
    with serving(tmp_path / "data", (NIFTI,), seconds=30) as url, tab(browser) as page:
        page.goto(url)
        drop(page, "phantom.nii.gz", scan[0].read_bytes())
        card = page.locator(".card.running")
        card.hover()
        card.get_by_role("button", name="Cancel").click()
        page.get_by_role("heading", name="Cancelled").wait_for()
