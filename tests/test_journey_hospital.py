"""A data scientist in a hospital: a scan in, every result out, through the installed command."""

import gzip
import json
import re
import shutil
import urllib.error
import urllib.request

import nibabel
import numpy as np
import pydicom
import pytest

from journey import renalseg, started
from once import EVERY_FORMAT
from renalseg.formats import entropy_path
from result_files import (
    check_entropy,
    check_page,
    check_pdf,
    check_results,
    check_table,
    results_of,
)

pytestmark = pytest.mark.slow


def first_image(folder):
    return pydicom.dcmread(min(folder.iterdir()), stop_before_pixels=True)


def test_a_series_in_and_every_format_out(bundled_prediction):
    study = bundled_prediction
    assert f"{study.mask}: kidney" in study.shown
    measured = check_results(results_of(study.mask), first_image(study.dicom))
    assert {kidney["side"] for kidney in measured["kidneys"]} == {"left", "right"}
    assert measured["lesions"]
    check_entropy(study.mask)
    assert not [path for path in study.mask.parent.iterdir() if path.name.startswith(".")]


def test_the_numbers_of_measure_are_those_of_the_prediction(bundled_prediction, tmp_path):
    study, table = bundled_prediction, tmp_path / "table.csv"
    arguments = ("measure", study.mask, "--ct", study.dicom)
    again = json.loads(renalseg(*arguments, "--json", "--csv", table).stdout)
    files = results_of(study.mask)
    measured = json.loads(files["json"].read_text())
    for one in (*measured["kidneys"], *measured["lesions"], *again["kidneys"], *again["lesions"]):
        one.pop("intervals", None)  # they need the members' own masks
        one.pop("agreement", None)
    assert_alike(again, measured)
    check_table(table, measured)


def test_what_measure_shows(bundled_prediction):
    study = bundled_prediction
    measured = json.loads(results_of(study.mask)["json"].read_text())
    shown = renalseg("measure", study.mask, "--ct", study.scan).stdout
    for kidney in measured["kidneys"]:
        assert re.search(rf"{kidney['side']} .* {kidney['volume_ml']:.0f} ", shown)
    for lesion in measured["lesions"]:
        assert re.search(rf"{lesion['side']} {lesion['label']} .* {lesion['volume_ml']:.2f}", shown)
        assert all(score["text"] in " ".join(shown.split()) for score in lesion["scores"])
    assert "Not a medical device" in shown


def test_a_report_of_the_mask_with_its_series(bundled_prediction, tmp_path):
    study, page, pdf = bundled_prediction, tmp_path / "study.html", tmp_path / "study.pdf"
    done = renalseg("report", study.mask, "--ct", study.dicom, "-o", page, "-o", pdf)
    assert done.stdout.split() == [str(page), str(pdf)]
    measured = json.loads(results_of(study.mask)["json"].read_text())
    check_page(page, measured)
    check_pdf(pdf, measured)
    assert "profile: fast" in page.read_text()  # the record was found next to the mask


def test_the_scan_and_its_mask_are_viewed(bundled_prediction):
    study = bundled_prediction
    with started("view", study.dicom, study.mask, "--no-browser") as url:
        assert b"<canvas" in fetched(url)
        assert b"import" in fetched(f"{url}static/js/main.js")
        assert fetched(f"{url}static/vendor/niivue.js")
        (record,) = json.loads(fetched(f"{url}api/studies"))
        place = f"{url}api/studies/{record['id']}"
        assert record["state"] == "done"
        assert_same_voxels(fetched(f"{place}/image.nii.gz"), study.scan)
        assert_same_voxels(fetched(f"{place}/masks/1.nii.gz"), study.mask)
        measured = json.loads(results_of(study.mask)["json"].read_text())
        table = json.loads(fetched(f"{place}/measurements?version=1"))
        assert [one["volume_ml"] for one in table["kidneys"] + table["lesions"]] == pytest.approx(
            [one["volume_ml"] for one in measured["kidneys"] + measured["lesions"]]
        )
    with pytest.raises(urllib.error.URLError):
        fetched(url)


@pytest.mark.soak  # the README segments this series, a trained ensemble writes all formats
def test_a_real_series_without_kidneys_has_every_format_too(real_data, tmp_path):
    """Its 20 slices end above the kidneys; they are compressed and lack every UID."""
    series = real_data / "ct" / "dicom_series"
    done = renalseg(
        *("predict", series, "-o", tmp_path, *EVERY_FORMAT),
        *("--profile", "fast", "--uncertainty", "--device", "cpu"),
    )
    assert "No kidney was found" in done.stderr
    target = tmp_path / "dicom_series.nii.gz"
    measured = check_results(results_of(target), first_image(series))
    assert measured["kidneys"] == measured["lesions"] == []
    check_entropy(target)


@pytest.mark.soak  # the README itself runs in test_docs.py
def test_the_readmes_first_commands(bundled_prediction, tmp_path):
    """A scan in NIfTI; nothing is named but the scan."""
    scan = shutil.copy(bundled_prediction.scan, tmp_path / "scan.nii.gz")
    before = scan.read_bytes()
    renalseg("predict", "scan.nii.gz", "--profile", "fast", "--uncertainty", cwd=tmp_path)
    renalseg("report", "scan_mask.nii.gz", "--ct", "scan.nii.gz", cwd=tmp_path)
    mask = tmp_path / "scan_mask.nii.gz"
    assert {path.name for path in tmp_path.iterdir()} == {
        *(scan.name, mask.name, entropy_path(mask).name),
        *("scan_mask.json", "scan_mask.html"),
    }
    assert scan.read_bytes() == before
    assert np.array_equal(voxels(mask), voxels(bundled_prediction.mask))
    assert np.allclose(nibabel.load(mask).affine, nibabel.load(scan).affine)
    check_page(tmp_path / "scan_mask.html", json.loads(measured_text(mask, scan)))
    again = renalseg("predict", "scan.nii.gz", "--uncertainty", cwd=tmp_path)
    assert "already there, kept" in again.stderr


def test_a_trained_ensemble_writes_every_format(bundled_prediction, trained_ensemble, tmp_path):
    study = bundled_prediction
    renalseg(
        *("predict", study.dicom, "-o", tmp_path, "-m", trained_ensemble, *EVERY_FORMAT),
        *("--uncertainty", "--device", "cpu"),
    )
    target = tmp_path / "study.nii.gz"
    check_results(results_of(target), first_image(study.dicom))
    check_entropy(target)


def fetched(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def assert_alike(value, expected):
    """Equal but for how numbers were rounded: the positions of DICOM are decimal strings."""
    if isinstance(value, dict):
        assert value.keys() == expected.keys()
        value, expected = [*value.values()], [*expected.values()]
    if isinstance(value, list):
        assert len(value) == len(expected)
        for one, other in zip(value, expected, strict=True):
            assert_alike(one, other)
    else:
        assert value == (pytest.approx(expected) if isinstance(value, float) else expected)


def voxels(path):
    """In the patient's axes: a series and a file store them in different orders."""
    return np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj)


def measured_text(mask, ct):
    return renalseg("measure", mask, "--ct", ct, "--json").stdout


def assert_same_voxels(content, path):
    """Both in the patient's axes."""
    content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    sent = nibabel.as_closest_canonical(nibabel.Nifti1Image.from_bytes(content))
    file = nibabel.as_closest_canonical(nibabel.load(path))
    assert np.allclose(sent.affine, file.affine, atol=1e-3)
    assert np.array_equal(np.asarray(sent.dataobj), np.asarray(file.dataobj))
