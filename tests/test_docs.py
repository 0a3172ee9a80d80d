"""Every shell and Python block of README and docs runs as it is written, from the installed wheel.

``docs_pages`` says how pages are read and what marks them.
"""

import shutil
from pathlib import Path

import nibabel
import pytest

import orthanc
from docs_pages import NEEDS, PAGES, ROOT, links, read_blocks, run_page
from once import RealStudy, TrainedExperiment

#: Orthanc's defaults, which docs/pacs.md names.
ORTHANC_PORTS = (4242, 8042)
IDS = [page.stem for page in PAGES]
#: What cannot run without a network, an hour or a GPU; the end of a test run prints it.
MARKED = {
    "README.md": ["network", "time", "network", "gpu", "network", "checkout"],
    "docs/inference.md": ["cluster"],
    "docs/models.md": ["network"],
    "docs/pacs.md": ["archive"],
    "docs/study.md": ["time"],
    "docs/training.md": ["network", "gpu", "time"],
}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_page_runs_as_written(
    page, tmp_path, installed_command, trained_experiment, bundled_prediction, real_data, ray_lock
):
    _give_files(tmp_path, page, trained_experiment, bundled_prediction, real_data)
    needs = {block.needs for block in read_blocks(page)}
    if "cluster" in needs:
        with ray_lock:
            run_page(page, tmp_path, installed_command)
    elif "archive" in needs:
        (tmp_path / ".archive").mkdir()
        with orthanc.running(tmp_path / ".archive", {}, ORTHANC_PORTS):
            run_page(page, tmp_path, installed_command)
    else:
        run_page(page, tmp_path, installed_command)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_to_files_of_the_project(page):
    missing = [str(path) for path in links(page) if not path.exists()]
    assert not missing


def test_no_block_is_marked_without_need():
    marked = {
        str(page.relative_to(ROOT)): [block.needs for block in read_blocks(page) if block.needs]
        for page in PAGES
    }
    assert {page: needs for page, needs in marked.items() if needs} == MARKED


def test_a_block_that_fails_fails_its_page(tmp_path, installed_command):
    page = tmp_path / "page.md"
    page.write_text("```sh\nrenalseg measure nothing.nii.gz\n```\n")
    (tmp_path / "scratch").mkdir()
    with pytest.raises(AssertionError, match=r"(?s)exit 1.*no such file"):
        run_page(page, tmp_path / "scratch", installed_command)


@pytest.mark.parametrize(("printed", "quoted"), [("a 5", "b 5"), ("a 50", "a 60"), ("a 5", "a")])
def test_another_output_than_the_quoted_one_fails_its_page(
    tmp_path, installed_command, printed, quoted
):
    page = tmp_path / "page.md"
    page.write_text(f"```sh\necho {printed}\n```\n\n```text\n{quoted}\n```\n")
    (tmp_path / "scratch").mkdir()
    with pytest.raises(AssertionError, match="the page quotes"):
        run_page(page, tmp_path / "scratch", installed_command)


def test_every_program_of_the_docs_is_seen():
    fences = sum(
        page.read_text().count(f"```{kind}\n") for page in PAGES for kind in ("sh", "python")
    )
    blocks = [block for page in PAGES for block in read_blocks(page)]
    programs = [block for block in blocks if block.language in ("sh", "python")]
    assert len(programs) == fences
    assert not [block.place for block in programs if block.part and block.language == "sh"]


def _give_files(
    folder: Path, page: Path, trained: TrainedExperiment, study: RealStudy, real_data: Path
) -> None:
    """What a reader of a page has: scans, studies, a cohort, and what other pages have made."""
    (folder / "scans").mkdir()
    ct = nibabel.load(study.scan)
    for name, side in (("right", slice(None, 61)), ("left", slice(61, None))):
        nibabel.save(ct.slicer[:40, :, side], folder / "scans" / f"{name}.nii.gz")
    series = real_data / "ct" / "dicom_series"
    if page.stem == "pacs":
        series = study.dicom  # the other has no identifiers, without which no archive takes it
    for name in ("study", "studies/first", "studies/second"):
        shutil.copytree(series, folder / name)
    if not NEEDS["time"]() or page.stem != "README":  # it makes its own
        shutil.copytree(trained.folder, folder / "renalseg-demo", symlinks=True)
    if page.stem == "README":
        shutil.copy(real_data / "ct" / "abdomen_3mm.nii.gz", folder / "scan.nii.gz")
        return
    shutil.copy(study.scan, folder)
    for name in ("scan_mask", "first", "second"):
        shutil.copy(study.mask, folder / f"{name}.nii.gz")
    shutil.copy(study.mask.with_name("study.json"), folder / "scan_mask.json")
    shutil.make_archive(str(folder / "study"), "zip", series)
    shutil.make_archive(str(folder / "my-model"), "zip", trained.ensemble)
    shutil.copytree(trained.cohort, folder / "kits21" / "data")
    case = folder / "kits21" / "data" / "case_00000"
    shutil.copytree(case, case.with_name("case_00004"))  # five folds need five cases
    for name, ensemble in (("ours", "ensemble-postprocessed"), ("theirs", "ensemble")):
        shutil.copytree(trained.folder / "predictions" / ensemble, folder / name)
    shutil.copytree(folder / "ours", folder / "predictions")
    (folder / "kits23").mkdir()
    for case in sorted((real_data / "kits23").glob("case_*"))[:8]:
        (folder / "kits23" / case.name).symlink_to(case)
