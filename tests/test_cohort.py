"""Cohorts as downloaded: layouts, cases, and what is wrong with them."""

import nibabel as nib
import numpy as np
import pytest

import renalseg.cohort
from kits_cases import IPL, REPOSITORY, SHAPE, make_case, save
from renalseg.cohort import Cohort, Layout, check_cohort
from renalseg.errors import CohortError
from renalseg.labels import Label


@pytest.fixture
def cohort(tmp_path):
    for number in (3, 4, 12):
        make_case(tmp_path / f"case_{number:05d}")
    return tmp_path


def problems(folder):
    return {check.case_id: check.problems for check in check_cohort(Cohort.open(folder))}


def test_public_names():
    assert renalseg.cohort.__all__ == [
        "Case",
        "CaseCheck",
        "Cohort",
        "Layout",
        "PlausibleMap",
        "Protocol",
        "Reference",
        "aggregate",
        "case_map",
        "check_cohort",
        "per_slice_map",
        "plausible_map",
        "plausible_maps",
        "references",
        "write_aggregate",
        "write_plausible_maps",
    ]
    for name in renalseg.cohort.__all__:
        assert callable(getattr(renalseg.cohort, name))


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("inner", [False, True])
def test_layout_is_seen_from_content(tmp_path, layout, inner):
    data = tmp_path / REPOSITORY[layout] if inner else tmp_path
    make_case(data / "case_00007", layout)
    (data / "case_00008").mkdir()
    cohort = Cohort.open(tmp_path)
    assert cohort.layout is layout
    assert cohort.folder.resolve() == data
    assert [case.case_id for case in cohort.cases] == ["case_00007", "case_00008"]


def test_package_folder_of_the_kits21_repository(tmp_path):
    make_case(tmp_path / "kits21" / "data" / "case_00007", Layout.KITS21)
    assert len(Cohort.open(tmp_path / "kits21").cases) == 1


@pytest.mark.parametrize("layout", list(Layout))
def test_complete_case_has_no_problems(tmp_path, layout):
    make_case(tmp_path / "case_00007", layout)
    assert Cohort.open(tmp_path).cases[0].problems() == []


def test_no_folder_and_no_cases(tmp_path):
    with pytest.raises(CohortError, match="no such folder; name the folder"):
        Cohort.open(tmp_path / "absent")
    (tmp_path / "case_studies").mkdir()
    with pytest.raises(CohortError, match="no cases; expected folders such as case_00000"):
        Cohort.open(tmp_path)


def test_case_by_name_or_number(cohort):
    opened = Cohort.open(cohort)
    assert opened.case("case_00012") is opened.case(12) is opened.case("12")
    assert opened.case(12).number == 12
    with pytest.raises(CohortError, match="no case 5; it holds 3 cases, case_00003 to case_00012"):
        opened.case(5)


def test_only_some_cases(cohort):
    opened = Cohort.open(cohort)
    assert [case.number for case in opened.only(["12", "3"]).cases] == [3, 12]
    assert opened.only(None) is opened


def test_instances_are_kidneys_then_tumors_then_cysts(cohort):
    make_case(cohort / "case_00013")
    source = cohort / "case_00013" / "instances" / "cyst_instance-1_annotation-1.nii.gz"
    for number in (10, 2):
        name = source.name.replace("instance-1", f"instance-{number}")
        source.with_name(name).write_bytes(source.read_bytes())
    source.with_name("notes.nii.gz").write_text("not an annotation")
    found = [
        (i.label, i.number, len(i.annotations)) for i in Cohort.open(cohort).case(13).instances
    ]
    assert found == [
        (Label.KIDNEY, 1, 3),
        (Label.KIDNEY, 2, 3),
        (Label.TUMOR, 1, 3),
        (Label.CYST, 1, 3),
        (Label.CYST, 2, 1),
        (Label.CYST, 10, 1),
    ]


def test_each_broken_case_gives_one_line_and_the_rest_is_checked(cohort):
    make_case(cohort / "case_00005")
    scan = cohort / "case_00003" / "imaging.nii.gz"
    scan.write_bytes(scan.read_bytes()[:200])
    for path in (cohort / "case_00004" / "instances").iterdir():
        path.unlink()
    save(cohort / "case_00005" / "segmentation.nii.gz", np.zeros((6, 8, 10), np.uint8))
    found = problems(cohort)
    assert list(map(len, found.values())) == [1, 1, 1, 0]
    assert "case_00003/imaging.nii.gz: not a whole NIfTI image" in found["case_00003"][0]
    assert "case_00004: no annotations; get the case again" in found["case_00004"][0]
    assert (
        "case_00005/segmentation.nii.gz: shape (6, 8, 10), but imaging.nii.gz has (6, 8, 9)"
        in found["case_00005"][0]
    )


def test_missing_imaging_is_said(tmp_path):
    make_case(tmp_path / "case_00300", annotators=1, imaging=False)
    assert [line.split(": ", 1)[1] for line in problems(tmp_path)["case_00300"]] == [
        "no imaging.nii.gz; get the CT with the data set's tool"
    ]


def test_no_kidney_is_said(tmp_path):
    make_case(tmp_path / "case_00001")
    for path in (tmp_path / "case_00001" / "instances").glob("kidney*"):
        path.unlink()
    assert "no kidney instance" in problems(tmp_path)["case_00001"][0]


def test_shifted_annotation_is_said(tmp_path):
    make_case(tmp_path / "case_00001")
    moved = IPL.copy()
    moved[2, 3] = 5
    path = tmp_path / "case_00001" / "instances" / "tumor_instance-1_annotation-2.nii.gz"
    save(path, np.zeros(SHAPE, np.uint8), moved)
    (line,) = problems(tmp_path)["case_00001"]
    assert f"{path}: its affine differs from that of imaging.nii.gz by 5 mm" in line


def test_annotation_that_is_no_mask_is_said(tmp_path):
    make_case(tmp_path / "case_00001")
    path = tmp_path / "case_00001" / "instances" / "tumor_instance-1_annotation-2.nii.gz"
    save(path, np.full(SHAPE, 2, np.uint8))
    (line,) = problems(tmp_path)["case_00001"]
    assert "expected labels 0 to 1, got 2 to 2" in line


def test_annotations_stored_in_another_orientation_are_no_problem(tmp_path):
    make_case(tmp_path / "case_00001")
    path = tmp_path / "case_00001" / "instances" / "tumor_instance-1_annotation-2.nii.gz"
    turned = nib.as_closest_canonical(nib.load(path))
    save(path, np.asarray(turned.dataobj), turned.affine)
    assert problems(tmp_path)["case_00001"] == ()


def test_real_case_lacks_nothing_but_its_imaging(real_data):
    case = Cohort.open(real_data / "kits23").case("case_00061")
    assert case.layout is Layout.KITS23
    assert [line.split(": ", 1)[1] for line in case.problems()] == [
        "no imaging.nii.gz; get the CT with the data set's tool"
    ]
