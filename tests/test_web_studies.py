"""Studies from upload to download, through the interface."""

import gzip
import re
import time

import nibabel
import numpy as np
import pytest

from renalseg.clinical import measure
from renalseg.errors import ModelError
from renalseg.postprocess import Cleaning, postprocess
from renalseg.provenance import NOTICE
from renalseg.volume import read_image
from web_server import (
    IPL,
    Fake,
    create,
    finished,
    found_in,
    make_ct,
    nifti,
    put,
    read_nifti,
    running,
    start,
    wait,
    zipped,
)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with running(tmp_path_factory.mktemp("web") / "data") as client:
        yield client


@pytest.fixture(scope="module")
def done(client):
    return finished(client, "Jane's CT", uncertainty=True)


def get(client, study, path):
    return client.get(f"/api/studies/{study['id']}/{path}")


def corrected(client, study, array, made_from=1, affine=IPL):
    return client.post(
        f"/api/studies/{study['id']}/masks",
        params={"from": made_from},
        content=nifti(array, affine),
    )


def files_of(data):
    return [path for path in (data / "studies").rglob("*") if path.is_file()]


def test_the_session_says_who_and_what(client):
    session = client.get("/api/session").json()
    assert session["user"] == "local"
    assert session["notice"] == NOTICE
    assert session["limits"] == {"upload_mb": 2048, "days_kept": 30}
    assert {"nifti", "nrrd", "seg", "sr", "rtstruct", "pdf", "html", "csv", "json"} <= set(
        session["formats"]
    )


def test_a_study_from_upload_to_mask(client, done):
    assert done["name"] == "Jane's CT"
    assert (done["state"], done["progress"], done["position"]) == ("done", 1.0, None)
    assert (done["shape"], done["spacing_mm"]) == ([24, 40, 60], [4.0, 3.0, 3.0])
    assert [(v["number"], v["by"], v["from"]) for v in done["versions"]] == [(1, "ensemble", None)]
    image, affine = read_nifti(get(client, done, "image.nii.gz"))
    assert np.array_equal(image, make_ct())
    assert np.allclose(affine, IPL)
    mask, _ = read_nifti(get(client, done, "masks/1.nii.gz"))
    assert np.array_equal(mask, postprocess(found_in(make_ct())))


def test_the_mask_before_post_processing_is_kept(client, done):
    raw, _ = read_nifti(get(client, done, "masks/raw.nii.gz"))
    assert np.array_equal(raw, found_in(make_ct()))
    assert not np.array_equal(raw, postprocess(raw))
    assert done["has_raw"]


def test_a_mask_is_cleaned_as_the_ensemble_asks_for(tmp_path):
    cleaning = Cleaning(least_tumor_ml=6.0)  # the tumor has 5.4 ml
    with running(tmp_path, cleaning=cleaning) as client:
        mask, _ = read_nifti(get(client, finished(client), "masks/1.nii.gz"))
    assert np.array_equal(mask, cleaning.apply(found_in(make_ct()), 36.0))
    assert set(np.unique(mask)) == {0, 1}


def test_uncertainty_where_it_was_asked_for(client, done):
    entropy, _ = read_nifti(get(client, done, "entropy.nii.gz"))
    assert set(np.unique(entropy)) == {0, 0.5}
    without = finished(client)
    assert not without["has_uncertainty"]
    assert get(client, without, "entropy.nii.gz").status_code == 404


def test_measurements_are_those_of_the_library(client, done, tmp_path):
    (tmp_path / "ct.nii.gz").write_bytes(nifti())
    ct = read_image(tmp_path / "ct.nii.gz")
    expected = measure(ct.like(postprocess(found_in(ct.array))), ct)
    assert get(client, done, "measurements?version=1").json() == expected.model_dump(mode="json")


def test_warnings_do_not_tell_the_servers_folders(client):
    without_air = np.maximum(make_ct(), -100)
    text = " ".join(finished(client, content=nifti(without_air))["warnings"])
    assert "scan.nii.gz: no voxel below -200 HU" in text
    assert "/" not in text.replace("HU/", "")


def test_the_thumbnail_is_a_small_webp(client, done):
    answer = get(client, done, "thumbnail.webp")
    assert answer.headers["content-type"] == "image/webp"
    assert answer.content[8:12] == b"WEBP"
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    ("wanted", "name", "start"),
    [
        ("nifti", "Jane_s CT-v1.nii.gz", b"\x1f\x8b"),
        ("nrrd", "Jane_s CT-v1.nrrd", b"NRRD"),
        ("csv", "Jane_s CT-v1-measurements.csv", b"what,number"),
        ("json", "Jane_s CT-v1-measurements.json", b'{"notice"'),
        ("html", "Jane_s CT-v1-report.html", b"<!DOCTYPE html>"),
        ("pdf", "Jane_s CT-v1-report.pdf", b"%PDF"),
    ],
)
def test_every_format_can_be_taken_away(client, done, wanted, name, start):
    answer = get(client, done, f"download/{wanted}?version=1")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert answer.content[: len(start)].lower() == start.lower()


@pytest.mark.parametrize("wanted", ["seg", "sr", "rtstruct", "dicom-pdf"])
def test_dicom_is_refused_for_what_did_not_come_as_dicom(client, done, wanted):
    answer = get(client, done, f"download/{wanted}")
    assert answer.status_code == 409
    assert "refers to DICOM images" in answer.json()["detail"]


def test_a_correction_is_a_new_version_and_is_measured(client):
    study = finished(client)
    mask, _ = read_nifti(get(client, study, "masks/1.nii.gz"))
    mask = np.where(mask == 2, 3, mask).astype(np.uint8)
    answer = corrected(client, study, mask)
    assert answer.status_code == 201
    version = answer.json()
    assert (version["number"], version["by"], version["from"]) == (2, "local", 1)
    assert np.array_equal(read_nifti(get(client, study, "masks/2.nii.gz"))[0], mask)
    lesions = get(client, study, "measurements?version=2").json()["lesions"]
    assert [lesion["label"] for lesion in lesions] == ["cyst"]
    first = get(client, study, "measurements?version=1").json()["lesions"]
    assert [lesion["label"] for lesion in first] == ["tumor"]
    newest = get(client, study, "download/nifti")
    assert 'filename="scan-v2.nii.gz"' in newest.headers["content-disposition"]
    assert corrected(client, study, mask, made_from=2).json()["number"] == 3
    page = get(client, study, "download/html?version=2").text
    assert "version 2, corrected by local" in page


@pytest.mark.parametrize(
    ("array", "affine", "text"),
    [
        (np.zeros((24, 40, 59), np.uint8), IPL, "does not lie on the scan's grid"),
        (np.zeros((24, 40, 60), np.uint8), IPL + np.eye(4) * 0.5, "does not lie on the scan's"),
        (np.full((24, 40, 60), 7, np.uint8), IPL, "7"),
        (np.full((24, 40, 60), 0.5, np.float32), IPL, "label"),
    ],
)
def test_a_correction_that_is_no_mask_of_this_scan_is_refused(client, done, array, affine, text):
    answer = corrected(client, done, array, affine=affine)
    assert answer.status_code == 422
    assert text in answer.json()["detail"]
    assert "incoming" not in answer.json()["detail"]
    assert len(client.get(f"/api/studies/{done['id']}").json()["versions"]) == 1


def test_a_correction_of_no_version_is_refused(client, done):
    assert corrected(client, done, make_ct(), made_from=9).status_code == 404


@pytest.mark.parametrize("name", ["ct.nii", "ct.NRRD", "ct.mha"])
def test_other_formats_and_upper_case(client, tmp_path, name):
    image = nibabel.Nifti1Image(make_ct(), IPL)
    path = tmp_path / name.lower()
    if name == "ct.nii":
        path.write_bytes(image.to_bytes())
    else:
        (tmp_path / "ct.nii.gz").write_bytes(nifti())
        read_image(tmp_path / "ct.nii.gz").save(path)
    study = finished(client, path=name, content=path.read_bytes())
    assert np.array_equal(read_nifti(get(client, study, "image.nii.gz"))[0], make_ct())


def test_a_zip_of_an_image(client):
    content = zipped({"folder/readme.txt": b"hello", "folder/ct.nii.gz": nifti()})
    study = finished(client, path="ct.zip", content=content)
    assert study["shape"] == [24, 40, 60]


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"a.nii.gz": nifti(), "b.nii.gz": nifti()}, "holds several scans"),
        ({"readme.txt": b"hello"}, "holds no scan"),
    ],
)
def test_a_zip_of_something_else_fails_in_words(client, files, text):
    study = create(client)
    put(client, study, "ct.zip", zipped(files))
    start(client, study)
    assert text in wait(client, study, "failed")["problem"]


def test_a_damaged_scan_fails_in_words_that_name_it(client):
    study = create(client)
    put(client, study, "ct/Jane.nii.gz", nifti()[:-2000])
    start(client, study)
    problem = wait(client, study, "failed")["problem"]
    assert problem.startswith("Jane.nii.gz: not a whole NIfTI image")
    assert client.post(f"/api/studies/{study}/retry").status_code == 202
    wait(client, study, "failed")


def test_files_that_are_neither_images_nor_dicom_are_not_kept(client):
    study = create(client)
    assert put(client, study, "folder/README", b"some text").json() == {"kept": False}
    answer = start(client, study)
    assert answer.status_code == 409
    assert "nothing that can be read" in answer.json()["detail"]
    assert put(client, study).json() == {"kept": True}
    assert start(client, study).status_code == 202


def test_several_scans_in_one_study_are_refused(client):
    study = create(client)
    put(client, study, "a.nii.gz")
    put(client, study, "b.nii.gz")
    assert "several scans" in start(client, study).json()["detail"]


def test_what_does_not_fit_the_state_is_refused(client, done):
    place = f"/api/studies/{done['id']}"
    assert put(client, done["id"]).status_code == 409
    for action in ("start", "cancel", "retry"):
        answer = client.post(f"{place}/{action}")
        assert answer.status_code == 409
        assert answer.json()["detail"]


def test_a_deleted_study_is_gone_with_its_files(tmp_path):
    with running(tmp_path) as client:
        study = finished(client)
        assert files_of(tmp_path)
        assert client.delete(f"/api/studies/{study['id']}").status_code == 204
        assert client.get("/api/studies").json() == []
        for path in ("", "/image.nii.gz", "/masks/1.nii.gz", "/measurements", "/download/pdf"):
            assert client.get(f"/api/studies/{study['id']}{path}").status_code == 404
        until(lambda: not files_of(tmp_path))


def until(true, seconds=10):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_progress_and_places_in_the_queue(tmp_path):
    with running(tmp_path, Fake(seconds=1.0, tiles=20)) as client:
        studies = [create(client, str(n)) for n in range(3)]
        for study in studies:
            put(client, study)
            start(client, study)
        first = wait(client, studies[0], "running")
        until(lambda: client.get(f"/api/studies/{studies[0]}").json()["progress"] > 0.2)
        assert client.get(f"/api/studies/{studies[0]}").json()["step"] == "Segmenting"
        places = [one["position"] for one in client.get("/api/studies").json()]
        assert places == [None, 0, 1]
        assert client.get("/health").json()["queue"] == 2
        assert first["position"] is None


def test_cancelled_while_it_runs_and_while_it_waits_and_tried_again(tmp_path):
    fake = Fake(seconds=30, tiles=600)
    with running(tmp_path, fake) as client:
        running_, waiting = (create(client, name) for name in "ab")
        for study in (running_, waiting):
            put(client, study)
            start(client, study)
        wait(client, running_, "running")
        for study in (waiting, running_):
            answer = client.post(f"/api/studies/{study}/cancel")
            assert (answer.status_code, answer.json()["state"]) == (202, "cancelled")
        fake.seconds = 0
        assert client.post(f"/api/studies/{running_}/retry").status_code == 202
        assert wait(client, running_)["versions"][0]["number"] == 1
        assert client.get(f"/api/studies/{waiting}").json()["state"] == "cancelled"


def test_deleted_while_it_runs(tmp_path):
    with running(tmp_path, Fake(seconds=30, tiles=600)) as client:
        study = create(client)
        put(client, study)
        start(client, study)
        wait(client, study, "running")
        assert client.delete(f"/api/studies/{study}").status_code == 204
        until(lambda: not files_of(tmp_path))


def test_a_restart_goes_on(tmp_path):
    with running(tmp_path, Fake(seconds=30, tiles=600)) as client:
        studies = [create(client, str(n)) for n in range(3)]
        for study in studies:
            put(client, study)
            start(client, study)
        wait(client, studies[0], "running")
    with running(tmp_path) as client:
        for study in studies:
            wait(client, study)
        assert [one["name"] for one in client.get("/api/studies").json()] == ["0", "1", "2"]


def test_studies_are_removed_when_their_time_is_over(tmp_path, monkeypatch):
    with running(tmp_path, days_kept=1) as client:
        study = finished(client)
        assert study["expires"] > study["created"]
    now = time.time()
    monkeypatch.setattr("renalseg.web.services.time.time", lambda: now + 2 * 86400)
    with running(tmp_path) as client:
        until(lambda: client.get("/api/studies").json() == [])
        until(lambda: not files_of(tmp_path))


def test_what_a_crash_left_is_tidied_up(tmp_path):
    with running(tmp_path) as client:
        study = finished(client)["id"]
    folder = tmp_path / "studies" / study
    (folder / ".renalseg-0123-x").mkdir()
    (folder / "upload" / ".x.part").write_bytes(b"half")
    stray = tmp_path / "studies" / ("0" * 32)
    stray.mkdir()
    with running(tmp_path) as client:
        assert not list(folder.rglob(".*"))
        assert not stray.exists()
        assert client.get(f"/api/studies/{study}/masks/1.nii.gz").status_code == 200


def test_a_model_that_cannot_be_loaded_is_said(tmp_path, monkeypatch):
    def broken(profile):
        raise ModelError(f"{tmp_path}/model/fold_0.pth: damaged; copy it again")

    monkeypatch.setattr("web_server.Engine", lambda *_, **__: broken(None))
    with running(tmp_path) as client:
        study = create(client)
        put(client, study)
        start(client, study)
        problem = wait(client, study, "failed")["problem"]
        assert "the model cannot be loaded: " in problem
        assert str(tmp_path) not in problem
        health = client.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "no model")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MemoryError(), "not enough memory on the server"),
        (OSError(28, "No space left on device"), "could not write its files (No space left"),
        (RuntimeError("DOE^JANE at /secret"), "something went wrong on the server (fault "),
    ],
)
def test_what_goes_wrong_is_said_and_stops_nobody_else(tmp_path, caplog, error, text):
    class Fails(Fake):
        def segment(self, volume, source, **more):
            if volume.array.max() > 1000:
                raise error
            return super().segment(volume, source, **more)

    with running(tmp_path, Fails()) as client:
        bad = create(client)
        put(client, bad, content=nifti(make_ct() + 1000))
        start(client, bad)
        good = create(client)
        put(client, good)
        start(client, good)
        problem = wait(client, bad, "failed")["problem"]
        assert text in problem
        if number := re.search(r"fault \d{8}", problem):
            assert f"{number[0]}: study {bad[:8]}: RuntimeError at " in caplog.text
        assert "JANE" not in caplog.text
        wait(client, good)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (
            KeyError("DOE^JANE"),
            500,
            r"something went wrong on the server \((fault \d{8})\); its log",
        ),
        (MemoryError(), 503, "not enough memory on the server"),
        (OSError(28, "No space left on device"), 507, "the server's disk is full"),
    ],
)
def test_a_download_that_fails_is_answered_with_a_number_that_the_log_has(
    tmp_path, caplog, monkeypatch, error, status, text
):
    def fails(*_):
        raise error

    monkeypatch.setattr("renalseg.web.desk.write_result", fails)
    with running(tmp_path) as client:
        study = create(client)
        put(client, study)
        start(client, study)
        wait(client, study)
        answer = client.get(f"/api/studies/{study}/download/pdf")
        assert answer.status_code == status
        found = re.match(text, answer.json()["detail"])
        assert found
        if found.groups():
            assert f"{found[1]}: GET: KeyError at " in caplog.text
        assert "JANE" not in caplog.text + answer.text
        assert client.get(f"/api/studies/{study}/download/csv").status_code == status


def test_a_fault_of_the_model_has_a_number_too(tmp_path, caplog, monkeypatch):
    def broken(*_, **__):
        raise KeyError("/secret/model")

    monkeypatch.setattr("web_server.Engine", broken)
    with running(tmp_path) as client:
        study = create(client)
        put(client, study)
        start(client, study)
        problem = wait(client, study, "failed")["problem"]
    number = re.match(r"the model cannot be loaded: (fault \d{8}); the server's log", problem)[1]
    assert f"{number}: the model: KeyError at " in caplog.text


def test_a_scan_that_is_too_large_for_the_memory_is_refused_unread(tmp_path):
    with running(tmp_path, memory_gb=0.5) as client:
        study = create(client)
        put(client, study, content=gzip.compress(large_header() + bytes(1000), 1))
        start(client, study)
        assert "this server gives 0.5 GB" in wait(client, study, "failed")["problem"]


def large_header():
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((512, 512, 600))
    header.set_sform(np.diag([0.25, 0.25, 0.25, 1]) @ IPL, code="scanner")
    return header.binaryblock + bytes(4)


def test_metrics_count_and_name_nobody(client, done):
    text = client.get("/metrics").text
    assert 'renalseg_studies{state="done"}' in text
    assert 'renalseg_job_seconds_count{outcome="done",profile="balanced"}' in text
    assert 'route="/api/studies/{identifier}"' in text
    assert "process_resident_memory_bytes" in text
    assert done["id"] not in text
    assert "Jane" not in text
