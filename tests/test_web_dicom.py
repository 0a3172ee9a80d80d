"""A DICOM series sent as a folder and as a zip, and what comes back."""

import io

import numpy as np
import pydicom
import pytest

from dicom_phantom import make_series, write_series
from renalseg.postprocess import postprocess
from renalseg.volume import Volume
from web_server import (
    create,
    finished,
    found_in,
    make_ct,
    put,
    read_nifti,
    running,
    start,
    wait,
    zipped,
)

AFFINE = np.array([[0, 0, -3.0, 60], [0, -3.0, 0, 50], [-4.0, 0, 0, 40], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with running(tmp_path_factory.mktemp("dicom") / "data") as client:
        yield client


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The phantom of the other tests as a series, and a text beside it."""
    folder = tmp_path_factory.mktemp("series")
    write_series(make_series(Volume(make_ct(), AFFINE)).datasets, folder)
    (folder / "README").write_text("not an image")
    return folder


@pytest.fixture(scope="module")
def study(client, folder):
    files = {f"DOE/{path.name}": path.read_bytes() for path in folder.iterdir()}
    return finished(client, "a zip", path="ct.zip", content=zipped(files))


def get(client, study, path):
    return client.get(f"/api/studies/{study['id']}/{path}")


def test_a_zip_becomes_a_study_on_its_own_grid(client, study, folder):
    assert study["is_dicom"]
    assert study["shape"] == [24, 40, 60]
    image, affine = read_nifti(get(client, study, "image.nii.gz"))
    assert np.array_equal(Volume.from_stored(image, affine).array, make_ct())
    mask, _ = read_nifti(get(client, study, "masks/1.nii.gz"))
    found = Volume.from_stored(mask, affine).array
    assert np.array_equal(found, postprocess(found_in(make_ct())))


def test_a_folder_is_sent_file_by_file(client, study, folder):
    sent = create(client, "a folder")
    kept = [
        put(client, sent, f"DOE/series 1/{path.name}", path.read_bytes()).json()["kept"]
        for path in sorted(folder.iterdir())
    ]
    assert kept.count(False) == 1
    start(client, sent)
    assert wait(client, sent)["is_dicom"]
    ours = read_nifti(client.get(f"/api/studies/{sent}/image.nii.gz"))[0]
    assert np.array_equal(ours, read_nifti(get(client, study, "image.nii.gz"))[0])


@pytest.mark.parametrize(
    ("wanted", "modality"),
    [("seg", "SEG"), ("sr", "SR"), ("rtstruct", "RTSTRUCT"), ("dicom-pdf", "DOC")],
)
def test_results_refer_to_the_series(client, study, folder, wanted, modality):
    answer = get(client, study, f"download/{wanted}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/dicom"
    found = pydicom.dcmread(io.BytesIO(answer.content))
    source = pydicom.dcmread(sorted(folder.glob("*.dcm"))[0], stop_before_pixels=True)
    assert found.Modality == modality
    assert found.StudyInstanceUID == source.StudyInstanceUID
    assert get(client, study, f"download/{wanted}").content == answer.content


def test_the_report_refers_to_the_segmentation_that_is_taken_away(client, study):
    segmentation = pydicom.dcmread(io.BytesIO(get(client, study, "download/seg").content))
    report = pydicom.dcmread(io.BytesIO(get(client, study, "download/sr").content))
    assert segmentation.SOPInstanceUID in str(report)


def test_a_correction_goes_back_to_the_series(client, study, folder):
    content = get(client, study, "masks/1.nii.gz").content
    place = f"/api/studies/{study['id']}/masks?from=1"
    version = client.post(place, content=content).json()["number"]
    first = pydicom.dcmread(io.BytesIO(get(client, study, "download/seg?version=1").content))
    again = get(client, study, f"download/seg?version={version}")
    again = pydicom.dcmread(io.BytesIO(again.content))
    assert np.array_equal(first.pixel_array, again.pixel_array)
    assert first.SOPInstanceUID != again.SOPInstanceUID
    kinds = [seg.SegmentSequence[0].SegmentAlgorithmType for seg in (first, again)]
    assert kinds == ["AUTOMATIC", "SEMIAUTOMATIC"]
    assert again.ContentCreatorName == "local^"


def test_a_series_with_a_gap_fails_in_words(client, folder):
    files = {path.name: path.read_bytes() for path in folder.glob("*.dcm")}
    del files[sorted(files)[10]]
    sent = create(client)
    put(client, sent, "ct.zip", zipped(files))
    start(client, sent)
    problem = wait(client, sent, "failed")["problem"]
    assert "missing" in problem or "gap" in problem
    assert "upload" not in problem
