"""Results as DICOM, read back by other programs: dciodvfy checks them, dcmqi opens them."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
import pytest
from highdicom.sr import srread
from pydicom import Dataset
from skimage.draw import polygon

from dicom_phantom import ORIENTATIONS, make_series, make_volume, stored, write_series
from renalseg import __version__
from renalseg.clinical import measure
from renalseg.clinical.records import Interval
from renalseg.dicom import write_document, write_report, write_segmentation, write_structure_set
from renalseg.dicom.contours import outlines
from renalseg.dicom.report_codes import component_concept
from renalseg.dicom.segments import find_segments
from renalseg.dicom.source import source_images
from renalseg.errors import VolumeError
from renalseg.labels import Label
from renalseg.volume import Volume, read_labels
from renalseg.volume.dicom import read_series
from study_phantom import score

PDF = b"%PDF-1.4\n%%EOF"
#: A voxel has 0.075 ml: one alone is a lesion.
GRID = {"shape": (12, 40, 64), "spacing_mm": (3.0, 5.0, 5.0), "origin_mm": (160, 100, 40)}
#: What places an image, and nothing else.
SPARSE = (
    "SOPClassUID", "SOPInstanceUID", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "Rows", "Columns", "NumberOfFrames", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)  # fmt: skip


def make_labels(volume):
    """Two kidneys; a tumor in the right one around a hole of background, a cyst in the left."""
    labels = np.zeros(volume.shape, np.uint8)
    labels[3:9, 10:25, 8:20] = labels[2:10, 10:25, 44:56] = Label.KIDNEY
    labels[4:7, 12:18, 10:15] = Label.TUMOR
    labels[5, 14:16, 11:13] = Label.BACKGROUND
    labels[5:8, 20:24, 46:50] = Label.CYST
    return labels


@pytest.fixture(scope="module")
def volume():
    return make_volume(**GRID)


@cache
def measured(empty=False):
    """Of the phantom; it is the same in every orientation but the oblique one."""
    volume = make_volume(**GRID)
    labels = np.zeros(volume.shape, np.uint8) if empty else make_labels(volume)
    return measure(volume.like(labels), volume)


class Study:
    """A series, labels on it and what is measured of them."""

    def __init__(self, volume, orientation="axial", *, empty=False, multiframe=False, sparse=False):
        self.headers = make_series(volume, orientation, multiframe=multiframe).datasets
        if sparse:
            self.headers = [only(one, SPARSE) for one in self.headers]
        labels = np.zeros(volume.shape, np.uint8) if empty else make_labels(volume)
        self.labels, _ = stored(volume.like(labels), orientation)
        self.measurements = measured(empty)

    def write(self, folder):
        """All four, by kind."""
        more = {"measurements": self.measurements}
        args = (self.labels, self.headers)
        seg = write_segmentation(*args, folder / "seg.dcm", **more)
        write_report(self.measurements, self.headers, seg, folder / "sr.dcm", model="kits21")
        write_report(self.measurements, self.headers, None, folder / "sr-alone.dcm")
        write_structure_set(*args, folder / "rtstruct.dcm", **more)
        write_document(PDF, self.headers, folder / "document.dcm")
        return {path.stem: pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))}


def only(dataset, keywords):
    kept = Dataset()
    for keyword in keywords:
        if keyword in dataset:
            kept[keyword] = dataset[keyword]
    return kept


def errors_of(path):
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("no dciodvfy; install the Debian package dicom3tools")
    said = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)
    assert said.stderr, "dciodvfy names at least the kind of object"
    return [line for line in said.stderr.splitlines() if line.startswith("Error")]


@pytest.fixture(scope="module")
def results(volume, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    return Study(volume).write(folder)


# what other programs say


@pytest.mark.parametrize("empty", [False, True], ids=["kidneys", "empty"])
@pytest.mark.parametrize("sparse", [False, True], ids=["rich", "sparse"])
@pytest.mark.parametrize("multiframe", [False, True], ids=["slices", "multiframe"])
def test_dciodvfy_finds_no_errors(volume, tmp_path, multiframe, sparse, empty):
    study = Study(volume, "mirrored", empty=empty, multiframe=multiframe, sparse=sparse)
    written = study.write(tmp_path)
    assert len(written) == 5
    assert {kind: errors_of(tmp_path / f"{kind}.dcm") for kind in written} == {
        kind: [] for kind in written
    }


@pytest.mark.parametrize("slices", [slice(3, 9), slice(5, 6)], ids=["slices", "one slice"])
@pytest.mark.parametrize("multiframe", [False, True], ids=["slices", "multiframe"])
def test_one_kidney_alone_is_reported_and_referred_to(volume, tmp_path, multiframe, slices):
    """Then there is one segment, which highdicom names once and not in each frame."""
    study = Study(volume, multiframe=multiframe)
    labels = np.zeros(volume.shape, np.uint8)
    labels[slices, 10:25, 44:56] = Label.KIDNEY
    study.labels, _ = stored(volume.like(labels), "axial")
    study.measurements = measure(volume.like(labels), volume)
    written = study.write(tmp_path)
    assert {kind: errors_of(tmp_path / f"{kind}.dcm") for kind in written} == {
        kind: [] for kind in written
    }
    [segment] = written["seg"].SegmentSequence
    frames = written["seg"].PerFrameFunctionalGroupsSequence
    assert len(frames) == slices.stop - slices.start
    for frame in frames:
        assert frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 1
    [group] = srread(tmp_path / "sr.dcm").content.get_volumetric_roi_measurement_groups()
    assert group.tracking_uid == segment.TrackingUID


def test_real_series_gets_results_without_errors(real_data, tmp_path):
    folder = real_data / "ct" / "dicom_series"
    if not folder.is_dir():
        pytest.skip(f"no DICOM series at {folder}")
    series = read_series(folder)
    labels = np.zeros(series.volume.shape, np.uint8)
    middle = [n // 2 for n in labels.shape]
    for columns in (slice(90, 140), slice(360, 410)):
        labels[middle[0] - 5 : middle[0] + 5, middle[1] : middle[1] + 60, columns] = Label.KIDNEY
    labels[middle[0] - 2 : middle[0] + 2, middle[1] + 9 : middle[1] + 30, 95:120] = Label.TUMOR
    study = object.__new__(Study)
    study.headers, study.labels = series.headers, series.on_source(labels)
    study.measurements = measured()
    written = study.write(tmp_path)
    for kind in written:
        assert errors_of(tmp_path / f"{kind}.dcm") == []
    assert written["seg"].PatientID == series.headers[0].PatientID


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("multiframe", [False, True], ids=["slices", "multiframe"])
def test_dcmqi_reads_the_segmentation_voxel_for_voxel(volume, tmp_path, orientation, multiframe):
    program = shutil.which("segimage2itkimage", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("no segimage2itkimage; pip install dcmqi")
    write_series(make_series(volume, orientation, multiframe=multiframe).datasets, tmp_path / "ct")
    series = read_series(tmp_path / "ct")
    labels = series.volume.like(_on_grid(make_labels(volume), series, volume, orientation))
    path = tmp_path / "seg.dcm"
    seg = write_segmentation(series.on_source(labels), series.headers, path)
    subprocess.run(
        [program, "--inputDICOM", path, "--outputDirectory", tmp_path, "-t", "nii", "-p", "s"],
        check=True,
        capture_output=True,
    )
    found = np.zeros(labels.shape, np.uint8)
    codes = {"64033007": Label.KIDNEY, "108369006": Label.TUMOR, "367643001": Label.CYST}
    for segment in seg.SegmentSequence:
        read = read_labels(tmp_path / f"s-{segment.SegmentNumber}.nii.gz", max_label=None)
        kind = segment.SegmentedPropertyTypeCodeSequence[0].CodeValue
        place = _box_within(read, labels)
        assert not found[place][read.array > 0].any()
        found[place][read.array > 0] = codes[kind]
    np.testing.assert_array_equal(found, labels.array)


def _on_grid(array, series, volume, orientation):
    """Labels of the phantom as the series lies."""
    truth = Volume.from_stored(*stored(volume.like(array), orientation))
    assert np.allclose(truth.affine, series.volume.affine, atol=1e-3)
    return truth.array


def _box_within(part, whole):
    """Where a smaller grid lies in a larger one of the same voxels."""
    np.testing.assert_allclose(part.affine[:3, :3], whole.affine[:3, :3], atol=1e-4)
    first = np.linalg.solve(whole.affine, part.affine[:, 3])[:3]
    np.testing.assert_allclose(first, np.rint(first), atol=1e-3)
    return tuple(
        slice(int(n), int(n) + size)
        for n, size in zip(np.rint(first).tolist(), part.shape, strict=True)
    )


# what all have in common


def test_results_belong_to_the_patient_and_study_and_are_new(volume, results):
    source = Study(volume).headers[0]
    for kind, result in results.items():
        assert result.PatientID == source.PatientID, kind
        assert result.PatientName == source.PatientName
        assert result.StudyInstanceUID == source.StudyInstanceUID
        assert result.AccessionNumber == source.AccessionNumber
        assert "not for diagnostic use" in result.SeriesDescription
        assert result.SoftwareVersions == __version__
    for keyword in ("SeriesInstanceUID", "SOPInstanceUID"):
        uids = {result[keyword].value for result in results.values()}
        assert len(uids - {source[keyword].value}) == len(results)


def test_results_refer_to_every_source_image(volume, results):
    wanted = {one.SOPInstanceUID for one in Study(volume).headers}
    frame = results["rtstruct"].ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    evidence = results["sr"].CurrentRequestedProcedureEvidenceSequence[0]
    referred = {
        "seg": results["seg"].ReferencedSeriesSequence[0].ReferencedInstanceSequence,
        "rtstruct": series.ContourImageSequence,
        "document": results["document"].SourceInstanceSequence,
        "sr": [
            one for part in evidence.ReferencedSeriesSequence for one in part.ReferencedSOPSequence
        ],
    }
    for kind, items in referred.items():
        assert wanted <= {one.ReferencedSOPInstanceUID for one in items}, kind


def test_uids_that_are_missing_are_the_same_in_all_results(volume, tmp_path):
    written = Study(volume, sparse=True).write(tmp_path)
    assert len({one.StudyInstanceUID for one in written.values()}) == 1
    frames = {written["seg"].FrameOfReferenceUID, written["rtstruct"].FrameOfReferenceUID}
    assert len(frames) == 1


def test_malformed_headers_lose_what_is_malformed_and_keep_the_patient(volume, tmp_path):
    study = Study(volume)
    malformed = {
        "PatientName": "Müller^Änne",
        "PatientID": "P" * 70,
        "StudyInstanceUID": "1.02.3",
        "PatientAge": "45",
        "StudyDate": "2020-01-02",
        "PatientSex": "female",
    }
    with pydicom.config.disable_value_validation():
        for header in study.headers:
            place = [f"{float(mm):.17f}" for mm in header.ImagePositionPatient]
            for keyword, value in {**malformed, "ImagePositionPatient": place}.items():
                header.pop(keyword, None)
                setattr(header, keyword, value)
        folder = tmp_path / "ct"
        paths = write_series(study.headers, folder)
    study.headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    before = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    study.write(tmp_path)
    with pydicom.config.disable_value_validation():
        assert study.headers == before
        for path in tmp_path.glob("*.dcm"):
            result = pydicom.dcmread(path)
            assert str(result.PatientName) == "Müller^Änne"
            assert result.SpecificCharacterSet == "ISO_IR 192"
            assert (result.PatientID, result.StudyInstanceUID) == ("P" * 70, "1.02.3")
            assert not result.StudyDate
            assert not result.PatientSex
            assert "PatientAge" not in result


# segmentation


def test_segments_say_what_they_are_on_which_side_and_who_made_them(volume, tmp_path):
    study = Study(volume)
    seg = write_segmentation(
        study.labels, study.headers, tmp_path / "s.dcm", algorithm_version="9.8", model="kits21"
    )
    said = []
    for segment in seg.SegmentSequence:
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        if "AnatomicRegionSequence" in segment:
            region = segment.AnatomicRegionSequence[0]
            assert region.CodeValue == "64033007"
            side = region.AnatomicRegionModifierSequence[0]
        else:
            side = kind.SegmentedPropertyTypeModifierCodeSequence[0]
        said.append((segment.SegmentLabel, kind.CodeValue, side.CodeValue))
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("renalseg", "9.8")
        assert algorithm.AlgorithmParameters == "model=kits21"
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert said == [
        ("Right kidney", "64033007", "24028007"),
        ("Left kidney", "64033007", "7771000"),
        ("Lesion 1: tumor, right", "108369006", "24028007"),
        ("Lesion 2: cyst, left", "367643001", "7771000"),
    ]


def test_every_frame_of_the_segmentation_names_its_slice(volume, results):
    places = {one.SOPInstanceUID: one.ImagePositionPatient for one in Study(volume).headers}
    for frame in results["seg"].PerFrameFunctionalGroupsSequence:
        [image] = frame.DerivationImageSequence[0].SourceImageSequence
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(place, places[image.ReferencedSOPInstanceUID], atol=1e-6)


def test_every_labelled_voxel_is_in_one_segment_of_its_label(volume):
    study = Study(make_volume(**{**GRID, "spacing_mm": (1.0, 1.0, 1.0)}))  # 0.001 ml
    study.labels[0, 0, 0] = Label.CYST  # specks
    study.labels[-1, 5, -1] = study.labels[-1, 9, 3] = Label.TUMOR
    segments = find_segments(study.labels, source_images(study.headers))
    labels = np.array([0, *(one.label for one in segments.found)])
    np.testing.assert_array_equal(labels[segments.numbers], study.labels)
    titles = [one.title for one in segments.found]
    assert len(set(titles)) == len(titles)
    assert [title for title in titles if "Speck" in title] != []


def test_lesions_keep_the_numbers_of_what_was_measured(volume):
    study = Study(volume)
    first, second = study.measurements.lesions
    swapped = [first.model_copy(update={"number": 7}), second.model_copy(update={"number": 3})]
    found = find_segments(study.labels, source_images(study.headers), swapped).found
    assert [one.title for one in found[2:]] == ["Lesion 7: tumor, right", "Lesion 3: cyst, left"]


def test_a_lesion_that_was_not_measured_gets_a_number_of_its_own(volume):
    study = Study(volume)
    known = study.measurements.lesions[1:]
    found = find_segments(study.labels, source_images(study.headers), known).found
    assert [one.title for one in found[2:]] == ["Lesion 3: tumor, right", "Lesion 2: cyst, left"]


def test_no_kidney_makes_one_empty_segment_that_says_so(volume, tmp_path):
    empty = Study(volume, empty=True).write(tmp_path)
    [segment] = empty["seg"].SegmentSequence
    assert segment.SegmentLabel == "Kidney (none found)"
    assert not empty["seg"].pixel_array.any()
    [region] = empty["rtstruct"].ROIContourSequence
    assert "ContourSequence" not in region
    assert "No kidney and no lesion was found." in texts(empty["sr"])


# structured report


def items(dataset):
    for item in dataset.get("ContentSequence", []):
        yield item
        yield from items(item)


def texts(dataset):
    return [one.TextValue for one in items(dataset) if one.ValueType == "TEXT"]


def numbers(group):
    """By code and derivation."""
    found = {}
    for item in group.ContentSequence:
        if item.ValueType == "NUM":
            how = [
                one.ConceptCodeSequence[0].CodeMeaning
                for one in item.get("ContentSequence", [])
                if one.ConceptNameCodeSequence[0].CodeMeaning == "Derivation"
            ]
            value = item.MeasuredValueSequence[0]
            unit = value.MeasurementUnitsCodeSequence[0].CodeValue
            key = (item.ConceptNameCodeSequence[0].CodeValue, *how)
            assert key not in found
            found[key] = (float(value.NumericValue), unit)
    return found


def groups_of(path):
    groups = srread(path).content.get_volumetric_roi_measurement_groups()
    return {group.tracking_identifier: group for group in groups}


def test_report_gives_each_lesion_its_numbers(volume, tmp_path):
    study = Study(volume)
    study.write(tmp_path)
    groups = groups_of(tmp_path / "sr.dcm")
    assert list(groups) == [
        "Right kidney", "Left kidney", "Lesion 1: tumor, right", "Lesion 2: cyst, left"
    ]  # fmt: skip
    tumor = study.measurements.lesions[0]
    found = numbers(groups["Lesion 1: tumor, right"][0])
    wanted = {
        ("118565006",): (tumor.volume_ml, "ml"),
        ("103339001",): (tumor.largest_axial_diameter_mm, "mm"),
        ("103340004",): (tumor.short_axis_mm, "mm"),
        ("81827009", "Maximum"): (tumor.largest_3d_diameter_mm, "mm"),
        ("112031", "Mean"): (tumor.intensity.mean_hu, "[hnsf'U]"),
        ("112031", "Standard Deviation"): (tumor.intensity.sd_hu, "[hnsf'U]"),
        ("112031", "5th percentile"): (tumor.intensity.p5_hu, "[hnsf'U]"),
    }
    for key, (value, unit) in wanted.items():
        assert found[key] == (pytest.approx(value, abs=5e-4), unit)
    kidney = numbers(groups["Left kidney"][0])
    record = study.measurements.kidneys[1]
    assert kidney["118565006",][0] == pytest.approx(record.parenchyma_ml, abs=5e-4)
    assert kidney["VOLUME-WHOLE",][0] == pytest.approx(record.volume_ml, abs=5e-4)


def test_report_refers_to_the_segment_and_its_source_images(volume, tmp_path):
    seg = Study(volume).write(tmp_path)["seg"]
    groups = groups_of(tmp_path / "sr.dcm")
    images = {one.SOPInstanceUID for one in Study(volume).headers}
    for segment in seg.SegmentSequence:
        group = groups[segment.TrackingID]
        assert group.tracking_uid == segment.TrackingUID
        kind, *sources = group.referenced_segment
        reference = kind.ReferencedSOPSequence[0]
        assert reference.ReferencedSOPInstanceUID == seg.SOPInstanceUID
        assert reference.ReferencedSegmentNumber == segment.SegmentNumber
        assert {s.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for s in sources} <= images
        assert sources
        assert group.finding_type.value == segment.SegmentedPropertyTypeCodeSequence[0].CodeValue
        assert group.finding_sites[0].laterality.meaning == (
            "Right" if "ight" in segment.TrackingID else "Left"
        )


def test_report_without_a_segmentation_refers_to_the_nearest_image(volume, tmp_path):
    study = Study(volume)
    study.write(tmp_path)
    content = srread(tmp_path / "sr-alone.dcm").content
    groups = content.get_image_measurement_groups()
    assert len(groups) == 4
    [image] = groups[2].source_images
    z_mm = study.measurements.lesions[0].centroid.mm[2]
    place = {one.SOPInstanceUID: one.ImagePositionPatient[2] for one in study.headers}
    found = place[image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID]
    assert abs(found - z_mm) <= 1.5


def test_scores_are_numbers_where_known_and_words_where_open(volume, tmp_path):
    study = Study(volume)
    tumor, cyst = study.measurements.lesions
    scored = tumor.model_copy(update={"scores": (score(),)})
    study.measurements = study.measurements.model_copy(update={"lesions": (scored, cyst)})
    study.write(tmp_path)
    group = groups_of(tmp_path / "sr.dcm")["Lesion 1: tumor, right"][0]
    found = numbers(group)
    assert found["RENAL",] == (2, "{points}")
    assert found["RENAL-N",] == (2, "{points}")
    assert ("RENAL-h",) not in found
    words = texts(group)
    assert "2x (h open); low complexity; renal sinus from geometry" in words
    assert "distance to the sinus: 6.3 mm; between; points: 2; 0.7 mm from a threshold" in words
    assert "touches a main vessel: open: not in the labels" in words


def test_codes_of_score_components_are_short_and_unique(volume):
    scores = [one for lesion in Study(volume).measurements.lesions for one in lesion.scores]
    assert {one.system for one in scores} == {"R.E.N.A.L.", "PADUA", "C-index"}
    codes = [component_concept(one.system, c.name).value for one in scores for c in one.components]
    assert len(set(codes)) == len(codes)
    assert max(map(len, codes)) <= 16


def test_report_says_its_notice_and_notes_and_how_members_differ(volume, tmp_path):
    study = Study(volume)
    tumor, cyst = study.measurements.lesions
    told = tumor.model_copy(
        update={"intervals": {"volume_ml": Interval(low=13.1, high=15.9, members=3)}}
    )
    study.measurements = study.measurements.model_copy(
        update={"lesions": (told, cyst), "notes": ("One kidney only.",)}
    )
    study.write(tmp_path)
    said = texts(pydicom.dcmread(tmp_path / "sr.dcm"))
    assert study.measurements.notice in said
    assert "One kidney only." in said
    assert "volume_ml 13.1 to 15.9 (3 members)" in said


# contours


def filled(corners, shape):
    """Pixels whose centre is inside, even-odd."""
    mask = np.zeros(shape, bool)
    mask[polygon(corners[:, 0], corners[:, 1], shape)] = True
    return mask


def signed_area(corners):
    rows, columns = corners.T
    return 0.5 * float(np.sum(columns * np.roll(rows, -1) - rows * np.roll(columns, -1)))


@pytest.mark.parametrize("density", [0.1, 0.5, 0.8, 0.95, 1.0])
def test_outlines_enclose_exactly_the_pixels_of_any_mask(density):
    random = np.random.RandomState(0)
    for shape in ((1, 1), (1, 7), (6, 9), (17, 23), (40, 31)):
        mask = random.rand(*shape) < density
        back = np.zeros(shape, int)
        area = 0.0
        for line in outlines(mask):
            back += filled(line, shape)
            area += signed_area(line)
        np.testing.assert_array_equal(back, mask)  # each pixel once
        assert area == mask.sum()  # whatever the rule of filling


def test_a_ring_is_one_line_with_a_bridge_to_its_hole():
    mask = np.ones((5, 6), bool)
    mask[2:4, 2:4] = False
    [line] = outlines(mask)
    assert len(line) == 10  # four corners outside, four of the hole, one of them twice, a foot
    assert signed_area(line) == mask.sum()


def test_outlines_of_nothing_are_none():
    assert list(outlines(np.zeros((3, 4), bool))) == []


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("multiframe", [False, True], ids=["slices", "multiframe"])
def test_contours_land_on_the_slices_they_name(volume, tmp_path, orientation, multiframe):
    study = Study(volume, orientation, multiframe=multiframe)
    result = write_structure_set(study.labels, study.headers, tmp_path / "rtstruct.dcm")
    np.testing.assert_array_equal(drawn(result, study), study.labels)


def test_contours_lie_on_the_slices_of_a_tilted_gantry(volume, tmp_path):
    study = Study(volume)
    study.headers = make_series(volume, tilt_degrees=18).datasets
    result = write_structure_set(study.labels, study.headers, str(tmp_path / "rtstruct.dcm"))
    np.testing.assert_array_equal(drawn(result, study), study.labels)
    assert errors_of(tmp_path / "rtstruct.dcm") == []


def drawn(structure_set, study):
    """The label map that the contours enclose, drawn on the images by their headers alone."""
    labels = {"kidney": Label.KIDNEY, "tumor": Label.TUMOR, "cyst": Label.CYST}
    names = {one.ROINumber: one.ROIName for one in structure_set.StructureSetROISequence}
    planes = {}
    for slice_number, plane in enumerate(source_images(study.headers).planes):
        planes[plane.image.SOPInstanceUID, plane.frame] = slice_number
    found = np.zeros(study.labels.shape, np.uint8)
    for region in structure_set.ROIContourSequence:
        name = names[region.ReferencedROINumber]
        [label] = [value for word, value in labels.items() if word in name]
        for contour in region.ContourSequence:
            [image] = contour.ContourImageSequence
            key = (image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber"))
            number = planes[key]
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            assert contour.NumberOfContourPoints == len(points)
            position, row, column = geometry(study.headers, number)
            steps = np.column_stack([column, row, np.cross(row, column)])
            corners = np.linalg.solve(steps, (points - position).T).T
            assert np.abs(corners[:, 2]).max() < 1e-3
            inside = filled(corners[:, :2], found.shape[1:])
            assert not found[number][inside].any()
            found[number][inside] = label
    return found


def geometry(headers, number):
    """Position of a slice, and its steps to the next column and row."""
    if len(headers) > 1:
        image = headers[number]
        turned, spacing = image.ImageOrientationPatient, image.PixelSpacing
        position = image.ImagePositionPatient
    else:
        shared = headers[0].SharedFunctionalGroupsSequence[0]
        turned = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        spacing = shared.PixelMeasuresSequence[0].PixelSpacing
        frame = headers[0].PerFrameFunctionalGroupsSequence[number]
        position = frame.PlanePositionSequence[0].ImagePositionPatient
    row, column = np.array(turned, float).reshape(2, 3)
    return np.array(position, float), row * float(spacing[1]), column * float(spacing[0])


def test_real_kidneys_come_back_from_their_contours(real_data):
    files = sorted((real_data / "kits23").glob("*/segmentation.nii.gz"))
    if not files:
        pytest.skip(f"no KiTS23 cases at {real_data / 'kits23'}")
    labels = read_labels(files[0]).array
    for mask in labels[labels.any(axis=(1, 2))][::5] == Label.KIDNEY:
        back = np.zeros(mask.shape, bool)
        for line in outlines(mask):
            back |= filled(line, mask.shape)
        np.testing.assert_array_equal(back, mask)


# document


def test_document_holds_the_pdf(results):
    document = results["document"]
    assert document.EncapsulatedDocument[: document.EncapsulatedDocumentLength] == PDF
    assert document.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert document.BurnedInAnnotation == "NO"


def test_document_says_whether_it_names_the_patient(volume, tmp_path):
    path = tmp_path / "d.dcm"
    document = write_document(PDF, Study(volume).headers, path, names_patient=True)
    assert document.BurnedInAnnotation == "YES"


# what is refused


def test_what_is_no_pdf_is_refused(volume, tmp_path):
    with pytest.raises(VolumeError, match="expected the bytes of a PDF, got 4 others"):
        write_document(b"<htm", Study(volume).headers, tmp_path / "d.dcm")


@pytest.mark.parametrize("write", [write_segmentation, write_structure_set])
def test_labels_on_another_grid_are_refused(volume, tmp_path, write):
    study = Study(volume)
    with pytest.raises(VolumeError, match=r"expected labels on the source images, \(12, 40, 64\)"):
        write(study.labels[1:], study.headers, tmp_path / "x.dcm")
    assert list(tmp_path.iterdir()) == []


def test_headers_that_place_nothing_are_refused(volume, tmp_path):
    study = Study(volume)
    with pytest.raises(VolumeError, match="expected the headers of a CT series, got none"):
        write_segmentation(study.labels, [], tmp_path / "x.dcm")
    del study.headers[3].ImagePositionPatient
    with pytest.raises(VolumeError, match="expected headers that place every slice"):
        write_segmentation(study.labels, study.headers, tmp_path / "x.dcm")


def test_slices_of_several_orientations_are_refused(volume, tmp_path):
    study = Study(volume)
    study.headers[3].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    with pytest.raises(VolumeError, match="slices of several orientations"):
        write_segmentation(study.labels, study.headers, tmp_path / "x.dcm")


def test_images_without_a_name_are_refused(volume, tmp_path):
    study = Study(volume)
    del study.headers[2].SOPInstanceUID
    del study.headers[2].file_meta
    with pytest.raises(VolumeError, match="expected a SOP Instance UID in every source image"):
        write_segmentation(study.labels, study.headers, tmp_path / "x.dcm")


def test_a_file_that_cannot_be_written_leaves_nothing(volume, tmp_path):
    study = Study(volume)
    target = tmp_path / "x.dcm"
    target.mkdir()
    with pytest.raises(VolumeError, match=r"x\.dcm: cannot be written"):
        write_segmentation(study.labels, study.headers, target)
    assert list(tmp_path.iterdir()) == [target]
