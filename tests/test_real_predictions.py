"""What reports, pages, archives and cohorts are given is the record of a real prediction.

A small untrained network predicts; only its mask is replaced, for noise shows no kidneys.
"""

import csv
import html
import io
import json
import re
from dataclasses import dataclass, replace

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from dicom_phantom import make_series, write_series
from models import write_model
from renalseg.batch import Options
from renalseg.cli.main import app
from renalseg.cli.pacs import segmenting
from renalseg.formats import Format, entropy_path, result_path
from renalseg.labels import DiameterLine, Label
from renalseg.models.ensemble import write_ensemble
from renalseg.models.plans import LOWRES
from renalseg.pipeline import Segmenter
from renalseg.postprocess import Cleaning
from renalseg.provenance import Provenance
from renalseg.report.study import Study
from renalseg.report.study.settings import settings_text
from renalseg.report.study.text import made_by
from renalseg.results import Wanted, record_path, write_results
from renalseg.viewer.local import LocalStudy
from renalseg.volume import Volume
from renalseg.volume.source import read_source
from renalseg.web.corrections import export_corrections
from renalseg.web.engine import loader
from renalseg.web.results import Download
from renalseg.web.settings import Settings
from web_server import IPL, finished, found_in, make_ct, nifti, read_nifti, running, zipped

EVERYTHING = tuple(Format)
#: Of the tumor of ``tall_tumor``, 30 mm across and 60 mm high.
BY_LINE = "R.E.N.A.L. R and PADUA size: 1 by the axial diameter"


def tall_tumor():
    """The phantom with a tumor that is longer from head to foot than across."""
    array = make_ct()
    array[4:19, 13:21, 6:13] = 300
    return array


@dataclass
class Predicting:
    """A real segmenter whose masks show what is bright."""

    segmenter: Segmenter

    def segment(self, volume, source=None, **options):
        found = self.segmenter.segment(volume, source, **options)
        return replace(found, labels=volume.like(found_in(volume.array)))


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    """A network that finds and one that segments, as in the bundled model."""
    folder = tmp_path_factory.mktemp("models")
    members = {
        "whole": [write_model(folder / "low", LOWRES, folds=(0,))],
        "close": [write_model(folder / "full", folds=(0,))],
    }
    write_ensemble(
        folder / "both", members, [0], finds=["whole"], least_ml=10, least_tumor_ml=2, large_ml=600
    )
    return Predicting(Segmenter.load(folder / "both", device="cpu", backend="torch"))


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    write_series(make_series(Volume(tall_tumor(), IPL)).datasets, folder)
    return folder


@pytest.fixture(scope="module")
def results(segmenter, series, tmp_path_factory):
    """Every format of a DICOM series, as ``renalseg predict --uncertainty`` writes it."""
    source = read_source(series)
    found = segmenter.segment(source.volume, source.path, notes=source.notes, uncertainty=True)
    target = tmp_path_factory.mktemp("results") / "a.nii.gz"
    write_results(found, source, target, Wanted(EVERYTHING, uncertainty=True))
    return target


def test_every_format_is_written(results):
    assert all(result_path(results, one).stat().st_size for one in EVERYTHING)
    assert entropy_path(results).is_file()
    assert result_path(results, Format.PDF).read_bytes().startswith(b"%PDF")
    settings = Provenance.model_validate_json(record_path(results).read_bytes()).settings
    assert settings["boxes"] == [[[0, 24], [0, 40], [0, 60]]]


def test_without_uncertainty_the_record_says_the_same(segmenter, results):
    ct = Volume(tall_tumor(), IPL)
    found = segmenter.segment(ct)
    study = Study(ct, found.labels, found.measure(ct), found.provenance)
    written = Provenance.model_validate_json(record_path(results).read_bytes())
    told = dict(made_by(study))["Settings"]
    assert told == settings_text(written.settings)
    assert "{" not in told
    assert "[" not in told


def test_the_page_says_the_settings_in_words(results):
    page = words(result_path(results, Format.HTML).read_text())
    assert "mirrored copies: no; precision: float32; folds averaged by: logits" in page
    assert "logits; looked at twice above: 600 ml" in page
    assert "findings removed below: 10 ml; tumors kept from: 2 ml" in page
    assert "full resolution in: slices 1–24, rows 1–40, columns 1–60" in page


def test_every_format_says_where_another_line_changes_the_points(results):
    page = words(result_path(results, Format.HTML).read_text())
    assert f"Tumor 1, {BY_LINE}" in page
    assert "largest axial diameter" in page
    measured = json.loads(result_path(results, Format.JSON).read_text())
    assert any(BY_LINE in note for note in measured["notes"])
    assert {score["diameter"] for score in measured["lesions"][0]["scores"]} == {"axial"}
    rows = list(csv.DictReader(result_path(results, Format.CSV).read_text().splitlines()))
    assert rows[2]["score_diameter"] == "axial"
    assert rows[2]["points_by_diameter"].startswith(BY_LINE)
    report = result_path(results, Format.SR).read_bytes()
    assert BY_LINE.encode() in report
    assert b"largest axial diameter: " in report


def words(page):
    """A page's text in one line."""
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", page).split()))


@pytest.fixture(scope="module")
def served(segmenter, series, tmp_path_factory):
    """A server that predicts, its folder, and a study sent as DICOM."""
    data = tmp_path_factory.mktemp("served") / "data"
    files = {path.name: path.read_bytes() for path in series.iterdir()}
    with running(data, segmenter, cleaning=Cleaning(10.0), diameter=DiameterLine.IN_3D) as client:
        study = finished(client, "a zip", path="ct.zip", content=zipped(files), uncertainty=True)
        yield client, data, study["id"]


@pytest.mark.parametrize("wanted", list(Download))
def test_every_download_of_the_page_comes(served, wanted):
    client, _, study = served
    answer = client.get(f"/api/studies/{study}/download/{wanted}")
    assert answer.status_code == 200, answer.text
    assert len(answer.content) > 100
    if wanted is Download.HTML:
        assert "full resolution in: slices 1–24" in words(answer.text)
    if wanted is Download.JSON:
        scores = answer.json()["lesions"][0]["scores"]
        assert {score["diameter"] for score in scores} == {"3d"}  # the server's line
    if wanted is Download.SEG:
        assert pydicom.dcmread(io.BytesIO(answer.content)).Modality == "SEG"


def test_a_corrected_prediction_becomes_a_case_and_is_measured_by_the_servers_line(
    served, tmp_path
):
    client, data, study = served
    place = f"/api/studies/{study}/masks"
    mask = read_nifti(client.get(f"{place}/1.nii.gz"))[0].astype(np.uint8)
    mask[mask == Label.TUMOR] = np.where(make_ct()[mask == Label.TUMOR] > 250, 3, 2)
    assert client.post(place, params={"from": 1}, content=nifti(mask)).status_code == 201
    measured = client.get(f"/api/studies/{study}/measurements").json()
    assert {score["diameter"] for score in measured["lesions"][0]["scores"]} == {"3d"}
    (case,) = export_corrections(data, tmp_path / "cohort")
    assert case.problem is None
    listed = json.loads((tmp_path / "cohort" / "corrections.json").read_text())
    assert case.case_id in json.dumps(listed)


def test_commands_pass_the_line_on(series, segmenter, tmp_path, monkeypatch):
    model = segmenter.segmenter.members[1].networks[0].model.folder.parent
    lines = []

    def note(*arguments):
        lines.append(arguments[-1].diameter)

    monkeypatch.setattr("renalseg.batch.write_results", note)
    monkeypatch.setattr("renalseg.results.write_results", note)
    command = ["predict", series, "-o", tmp_path / "a.nii.gz", "-m", model, "--diameter", "3d"]
    result = CliRunner().invoke(app, [str(word) for word in command])
    assert result.exit_code == 0, result.output
    segmenting(Options(model), ["sr"], DiameterLine.CORONAL)(series, tmp_path)
    assert lines == ["3d", "coronal"]
    settings = Settings(model=model, data=tmp_path, diameter=DiameterLine.SAGITTAL)
    assert loader(settings)("balanced").diameter == "sagittal"
    mask = segmenter.segment(read_source(series).volume).labels
    mask.save(tmp_path / "mask.nii.gz")
    local = LocalStudy.open(series, tmp_path / "mask.nii.gz", DiameterLine.CORONAL)
    scores = json.loads(local.measurements(1))["lesions"][0]["scores"]
    assert {score["diameter"] for score in scores} == {"coronal"}


def test_a_notebook_shows_it(segmenter):
    ct = Volume(tall_tumor(), IPL)
    shown = segmenter.segment(ct, uncertainty=True)._repr_mimebundle_()
    assert "kidney 217.7 ml, tumor 31.8 ml" in shown["text/plain"]
