"""A user of the page on a ward: a scan sent as the browser sends it, every download taken away."""

import gzip
import re
from contextlib import contextmanager
from pathlib import Path

import httpx
import nibabel
import numpy as np
import pydicom
import pytest

from journey import PATIENCE_S, started, wait_for
from renalseg.formats import DICOM_FORMATS
from result_files import check_results

pytestmark = pytest.mark.slow


class Visitor:
    """A browser's session with the server, without the browser."""

    def __init__(self, url):
        self.http = httpx.Client(base_url=f"{url}api/", timeout=PATIENCE_S)
        self.session = self.http.get("session").json()
        self.http.headers["X-Renalseg-CSRF"] = self.session["csrf"]

    def send(self, files, **options):
        """Send a scan and wait until it is done; gives the study."""
        answer = self.http.post("studies", json={"name": "case 7", "options": options})
        place = f"studies/{answer.json()['id']}"
        for name, path in files.items():
            answer = self.http.put(
                f"{place}/files", params={"path": name}, content=path.read_bytes()
            )
            assert answer.json() == {"kept": True}
        assert self.http.post(f"{place}/start").status_code == 202
        return wait_for(lambda: self._ended(place))

    def _ended(self, place):
        study = self.http.get(place).json()
        assert study["state"] in ("queued", "running", "done"), study["problem"]
        return study if study["state"] == "done" else None

    def get(self, study, path, **query):
        answer = self.http.get(f"studies/{study['id']}/{path}", params=query)
        assert answer.status_code == 200, (path, answer.text)
        return answer

    def image(self, study, path):
        """A volume as the viewer gets it."""
        return nibabel.Nifti1Image.from_bytes(gzip.decompress(self.get(study, path).content))

    def take(self, study, folder, version, kinds=None):
        """Every download that the page offers, or some, as files by their format."""
        files = {}
        folder.mkdir()
        for kind in kinds or self.session["formats"]:
            answer = self.get(study, f"download/{kind}", version=version)
            (name,) = re.findall(r'filename="([^"]+)"', answer.headers["Content-Disposition"])
            files[kind] = folder / name
            files[kind].write_bytes(answer.content)
        assert len({path.name for path in files.values()}) == len(files)
        return files

    def correct(self, study, change):
        """Save a changed mask, as the viewer does."""
        image = self.image(study, "masks/1.nii.gz")
        labels = np.asarray(image.dataobj).astype(np.uint8)
        change(labels)
        content = nibabel.Nifti1Image(labels, image.affine).to_bytes()
        answer = self.http.post(
            f"studies/{study['id']}/masks", params={"from": 1}, content=gzip.compress(content, 1)
        )
        assert answer.status_code == 201, answer.text
        return labels


@contextmanager
def server(data: Path, *arguments):
    with started("serve", "--port", 0, "--data", data, "--device", "cpu", *arguments) as url:
        visitor = Visitor(url)
        assert "<!doctype html>" in httpx.get(url).text.lower()
        yield visitor
        visitor.http.close()


def test_a_series_every_download_and_a_correction(bundled_prediction, tmp_path):
    study = bundled_prediction.dicom
    source = pydicom.dcmread(min(study.iterdir()), stop_before_pixels=True)
    with server(tmp_path / "data") as visitor:
        files = {f"study/{path.name}": path for path in sorted(study.iterdir())}
        done = visitor.send(files, profile="fast", uncertainty=True)
        assert [done["is_dicom"], done["has_uncertainty"]] == [True, True]
        assert any("contrast agent" in warning for warning in done["warnings"])
        seen = visitor.image(done, "image.nii.gz")
        assert visitor.image(done, "entropy.nii.gz").shape == seen.shape
        assert visitor.get(done, "thumbnail.webp").content[8:12] == b"WEBP"

        files = visitor.take(done, tmp_path / "1", 1)
        first = check_results(files, source)
        assert visitor.get(done, "measurements", version=1).json() == first
        expected = np.asarray(nibabel.load(bundled_prediction.mask).dataobj)
        assert np.array_equal(np.asarray(nibabel.load(files["nifti"]).dataobj), expected)

        labels = visitor.correct(done, all_lesions_are_tumors)
        second = check_results(visitor.take(done, tmp_path / "2", 2), source)
        assert {lesion["label"] for lesion in second["lesions"]} == {"tumor"}
        assert len(second["lesions"]) == len(first["lesions"])
        corrected = visitor.image(done, "masks/2.nii.gz")
        assert np.array_equal(np.asarray(corrected.dataobj), labels)


def test_a_file_and_a_trained_ensemble(bundled_prediction, trained_ensemble, tmp_path):
    with server(tmp_path / "data", "-m", trained_ensemble) as visitor:
        done = visitor.send({"ct.nii.gz": bundled_prediction.scan}, uncertainty=True)
        assert not done["is_dicom"]
        for kind in DICOM_FORMATS:
            refused = visitor.http.get(f"studies/{done['id']}/download/{kind}")
            assert refused.status_code == 409
            assert "send the DICOM series" in refused.json()["detail"]
        offered = [kind for kind in visitor.session["formats"] if kind not in DICOM_FORMATS]
        check_results(visitor.take(done, tmp_path / "1", 1, offered))


def all_lesions_are_tumors(labels):
    labels[labels == 3] = 2
