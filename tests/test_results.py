"""What is written of a segmentation, in which format, and under which name."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from dicom_phantom import make_series, make_volume, uid, write_series
from models import write_model
from renalseg.batch import Options, pair_files, predict_files
from renalseg.cli.main import app
from renalseg.errors import VolumeError
from renalseg.formats import Format, entropy_path, format_of, result_path
from renalseg.provenance import InputRecord, ModelRecord, Provenance
from renalseg.results import Wanted, record_path, write_results
from renalseg.segmentation import Segmentation
from renalseg.volume import read_labels
from renalseg.volume.source import Source, read_source

SHAPE = (24, 48, 52)
EVERYTHING = tuple(Format)


@pytest.fixture(scope="module")
def volume():
    return make_volume(SHAPE, (3.0, 1.5, 1.5))


@pytest.fixture(scope="module")
def study(volume, tmp_path_factory):
    """A DICOM study of one series."""
    folder = tmp_path_factory.mktemp("dicom") / "study"
    write_series(make_series(volume, "oblique").datasets, folder / "series")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "full", folds=(0,))


def found_in(source: Source) -> Segmentation:
    """A kidney with a tumor, as an ensemble would have found it."""
    labels = np.zeros(source.volume.shape, np.uint8)
    labels[4:20, 10:30, 8:24] = 1
    labels[8:14, 12:20, 10:18] = 2
    return Segmentation(source.volume.like(labels), ("one",))


def predict(*arguments):
    command = ["predict", *map(str, arguments), "--device", "cpu", "--backend", "torch"]
    return CliRunner().invoke(app, command)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.nii.gz", Format.NIFTI),
        ("a.NRRD", Format.NIFTI),
        ("a.dcm", Format.SEG),
        ("a-seg.dcm", Format.SEG),
        ("a-sr.dcm", Format.SR),
        ("a-report.dcm", Format.DICOM_PDF),
        ("a.pdf", Format.PDF),
        ("a-measurements.json", Format.JSON),
    ],
)
def test_a_name_says_its_format(name, expected):
    assert format_of(Path(name)) is expected


def test_a_name_that_says_none_is_refused():
    with pytest.raises(VolumeError, match=r"a\.txt: no such file format; expected a name that"):
        format_of(Path("a.txt"))


def test_results_of_a_scan_stand_beside_each_other():
    for target in (Path("m/a.nii.gz"), Path("m/a-seg.dcm"), Path("m/a.nrrd")):
        assert result_path(target, Format.SR) == Path("m/a-sr.dcm")
        assert record_path(target) == Path("m/a.json")
    assert entropy_path(Path("a.nrrd")) == Path("a-entropy.nrrd")
    assert entropy_path(Path("a-seg.dcm")) == Path("a-entropy.nii.gz")


def test_every_format_is_written_of_a_dicom_series(study, tmp_path):
    source = read_source(study)
    target = tmp_path / "out" / "a-seg.dcm"
    write_results(found_in(source), source, target, Wanted(EVERYTHING))
    names = {result_path(target, one).name for one in EVERYTHING}
    assert {path.name for path in target.parent.iterdir()} == names
    assert np.array_equal(
        read_labels(target.parent / "a.nii.gz").array, found_in(source).labels.array
    )
    read = {one: pydicom.dcmread(path) for one in EVERYTHING if (path := _dicom(target, one))}
    modalities = {one.value: dataset.Modality for one, dataset in read.items()}
    assert modalities == {"seg": "SEG", "sr": "SR", "rtstruct": "RTSTRUCT", "dicom-pdf": "DOC"}
    assert len({dataset.StudyInstanceUID for dataset in read.values()}) == 1
    evidence = read[Format.SR].CurrentRequestedProcedureEvidenceSequence
    referred = {
        item.ReferencedSOPInstanceUID
        for study in evidence
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert read[Format.SEG].SOPInstanceUID in referred
    rows = list(csv.DictReader((target.parent / "a-measurements.csv").read_text().splitlines()))
    listed = json.loads((target.parent / "a-measurements.json").read_text())
    assert [row["what"] for row in rows] == ["kidney", "tumor"]
    assert listed["lesions"][0]["volume_ml"] == pytest.approx(float(rows[1]["volume_ml"]), 1e-3)


def test_dicom_results_name_the_model_its_version_and_its_licence(study, tmp_path):
    source = read_source(study)
    about = {"name": "own", "version": "2", "licence": "CC BY 4.0"}
    made_by = ModelRecord(members=("one",), files={}, **about)
    scan = InputRecord(name="s", hash="sha256:0", shape=SHAPE, spacing_mm=(3.0, 1.5, 1.5))
    record = Provenance(model=made_by, input=scan, device="cpu")
    found = replace(found_in(source), provenance=record)
    target = tmp_path / "a-seg.dcm"
    write_results(found, source, target, Wanted((Format.SEG, Format.RTSTRUCT, Format.SR)))
    (segment, *_) = pydicom.dcmread(target).SegmentSequence
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
    assert "own 2, CC BY 4.0" in algorithm.AlgorithmParameters
    contours = pydicom.dcmread(result_path(target, Format.RTSTRUCT))
    assert "model own 2, CC BY 4.0." in contours.StructureSetDescription
    assert b"own 2, CC BY 4.0" in result_path(target, Format.SR).read_bytes()


def test_without_a_place_the_results_of_one_scan_stand_beside_it(study, tmp_path):
    scan = tmp_path / "a.b.nii.gz"
    scan.touch()
    assert pair_files(scan, None) == [(scan, tmp_path / "a.b_mask.nii.gz")]
    assert pair_files(scan, None, (Format.PDF,)) == [(scan, tmp_path / "a.b_mask-report.pdf")]
    assert pair_files(study, None) == [(study, study.parent / "study_mask-seg.dcm")]


def test_scans_in_a_folder_are_refused_without_a_place(tmp_path):
    (tmp_path / "a.nii.gz").touch()
    with pytest.raises(VolumeError, match="give a folder for their results with -o"):
        pair_files(tmp_path, None)


def test_a_place_that_may_not_be_written_to_is_said_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "a.nii.gz").touch()
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(VolumeError, match="may not be written to; give another place with -o"):
        pair_files(tmp_path / "a.nii.gz", None)


def _dicom(target: Path, one: Format) -> Path | None:
    path = result_path(target, one)
    return path if path.suffix == ".dcm" else None


def test_results_about_dicom_images_need_some(volume, tmp_path):
    source = Source(tmp_path / "scan.nii.gz", volume)
    with pytest.raises(VolumeError, match=r"a-sr\.dcm: sr refers to DICOM images, and scan\.nii"):
        write_results(
            found_in(source), source, tmp_path / "a.nii.gz", Wanted((Format.NIFTI, Format.SR))
        )
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_leaves_what_stood(study, tmp_path, monkeypatch):
    source = read_source(study)
    target = tmp_path / "a.nii.gz"
    write_results(found_in(source), source, target, Wanted())
    before = target.read_bytes()

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("renalseg.clinical.table.write_table", fail)
    with pytest.raises(VolumeError, match=r"a\.nii\.gz: cannot be written \(No space left"):
        write_results(found_in(source), source, target, Wanted((Format.NIFTI, Format.CSV)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.nii.gz"]
    assert target.read_bytes() == before


def test_a_dicom_study_becomes_a_dicom_segmentation(study, model, tmp_path):
    result = predict(study, "-o", tmp_path, "-m", model)
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == {"study-seg.dcm", "study.json"}
    assert pydicom.dcmread(tmp_path / "study-seg.dcm").Modality == "SEG"


def test_a_dicom_study_becomes_nifti_by_name(study, model, volume, tmp_path):
    assert predict(study, "-o", tmp_path / "m.nii.gz", "-m", model).exit_code == 0
    assert read_labels(tmp_path / "m.nii.gz").shape == volume.shape


def test_each_study_of_a_folder_is_a_scan(study, model, tmp_path):
    scans = tmp_path / "scans"
    for name in ("p1", "p2"):
        (scans / name).mkdir(parents=True)
        for number, file in enumerate(sorted(study.rglob("*.dcm"))):
            dataset = pydicom.dcmread(file)
            dataset.StudyInstanceUID = uid(name)
            dataset.save_as(scans / name / f"{number}.dcm")
    pairs = pair_files(scans, tmp_path / "out")
    assert [(s.name, t.name) for s, t in pairs] == [("p1", "p1-seg.dcm"), ("p2", "p2-seg.dcm")]
    assert [s.name for s, _ in pair_files(scans / "p1", tmp_path)] == ["p1"]
    first = pair_files(scans, tmp_path, (Format.SR, Format.SEG))[0][1]
    assert first.name == "p1-sr.dcm"


def test_formats_that_stand_are_kept_and_others_are_added(study, model, tmp_path):
    load = Options(model, device="cpu", backend="torch").load
    pairs = pair_files(study, tmp_path)

    def run(*formats):
        (result,) = predict_files(pairs, load, wanted=Wanted(formats))
        assert result.problem is None
        return result.volumes_ml is not None

    assert run(Format.SEG)
    assert not run(Format.SEG)
    assert run(Format.SEG, Format.JSON)
    assert not run(Format.SEG, Format.JSON)


def test_gaps_are_refused_unless_they_are_allowed(volume, model, tmp_path):
    made = make_series(volume)
    del made.datasets[9]
    write_series(made.datasets, tmp_path / "study")
    arguments = (tmp_path / "study", "-o", tmp_path / "out", "-m", model)
    refused = predict(*arguments)
    assert refused.exit_code == 1
    assert "--allow-gaps" in refused.stderr
    assert not list((tmp_path / "out").glob("*"))
    allowed = predict(*arguments, "--allow-gaps", "--json")
    assert allowed.exit_code == 0
    (listed,) = json.loads(allowed.stdout)
    record = json.loads((tmp_path / "out" / "study.json").read_text())
    assert "series" in [warning["code"] for warning in record["warnings"]]
    assert len(listed["warnings"]) >= 1
