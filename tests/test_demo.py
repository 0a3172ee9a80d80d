"""The whole experiment at a scale of seconds, through the code of the full scale."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from renalseg.cli.main import app
from renalseg.errors import ExperimentError
from renalseg.experiment.demo import run_demo
from renalseg.experiment.progress import Silent
from renalseg.experiment.table_format import TableFormat
from renalseg.models.checkpoints import load_checkpoint
from renalseg.models.ensemble import Ensemble
from renalseg.viewer.local import LocalStudy

TINY = Path(__file__).with_name("tiny.yaml")


class Recorder(Silent):
    def __init__(self):
        self.stages = []

    def done(self, title):
        self.stages.append(title)


def trained(recorder):
    """What was trained, not found."""
    return [title for title in recorder.stages if title.startswith(("train ", "pretrain"))]


@pytest.fixture(scope="module")
def demo(trained_experiment, tmp_path_factory):
    """The demo's folder after the commands have made its cohorts and trained its networks."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    shutil.copytree(trained_experiment.folder, folder, symlinks=True)
    recorder = Recorder()
    outcome = run_demo(folder, recorder, device="cpu", workers=1, config=str(TINY))
    assert not trained(recorder), "the demo is what the commands do"
    return folder, outcome


def test_demo_writes_page_tables_and_ensemble(demo):
    folder, outcome = demo
    page = outcome.report.read_text()
    for number in range(1, 7):
        assert f"Table {number}" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    manifest = Ensemble.open(outcome.ensemble).manifest
    assert (manifest.postprocess, manifest.fold_average) == (True, "softmax")
    assert outcome.headline == "ensemble-postprocessed"
    assert page.count("<svg") > page.count("Training curves of")  # the method stands there too
    assert {"image-loss", "cascade", "ensemble", "ensemble-postprocessed"} == set(outcome.results)
    assert not list(folder.rglob("*.part*"))
    assert not list(folder.rglob("part-*"))


def test_a_held_out_case_can_be_looked_at(demo):
    folder, outcome = demo
    scan, mask = outcome.to_look_at
    assert scan.is_relative_to(folder / "cohort")
    assert mask.parent.name == "ensemble-postprocessed"
    study = LocalStudy.open(scan, mask)
    assert study.record()["state"] == "done"


def test_tables_are_written_in_every_format(demo):
    folder, outcome = demo
    names = {path.relative_to(folder).as_posix() for path in outcome.tables.values()}
    assert names == {"tables.md", "tables.tex", "tables.html"}
    for form, path in outcome.tables.items():
        assert path.read_text() == outcome.text(form)


def test_report_prints_nothing_but_the_tables_in_the_format_asked_for(demo):
    folder, outcome = demo
    (folder / "tables.html").unlink()
    arguments = ["experiment", "report", TINY, "-c", folder / "cohort", "-o", folder]
    result = CliRunner().invoke(app, [*map(str, arguments), "--format", "latex"])
    assert result.exit_code == 0, result.output
    assert result.stdout.rstrip("\n") == outcome.text(TableFormat.LATEX).rstrip("\n")
    assert str(folder / "tables.html") in result.stderr
    assert (folder / "tables.html").is_file()


def test_every_held_out_case_is_predicted_on_its_own_grid(demo):
    folder, outcome = demo
    for name in outcome.results:
        masks = sorted((folder / "predictions" / name).glob("case_*.nii.gz"))
        assert len(masks) == 4
        for mask in masks:
            case = folder / "cohort" / mask.name.removesuffix(".nii.gz")
            image = nibabel.load(case / "imaging.nii.gz")
            assert nibabel.load(mask).shape == image.shape
            assert np.allclose(nibabel.load(mask).affine, image.affine)


def test_images_are_preprocessed_once_for_all_variants(demo):
    folder, _ = demo
    images = folder / "nnUNet_preprocessed" / "Dataset021_KiTS" / "nnUNetPlans_3d_fullres"
    assert len(list(images.glob("case_?????.b2nd"))) == 4
    variant = folder / "nnUNet_preprocessed" / "Dataset021_KiTS" / "variants" / "seed-1"
    assert len(list((variant / "3d_fullres").glob("*.npz"))) == 4


def test_second_run_trains_nothing(demo):
    folder, _ = demo
    before = {
        p: p.stat().st_mtime_ns
        for p in folder.rglob("checkpoint_final.pth")
        if "ensemble" not in str(p)
    }
    recorder = Recorder()
    run_demo(folder, recorder, device="cpu", workers=1, config=str(TINY))
    assert not trained(recorder)
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_all_trains_what_is_missing_only(demo):
    folder, _ = demo
    recorder = Recorder()
    outcome = run_demo(folder, recorder, everything=True, device="cpu", workers=1, config=str(TINY))
    assert trained(recorder) == [f"train baseline 3d_fullres fold {fold}" for fold in (0, 1)]
    assert "baseline" in outcome.results


def test_pretrained_network_starts_from_the_pretraining(demo):
    """One epoch of tiny steps does not move weights far from where they started."""
    folder, _ = demo
    results = folder / "nnUNet_results"
    stages = "RenalTrainer__nnUNetPlans__{}/fold_0/checkpoint_final.pth"
    start = load_checkpoint(results / "pretraining/Dataset029_Liver" / stages.format("3d_lowres"))
    first = load_checkpoint(results / "cascade/Dataset021_KiTS" / stages.format("3d_lowres"))
    other = load_checkpoint(results / "image-loss/Dataset021_KiTS" / stages.format("3d_fullres"))
    name = "encoder.stages.1.0.convs.0.conv.weight"

    def distance(a, b):
        return float((a["network_weights"][name] - b["network_weights"][name]).norm())

    assert distance(start, first) < 0.7 * distance(start, other)


def test_folder_of_another_experiment_is_refused(demo, tmp_path):
    folder, _ = demo
    other = tmp_path / "other.yaml"
    other.write_text(TINY.read_text().replace("epochs: 2", "epochs: 3"))
    with pytest.raises(ExperimentError, match="was begun with"):
        run_demo(folder, Silent(), device="cpu", workers=1, config=str(other))


@pytest.mark.soak
def test_killed_training_goes_on_from_its_last_epoch(demo, tmp_path):
    """SIGKILL after the first epoch of a long training; the next run takes up its checkpoint."""
    config = tmp_path / "long.yaml"
    config.write_text(TINY.read_text().replace("epochs: 2", "epochs: 15"))
    folder = tmp_path / "demo"
    script = (
        "from pathlib import Path; from renalseg.experiment.demo import run_demo;"
        "from renalseg.experiment.progress import Silent;"
        f"run_demo(Path({str(folder)!r}), Silent(), device='cpu', config={str(config)!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    fold = "image-loss/Dataset021_KiTS/RenalTrainer__nnUNetPlans__3d_fullres/fold_0"
    latest = folder / "nnUNet_results" / fold / "checkpoint_latest.pth"
    deadline = time.monotonic() + 300
    while not latest.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    begun = load_checkpoint(latest)["current_epoch"]
    assert 1 <= begun < 15
    first = json.loads((latest.parent / "curves.json").read_text())["train_losses"][:begun]
    run_demo(folder, Silent(), device="cpu", config=str(config))
    curves = json.loads((latest.parent / "curves.json").read_text())
    assert curves["train_losses"][:begun] == pytest.approx(first)
    assert len(curves["train_losses"]) == 15
