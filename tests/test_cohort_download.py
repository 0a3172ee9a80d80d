"""KiTS from a server of our own that drops connections and keeps broken files."""

import gzip
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from renalseg.cli.main import app
from renalseg.cohort import Cohort
from renalseg.cohort.download import MIRROR, SOURCES, Download, parse_cases
from renalseg.errors import DownloadError
from renalseg.volume import Volume
from servers import serving

HUB = "/datasets/neheller/KiTS-Challenge-Imaging/resolve/main/images"
AFFINE = np.array([[0, 0, -2.0, 0], [0, -2.0, 0, 0], [-3.0, 0, 0, 0], [0, 0, 0, 1]])


def ct(shape):
    return np.random.default_rng(0).integers(-1000, 300, shape).astype(np.int16)


def nifti(tmp_path, array, affine=AFFINE):
    Volume(array, affine).save(tmp_path / "file.nii.gz")
    return (tmp_path / "file.nii.gz").read_bytes()


@pytest.fixture
def site(tmp_path_factory, monkeypatch):
    """Two cases in every layout; case 0 with one kidney, two tumors and no cyst."""
    room = tmp_path_factory.mktemp("files")
    labels = np.zeros((6, 8, 8), np.uint8)
    labels[1:4, 2:5, 2:5] = 1
    mask = nifti(room, labels)
    image = nifti(room, ct((6, 8, 8)))
    with serving() as site:
        for case in ("case_00000", "case_00001"):
            for name in ("aggregated_MAJ_seg", "aggregated_AND_seg", "aggregated_OR_seg"):
                site.files[f"/kits/{case}/{name}.nii.gz"] = mask
            site.files[f"/kits/{case}/segmentation.nii.gz"] = mask
            for folder in ("segmentations", "instances"):
                for instance in ("kidney_instance-1", "tumor_instance-1", "tumor_instance-2"):
                    for number in (1, 2, 3):
                        name = f"{instance}_annotation-{number}.nii.gz"
                        site.files[f"/kits/{case}/{folder}/{name}"] = mask
            site.files[f"{HUB}/{case}.nii.gz"] = image
        site.files["/kits/kits.json"] = site.files["/kits/kits23.json"] = b"[]"
        monkeypatch.setenv(MIRROR, f"{site.url}/kits/")
        monkeypatch.setenv("HF_ENDPOINT", site.url)
        yield site


def get(folder, numbers=(0, 1), name="kits21", **options):
    job = Download(SOURCES[name], folder, numbers, pause=lambda _: None, **options)
    return dict(job.run())


def hidden(folder):
    return [path.name for path in folder.rglob(".*")]


@pytest.mark.parametrize("name", ["kits19", "kits21", "kits23"])
def test_a_cohort_arrives_in_its_layout(site, tmp_path, name):
    assert get(tmp_path / "c", name=name) == {"case_00000": None, "case_00001": None}
    cohort = Cohort.open(tmp_path / "c")
    assert [case.layout for case in cohort.cases] == [SOURCES[name].layout] * 2
    assert [case.problems() for case in cohort.cases] == [[], []]
    instances = [] if name == "kits19" else [(3, "kidney"), (3, "tumor"), (3, "tumor")]
    found = cohort.cases[0].instances
    assert [(len(i.annotations), i.label.title) for i in found] == instances
    assert (tmp_path / "c" / SOURCES[name].records).read_text() == "[]"
    assert hidden(tmp_path / "c") == []


def test_a_second_run_asks_for_nothing(site, tmp_path):
    get(tmp_path / "c")
    site.asked.clear()
    assert set(get(tmp_path / "c").values()) == {None}
    assert site.asked == []


def test_dropped_connections_go_on(site, tmp_path):
    site.faults[f"{HUB}/case_00000.nii.gz"] = [("cut", 300)]
    site.faults["/kits/case_00000/segmentations/tumor_instance-1_annotation-2.nii.gz"] = [
        ("cut", 50),
        ("status", 503),
    ]
    assert set(get(tmp_path / "c").values()) == {None}
    assert Cohort.open(tmp_path / "c").cases[0].problems() == []
    assert site.faults[f"{HUB}/case_00000.nii.gz"] == []


def broken(site, tmp_path, kind):
    whole = site.files[f"{HUB}/case_00000.nii.gz"]
    if kind == "truncated":
        return whole[: len(whole) // 2]
    if kind == "shape":
        return nifti(tmp_path, ct((6, 8, 9)))
    if kind == "affine":
        return nifti(tmp_path, ct((6, 8, 8)), AFFINE * [[1], [1], [1.5], [1]])
    return gzip.compress(b"hello")


@pytest.mark.parametrize("kind", ["truncated", "shape", "affine", "text"])
def test_a_broken_ct_is_never_taken_for_one(site, tmp_path, kind):
    whole = site.files[f"{HUB}/case_00000.nii.gz"]
    site.files[f"{HUB}/case_00000.nii.gz"] = broken(site, tmp_path, kind)
    found = get(tmp_path / "c")
    assert "run again to fetch it anew" in found["case_00000"]
    assert found["case_00001"] is None  # the next one is fetched nevertheless
    assert not (tmp_path / "c" / "case_00000" / "imaging.nii.gz").exists()
    site.files[f"{HUB}/case_00000.nii.gz"] = whole
    assert set(get(tmp_path / "c").values()) == {None}
    assert hidden(tmp_path / "c") == []


@pytest.mark.parametrize(
    "name", ["aggregated_OR_seg", "segmentations/kidney_instance-1_annotation-2"]
)
def test_a_broken_annotation_is_never_taken_for_one(site, tmp_path, name):
    path = f"/kits/case_00000/{name}.nii.gz"
    whole = site.files[path]
    site.files[path] = whole[:-30]
    found = get(tmp_path / "c")
    assert "run again to fetch it anew" in found["case_00000"]
    assert not (tmp_path / "c" / "case_00000").exists()
    site.files[path] = whole
    assert set(get(tmp_path / "c").values()) == {None}


def test_half_a_case_is_none_yet(site, tmp_path):
    fault = [("cut", 50)] + [("status", 503)] * 9
    site.faults["/kits/case_00000/segmentations/tumor_instance-2_annotation-3.nii.gz"] = fault
    assert "HTTP 503" in get(tmp_path / "c")["case_00000"]
    assert [case.case_id for case in Cohort.open(tmp_path / "c").cases] == ["case_00001"]
    site.faults.clear()
    site.asked.clear()
    assert set(get(tmp_path / "c").values()) == {None}
    maps = [path for path, _ in site.asked if path.endswith("MAJ_seg.nii.gz")]
    assert maps == []  # what had arrived was kept


def test_a_case_that_is_not_there_is_said(site, tmp_path):
    found = get(tmp_path / "c", (0, 7))
    assert found["case_00000"] is None
    assert "aggregated_MAJ_seg.nii.gz: no such file there" in found["case_00007"]
    assert not (tmp_path / "c" / "case_00007").exists()


def test_a_ct_that_is_not_there_is_said(site, tmp_path):
    del site.files[f"{HUB}/case_00001.nii.gz"]
    found = get(tmp_path / "c")
    assert found["case_00000"] is None
    assert "images/case_00001.nii.gz: cannot be fetched" in found["case_00001"]
    assert "\n" not in found["case_00001"]


def test_annotations_alone(site, tmp_path):
    get(tmp_path / "c", imaging=False)
    assert not any("resolve" in path for path, _ in site.asked)
    assert not (tmp_path / "c" / "case_00000" / "imaging.nii.gz").exists()
    assert set(get(tmp_path / "c").values()) == {None}
    assert (tmp_path / "c" / "case_00000" / "imaging.nii.gz").is_file()


def test_a_disk_that_is_too_small_is_said_before(site, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=8_000_100))
    with pytest.raises(DownloadError, match=r"2 cases take 0\.0 GB.*--cases"):
        get(tmp_path / "c")
    assert site.asked == []


def test_no_network_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="KiTS-Challenge-Imaging: cannot be fetched") as caught:
        get(tmp_path / "c")
    assert "\n" not in str(caught.value)


def test_which_cases():
    source = SOURCES["kits23"]
    assert parse_cases("0-2,15, 400", source) == [0, 1, 2, 15, 400]
    assert len(parse_cases(None, source)) == 489
    for text in ("300", "589", "a", "3-", "5-2", ""):
        with pytest.raises(DownloadError, match="--cases"):
            parse_cases(text, source)


def test_the_command_goes_on_and_says_so(site, tmp_path):
    arguments = ["data", "download", "kits21", "--cases", "0-1", "-o", str(tmp_path / "c")]
    whole = site.files.pop(f"{HUB}/case_00000.nii.gz")
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1
    assert done.stdout == f"1 case in {tmp_path / 'c'}, 1 failed\n"
    assert "case_00000: neheller/KiTS-Challenge-Imaging/images/case_00000.nii.gz" in done.stderr
    site.files[f"{HUB}/case_00000.nii.gz"] = whole
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert said == {"folder": str(tmp_path / "c"), "cases": 2, "failed": {}}
