"""What an experiment trains on: a KiTS cohort, and liver and lesions to pretrain on."""

import re
from functools import partial
from pathlib import Path

from renalseg.cohort import Case, Cohort, aggregate, per_slice_map
from renalseg.errors import CohortError
from renalseg.experiment.progress import Reporter, stage
from renalseg.training.dataset import KIDNEY_CLASSES, TrainingCase, TrainingSet
from renalseg.training.recipe import Annotations
from renalseg.training.workspace import Workspace
from renalseg.volume import Volume, read_labels

KITS_NUMBER = 21
LIVER_NUMBER = 29  # as nnU-Net's Task029_LITS


def kits_training_set(
    cohort: Cohort, splits: int, workspace: Workspace, reporter: Reporter
) -> TrainingSet:
    """Take the complete cases of a cohort; the others are named and left out.

    A case whose labels the workspace holds was found complete before and is not read again.

    Raises:
        CohortError: If fewer complete cases remain than there are splits.
    """
    labels = workspace.raw / TrainingSet(KITS_NUMBER, "KiTS", (), (), splits).name / "labelsTr"
    cases = []
    with stage(reporter, f"check {len(cohort.cases)} cases"):
        for done, case in enumerate(cohort.cases):
            reporter.update(done, len(cohort.cases))
            known = (labels / f"{case.case_id}.nii.gz").is_file()
            problems = [] if known else case.problems()
            if problems:
                reporter.problem(f"{problems[0]}; {case.case_id} is left out")
                continue
            cases.append(
                TrainingCase(case.case_id, case.image_path, partial(training_labels, case))
            )
    if len(cases) < splits:
        raise CohortError(
            f"{cohort.folder}: {splits} cross-validation folds need at least {splits} complete "
            f"cases, got {len(cases)}; see `renalseg data check`"
        )
    return TrainingSet(KITS_NUMBER, "KiTS", KIDNEY_CLASSES, tuple(cases), splits)


def training_labels(case: Case, annotations: Annotations) -> Volume:
    """The label map that a recipe's choice of annotations gives for a case (section 3.3)."""
    if annotations == "majority":
        return aggregate(case, "majority")
    return per_slice_map(case, int(annotations))


def liver_training_set(folder: Path) -> TrainingSet:
    """Read a folder in LiTS layout: ``volume-N.nii[.gz]`` and ``segmentation-N.nii[.gz]``.

    Raises:
        CohortError: If there is no such pair.
    """
    cases = []
    for image in sorted(folder.glob("**/volume-*.nii*")):
        number = re.match(r"volume-(\d+)\.nii(\.gz)?$", image.name)
        if not number:
            continue
        labels = image.with_name(image.name.replace("volume", "segmentation"))
        if labels.is_file():
            cases.append(
                TrainingCase(f"liver_{int(number[1]):05d}", image, partial(_liver_labels, labels))
            )
    if not cases:
        raise CohortError(
            f"{folder}: no volume-N.nii with its segmentation-N.nii; expected LiTS training data"
        )
    return TrainingSet(LIVER_NUMBER, "Liver", ("liver", "lesion"), tuple(cases), splits=1)


def _liver_labels(path: Path, _: Annotations) -> Volume:
    return read_labels(path, max_label=2)
