"""Corrected studies as a cohort to train on."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from renalseg.cli.main import app
from renalseg.cohort import Cohort, aggregate, check_cohort, plausible_maps
from renalseg.errors import CohortError, VolumeError
from renalseg.labels import Label
from renalseg.volume import Volume, read_labels
from renalseg.web.corrections import export_corrections, instances
from web_server import IPL, SHAPE, finished, make_ct, nifti, read_nifti, running


def correct(client, study, change, made_from=1):
    """Save a changed mask as a new version; gives it."""
    place = f"/api/studies/{study['id']}/masks"
    mask = read_nifti(client.get(f"{place}/{made_from}.nii.gz"))[0].astype(np.uint8)
    change(mask)
    answer = client.post(place, params={"from": made_from}, content=nifti(mask))
    assert answer.status_code == 201, answer.text
    return mask


def as_cyst(mask):
    mask[mask == Label.TUMOR] = Label.CYST


def with_tumor(mask):
    mask[8:12, 12:16, 45:49] = Label.TUMOR


@pytest.fixture
def server(tmp_path):
    with running(tmp_path / "data") as client:
        yield client


def exported(tmp_path):
    return [
        (one.case_id, one.is_new, one.problem)
        for one in export_corrections(tmp_path / "data", tmp_path / "cohort")
    ]


def test_corrected_studies_become_a_cohort(server, tmp_path):
    finished(server, "not corrected")
    study = finished(server, "DOE^JANE", path="DOE^JANE.nii.gz")
    mask = correct(server, study, as_cyst)
    assert exported(tmp_path) == [("case_00000", True, None)]
    cohort = Cohort.open(tmp_path / "cohort")
    assert [one.problems for one in check_cohort(cohort)] == [()]
    (case,) = cohort.cases
    assert cohort.layout == "KiTS21"
    assert case.annotators == 1
    assert [(i.label, i.number) for i in case.instances] == [
        (Label.KIDNEY, 1),
        (Label.KIDNEY, 2),
        (Label.CYST, 1),
    ]
    for found in (aggregate(case), read_labels(case.segmentation_path)):
        assert np.array_equal(found.source.way.backward(found.array), mask)
    assert {one.array.sum() for one in plausible_maps(case)} == {mask.sum()}
    image = read_nifti(server.get(f"/api/studies/{study['id']}/image.nii.gz"))[0]
    assert np.array_equal(image, make_ct())
    assert case.image_path.is_file()


def test_the_record_says_who_and_not_of_whom(server, tmp_path):
    study = finished(server, "DOE^JANE", path="DOE^JANE.nii.gz")
    correct(server, study, as_cyst)
    exported(tmp_path)
    text = (tmp_path / "cohort" / "corrections.json").read_text()
    about = json.loads(text)["cases"]["case_00000"]
    assert (about["annotator"], about["version"], about["from_version"]) == ("local", 2, 1)
    assert about["study"] == study["id"]
    assert "DOE" not in text
    for file in (tmp_path / "cohort").rglob("*.nii.gz"):
        assert b"DOE" not in file.read_bytes()


def test_cases_keep_their_numbers_and_newer_corrections_replace_older(server, tmp_path):
    first, second = finished(server, "1"), finished(server, "2", content=nifti(seed=1))
    correct(server, second, as_cyst)
    assert exported(tmp_path) == [("case_00000", True, None)]
    correct(server, first, as_cyst)
    assert exported(tmp_path) == [("case_00001", True, None), ("case_00000", False, None)]
    mask = correct(server, second, with_tumor, made_from=2)
    assert exported(tmp_path) == [("case_00001", False, None), ("case_00000", True, None)]
    found = aggregate(Cohort.open(tmp_path / "cohort").case(0))
    assert np.array_equal(found.source.way.backward(found.array), mask)


def test_a_correction_without_kidneys_is_said_and_left_out(server, tmp_path):
    study = finished(server)
    correct(server, study, lambda mask: mask.fill(0))
    ((case, is_new, problem),) = exported(tmp_path)
    assert (case, is_new) == ("", False)
    assert "no kidney in it" in problem
    assert not list((tmp_path / "cohort").glob("*case*"))


def test_another_cohort_is_left_alone(server, tmp_path):
    (tmp_path / "cohort" / "case_00000").mkdir(parents=True)
    with pytest.raises(CohortError, match="holds a cohort that is no export"):
        exported(tmp_path)
    (tmp_path / "cohort" / "corrections.json").write_text("[]")
    with pytest.raises(CohortError, match="not a record of corrections"):
        exported(tmp_path)


def test_no_server_has_been_there(tmp_path):
    with pytest.raises(CohortError, match="name the data folder of a renalseg serve"):
        exported(tmp_path)


def test_merged_instances_are_the_map_again():
    random = np.random.RandomState(0)
    array = np.zeros(SHAPE, np.uint8)
    array[4:20, 10:28, 6:18] = array[4:20, 10:28, 42:54] = Label.KIDNEY
    array[6:12, 12:20, 8:14] = Label.TUMOR
    specks = random.rand(*SHAPE) > 0.995
    array[specks] = random.randint(1, 4, specks.sum())
    volume = Volume(array, IPL[:, [0, 1, 2, 3]])
    merged = np.zeros_like(array)
    names = []
    for name, mask in instances(volume):
        names.append(name)
        assert not merged[mask > 0].any()
        merged[mask > 0] = Label[name.split("_")[0].upper()]
    assert np.array_equal(merged, array)
    assert names[:2] == ["kidney_instance-1", "kidney_instance-2"]


def test_a_map_without_kidneys_has_no_instances():
    with pytest.raises(VolumeError, match="no kidney"):
        list(instances(Volume(np.zeros(SHAPE, np.uint8), IPL)))


def test_the_command(server, tmp_path):
    correct(server, finished(server), as_cyst)
    arguments = ["data", "export-corrections", tmp_path / "data", "-o", tmp_path / "cohort"]
    run = lambda *more: CliRunner().invoke(app, [str(a) for a in (*arguments, *more)])  # noqa: E731
    assert "1 case written" in run().stdout
    assert json.loads(run("--json").stdout) == {
        "written": [],
        "kept": ["case_00000"],
        "failed": [],
    }
