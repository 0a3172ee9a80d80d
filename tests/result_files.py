"""Results in every format, opened by the format's own reader and compared with each other."""

import csv
import html
import json
import re
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from highdicom.sr import srread

from renalseg.formats import DICOM_FORMATS, Format, entropy_path, result_path

LESIONS = (2, 3)
NOTHING = "Kidney (none found)"


def results_of(target: Path, kinds=tuple(Format)) -> dict[str, Path]:
    """The files that a prediction wrote beside each other, by format."""
    return {kind.value: result_path(target, kind) for kind in kinds}


def check_results(files: dict[str, Path], source: pydicom.Dataset | None = None) -> dict:
    """Open every file and compare it with the measurements among them.

    Args:
        files: By format; ``json`` must be one.
        source: An image of the series that DICOM results must belong to.

    Returns:
        The measurements.
    """
    measured = json.loads(files["json"].read_text())
    for kind, path in files.items():
        _CHECKS[kind](path, measured)
        if kind in DICOM_FORMATS:
            belongs_to(pydicom.dcmread(path), source)
    return measured


def check_entropy(target: Path) -> None:
    """The map of uncertainty lies on the mask's grid, and is undecided somewhere."""
    mask, entropy = nibabel.load(target), nibabel.load(entropy_path(target))
    assert entropy.shape == mask.shape
    assert np.allclose(entropy.affine, mask.affine)
    values = entropy.get_fdata()
    assert 0 <= values.min() < values.max() <= 1


def belongs_to(result: pydicom.Dataset, source: pydicom.Dataset) -> None:
    """A result is of the source's patient and study, in a series of its own."""
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "AccessionNumber"):
        # a UID that an anonymizer took away is made up
        assert result.get(keyword, "") == source.get(keyword, "") or not source.get(keyword)
    assert result.SeriesInstanceUID != source.SeriesInstanceUID


def check_measurements(path: Path, measured: dict) -> None:
    assert json.loads(path.read_text()) == measured


def check_nifti(path: Path, measured: dict) -> None:
    image = nibabel.load(path)
    voxels = np.asarray(image.dataobj)
    _check_volumes(voxels, np.prod(image.header.get_zooms()) / 1000, measured)


def check_nrrd(path: Path, measured: dict) -> None:
    image = SimpleITK.ReadImage(path)
    voxels = SimpleITK.GetArrayFromImage(image)
    _check_volumes(voxels, np.prod(image.GetSpacing()) / 1000, measured)


def _check_volumes(voxels: np.ndarray, voxel_ml: float, measured: dict) -> None:
    assert np.issubdtype(voxels.dtype, np.integer)
    kidneys_ml = np.count_nonzero(voxels == 1) * voxel_ml
    lesions_ml = np.isin(voxels, LESIONS).sum() * voxel_ml
    assert kidneys_ml == pytest.approx(_sum(measured["kidneys"], "parenchyma_ml"), rel=1e-3)
    assert lesions_ml == pytest.approx(_sum(measured["lesions"], "volume_ml"), rel=1e-3)


def check_seg(path: Path, measured: dict) -> None:
    segmentation = highdicom.seg.segread(path)
    numbers = segmentation.segment_numbers
    labels = [segmentation.get_segment_description(number).segment_label for number in numbers]
    assert len(_named(labels)) == len(measured["kidneys"] + measured["lesions"])
    (measures,) = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    pixel_mm2 = np.prod([float(mm) for mm in measures.PixelSpacing])
    voxel_ml = pixel_mm2 * float(measures.SpacingBetweenSlices) / 1000
    expected = _sum(measured["kidneys"], "parenchyma_ml") + _sum(measured["lesions"], "volume_ml")
    assert segmentation.pixel_array.sum() * voxel_ml == pytest.approx(expected, rel=1e-3)


def check_report(path: Path, measured: dict) -> None:
    groups = srread(path).content.get_volumetric_roi_measurement_groups()
    assert len(groups) == len(measured["kidneys"] + measured["lesions"])


def check_contours(path: Path, measured: dict) -> None:
    structures = pydicom.dcmread(path)
    names = [one.ROIName for one in structures.StructureSetROISequence]
    assert len(_named(names)) == len(measured["kidneys"] + measured["lesions"])
    if names != [NOTHING]:
        assert all(len(one.ContourSequence) > 0 for one in structures.ROIContourSequence)


def _named(segments: list[str]) -> list[str]:
    """Segments that are a kidney or a lesion, not what is too small to be either."""
    return [name for name in segments if name != NOTHING and not name.startswith("Specks")]


def check_document(path: Path, measured: dict) -> None:
    _check_pages(pydicom.dcmread(path).EncapsulatedDocument)


def check_pdf(path: Path, measured: dict) -> None:
    _check_pages(path.read_bytes())


def _check_pages(content: bytes) -> None:
    assert content.startswith(b"%PDF-")
    assert content.rstrip(b"\0\n").endswith(b"%%EOF")
    (count,) = re.findall(rb"/Count (\d+)", content)
    assert int(count) == len(re.findall(rb"/Type /Page\b", content)) >= 1


def check_page(path: Path, measured: dict) -> None:
    content = path.read_text()
    assert content.startswith("<!DOCTYPE html>")
    text = html.unescape(re.sub(r"<style>.*?</style>|<[^>]*>", " ", content, flags=re.DOTALL))
    for kidney in measured["kidneys"]:
        assert re.search(rf"\s{kidney['volume_ml']:.1f}\d?\s", text)
    for lesion in measured["lesions"]:
        assert f"{lesion['label'].capitalize()} {lesion['number']}" in text
        assert f"{lesion['largest_axial_diameter_mm']:.1f} mm" in text
        assert all(score["text"] in text for score in lesion["scores"])
    assert measured["kidneys"] or "No kidney was found." in text
    assert measured["notice"] in text


def check_table(path: Path, measured: dict) -> None:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = measured["kidneys"] + measured["lesions"]
    assert [float(row["volume_ml"]) for row in rows] == pytest.approx(
        [one["volume_ml"] for one in expected], abs=0.01
    )


def _sum(records: list[dict], key: str) -> float:
    return sum(record[key] for record in records)


_CHECKS = {
    "nifti": check_nifti,
    "nrrd": check_nrrd,
    "seg": check_seg,
    "sr": check_report,
    "rtstruct": check_contours,
    "dicom-pdf": check_document,
    "pdf": check_pdf,
    "html": check_page,
    "csv": check_table,
    "json": check_measurements,
}
