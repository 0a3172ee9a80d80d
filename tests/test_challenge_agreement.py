"""What we write is what the challenge's own evaluation writes, digit for digit."""

import numpy as np
import pytest

import challenge
from kits_cases import make_case
from renalseg.cohort import Cohort, Layout, plausible_maps, write_plausible_maps
from renalseg.evaluation.disagreement import disagreement
from renalseg.evaluation.run import evaluate
from renalseg.workers import Serial


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A KiTS21 cohort, and predictions that are each an annotator's map with an error."""
    root = tmp_path_factory.mktemp("challenge")
    data, predictions = root / "kits21" / "data", root / "predictions"
    predictions.mkdir()
    for number in (3, 4, 17):
        make_case(data / f"case_{number:05d}", Layout.KITS21)
    for case in Cohort.open(data).cases:
        volume = plausible_maps(case)[1].read()
        volume.array[0, :3, :3] = 2
        volume.save(predictions / f"{case.case_id}.nii.gz")
    return data, predictions


def samples(data):
    return lambda name: sorted(data.glob(f"{name}/segmentation_samples/group_*/*.nii.gz"))


def test_kits21_scores_are_the_challenges_with_and_without_its_sampled_files(folders, tmp_path):
    data, predictions = folders
    cohort = Cohort.open(data)
    evaluate([predictions], cohort, Serial(), output=tmp_path / "drawn")
    for case in cohort.cases:
        write_plausible_maps(case)
    evaluate([predictions], cohort, Serial(), output=tmp_path / "stood")
    expected = challenge.to_csv(*challenge.evaluate(predictions, samples(data)))
    for name in ("drawn", "stood"):
        assert (tmp_path / name / "evaluation_samples.csv").read_text() == expected


def test_kits23_scores_are_the_challenges(tmp_path):
    data, predictions = tmp_path / "dataset", tmp_path / "predictions"
    for number in (5, 301):
        make_case(data / f"case_{number:05d}", annotators=3 if number < 300 else 1)
    predictions.mkdir()
    for case in Cohort.open(data).cases:
        other = (case.number + 1) % 2
        volume = plausible_maps(case)[-1].read()
        volume.array[2] = other
        volume.save(predictions / f"{case.case_id}.nii.gz")
    evaluate([predictions], Cohort.open(data), Serial(), protocol="kits23")
    expected = challenge.to_csv(
        *challenge.evaluate(predictions, lambda name: [data / name / "segmentation.nii.gz"])
    )
    assert (predictions / "evaluation.csv").read_text() == expected


def test_scores_of_a_real_case_are_the_challenges(real_data, tmp_path):
    case = Cohort.open(real_data / "kits23").case("case_00021")
    predictions, maps = tmp_path / "predictions", tmp_path / case.case_id / "segmentation_samples"
    predictions.mkdir()
    plausible_maps(case)[0].read().save(predictions / f"{case.case_id}.nii.gz")
    write_plausible_maps(case, maps)
    evaluate([predictions], Cohort.open(real_data / "kits23").only([21]), Serial())
    expected = challenge.to_csv(*challenge.evaluate(predictions, samples(tmp_path)))
    assert (predictions / "evaluation_samples.csv").read_text() == expected


def test_disagreement_is_the_challenges(folders):
    data, _ = folders
    case = Cohort.open(data).case(4)
    write_plausible_maps(case)
    found = disagreement(case)
    tolerances = challenge.tolerances_of_case(case.folder)
    np.testing.assert_allclose(list(found.tolerance_mm.values()), tolerances, atol=1e-9)
    scores = []
    for group in sorted(case.samples_folder.iterdir()):
        a, b, c = sorted(group.iterdir())
        scores += [challenge.score_files(*pair) for pair in ((b, a), (c, a), (c, b))]
    mean = np.mean(scores, axis=0)
    ours = [(s.dice, s.surface_dice) for s in vars(found.score).values()]
    np.testing.assert_allclose(ours, mean, atol=1e-9)
