"""Folders as people have them: what is there and cannot be read, and what lies beside DICOM."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from dicom_phantom import make_series, make_volume, uid, write_series
from renalseg.batch import pair_files, predict_files
from renalseg.errors import VolumeError
from renalseg.volume.dicom import is_dicom_source, is_one_study, read_series
from renalseg.volume.presence import why_absent
from renalseg.volume.source import read_source

ANNEX = "../.git/annex/objects/xx/SHA256E-s1--0.dcm"
POINTERS = {
    "git-annex": b"/annex/objects/SHA256E-s537000--abc.dcm\n",
    "git lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n",
}


@pytest.fixture(scope="module")
def made():
    return make_series(make_volume((10, 20, 24)))


def link_to_nothing(path):
    path.unlink(missing_ok=True)
    path.symlink_to(ANNEX)


def is_truth(series, made):
    np.testing.assert_array_equal(series.volume.array, made.truth.array)


# what is there and cannot be read


def test_slices_that_were_not_fetched_are_counted_and_named(made, tmp_path):
    paths = write_series(made.datasets, tmp_path)
    for path in paths[7:]:
        link_to_nothing(path)
    first = min(path.name for path in paths[7:])
    line = rf"3 of 10 files cannot be read, the first is {first} \(a link to nothing: .*datalad get"
    with pytest.raises(VolumeError, match=line):
        read_series(tmp_path, allow_gaps=True)


@pytest.mark.parametrize("name", ["IM1.dcm", "IM1", "1.2.840.1", "slice.IMA", "itself"])
def test_a_link_to_nothing_may_be_a_slice(made, tmp_path, name):
    write_series(made.datasets, tmp_path)
    link = tmp_path / name
    link.symlink_to(link if name == "itself" else ANNEX)
    with pytest.raises(VolumeError, match=rf"1 of 11 files cannot be read, .* {name} \("):
        read_series(tmp_path)


@pytest.mark.parametrize("name", ["notes.txt", "sheet.csv", "viewer.exe", ".hidden"])
def test_what_is_no_slice_by_its_name_is_not_missed(made, tmp_path, name):
    write_series(made.datasets, tmp_path)
    link_to_nothing(tmp_path / name)
    is_truth(read_series(tmp_path), made)


@pytest.mark.parametrize("tool", POINTERS)
@pytest.mark.parametrize("suffix", [".dcm", ""])
def test_pointers_are_not_called_damaged(made, tmp_path, tool, suffix):
    paths = write_series(made.datasets, tmp_path)
    paths[2].unlink()
    paths[2].with_suffix(suffix).write_bytes(POINTERS[tool])
    with pytest.raises(VolumeError, match=rf"1 of 10 .*its content was not fetched \({tool}"):
        read_series(tmp_path)


def test_a_folder_of_which_nothing_was_fetched(made, tmp_path):
    for number in range(4):
        link_to_nothing(tmp_path / f"IM{number}")
    assert is_dicom_source(tmp_path)
    assert is_one_study(tmp_path)
    with pytest.raises(VolumeError, match=r"4 of 4 files cannot be read, the first is IM0"):
        read_series(tmp_path)


def test_slices_without_permission_are_counted(made, tmp_path, monkeypatch):
    locked = {path.name for path in write_series(made.datasets, tmp_path)[4:6]}
    opened = Path.open

    def denying(path, *args, **more):
        if path.name in locked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *args, **more)

    monkeypatch.setattr(Path, "open", denying)
    with pytest.raises(VolumeError, match=r"2 of 10 files cannot be read, .*Permission denied"):
        read_series(tmp_path)


def test_a_folder_without_permission_is_named(made, tmp_path, monkeypatch):
    write_series(made.datasets, tmp_path / "a")
    (tmp_path / "locked").mkdir()
    scanned = os.scandir

    def denying(path="."):
        if str(path).endswith("locked"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scanned(path)

    monkeypatch.setattr(os, "scandir", denying)
    with pytest.raises(VolumeError, match=r"locked: cannot be read \(Permission denied\)"):
        read_series(tmp_path)


@pytest.mark.parametrize("name", ["scan.nii.gz", "scan.zip", "scan.dcm", "scan"])
def test_a_scan_that_is_a_link_to_nothing(tmp_path, name):
    path = tmp_path / name
    path.symlink_to(ANNEX)
    assert "datalad get" in why_absent(path)
    with pytest.raises(VolumeError, match=rf"{name}: cannot be read \(a link to nothing"):
        read_source(path)
    with pytest.raises(VolumeError, match=rf"{name}: a link to nothing"):
        pair_files(path, tmp_path / "out")


def test_an_image_that_is_a_pointer(tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(POINTERS["git-annex"])
    with pytest.raises(VolumeError, match="its content was not fetched"):
        read_source(path)


def test_a_batch_names_what_was_not_fetched_and_goes_on(made, tmp_path):
    scans = tmp_path / "scans"
    write_series(made.datasets, scans / "b")
    make_volume((10, 20, 24)).save(scans / "a.nii.gz")
    for name in ("c.nii.gz", "d", "e.zip"):
        (scans / name).symlink_to(ANNEX)
    (scans / "notes.txt").symlink_to(ANNEX)
    (scans / "f").mkdir()
    (scans / "f" / "IM1.dcm").symlink_to(ANNEX)
    pairs = pair_files(scans, tmp_path / "out")
    assert [source.name for source, _ in pairs] == ["a.nii.gz", "b", "c.nii.gz", "d", "e.zip", "f"]

    class Nothing:
        def segment(self, *_, **__):
            raise VolumeError("segmented")

    problems = [one.problem for one in predict_files(pairs, Nothing)]
    assert ["segmented" in problem for problem in problems] == [True, True, *[False] * 4]
    assert all("a link to nothing" in problem for problem in problems[2:])


def test_cases_of_a_cohort_that_were_not_fetched_are_scans(tmp_path):
    for number in (1, 2):
        case = tmp_path / f"case_0000{number}"
        case.mkdir()
        (case / "imaging.nii.gz").symlink_to(ANNEX)
    names = [source.parent.name for source, _ in pair_files(tmp_path, tmp_path / "out")]
    assert names == ["case_00001", "case_00002"]


# what lies beside DICOM


@pytest.mark.parametrize("place", [".", "CT1"])
def test_an_image_file_beside_dicom_does_not_change_what_the_folder_is(made, tmp_path, place):
    study = tmp_path / "study"
    write_series(made.datasets, study / place)
    (study / "mask.nii.gz").write_bytes(b"no image at all")
    assert [source for source, _ in pair_files(study, tmp_path / "out")] == [study]
    series = read_source(study).series
    is_truth(series, made)
    assert series.notes == ("read as DICOM; image files beside it were left out: mask.nii.gz",)


def test_more_images_than_dicom_are_a_folder_of_scans(made, tmp_path):
    write_series(made.datasets, tmp_path / "study")
    for name in ("a.nii.gz", "b.nrrd"):
        (tmp_path / name).write_bytes(b"")
    names = [source.name for source, _ in pair_files(tmp_path, tmp_path / "out")]
    assert names == ["a.nii.gz", "b.nrrd", "study"]


def test_series_folders_of_one_study_beside_an_image(made, tmp_path):
    for number in (2, 3):
        write_series(
            make_series(make_volume((4, 20, 24)), series=number).datasets, tmp_path / f"{number}"
        )
    (tmp_path / "a.nii.gz").write_bytes(b"")
    assert is_one_study(tmp_path)
    other = make_series(make_volume((4, 20, 24)), series=4).datasets
    for dataset in other:
        dataset.StudyInstanceUID = uid("other")
    write_series(other, tmp_path / "4")
    assert not is_one_study(tmp_path)


@pytest.mark.parametrize(
    "name", ["report.pdf", "DICOMDIR", "Thumbs.db", "__MACOSX/._IM1.dcm", "LICENSE", "a.json"]
)
def test_what_else_lies_there_is_left_out(made, tmp_path, name):
    write_series(made.datasets, tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"something else")
    series = read_series(tmp_path)
    is_truth(series, made)
    assert series.notes == ()


def test_links_to_folders_are_told(made, tmp_path):
    write_series(made.datasets, tmp_path / "real")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "CT").symlink_to(tmp_path / "real")
    with pytest.raises(VolumeError, match=r"links to folders are not followed: .*CT; give"):
        read_series(tmp_path / "study")
    is_truth(read_series(tmp_path / "study" / "CT"), made)
