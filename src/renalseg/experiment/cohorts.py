"""What an experiment trains on: a KiTS cohort, and liver and lesions to pretrain on."""

import re
from functools import lru_cache, partial
from pathlib import Path

from renalseg.cohort import Case, Cohort, aggregate, case_map, per_slice_map, plausible_map
from renalseg.cohort.masks import CaseMasks
from renalseg.errors import CohortError
from renalseg.experiment.progress import Reporter, stage
from renalseg.training.annotations import Annotations
from renalseg.training.dataset import KIDNEY_CLASSES, TrainingCase, TrainingSet
from renalseg.training.workspace import Workspace
from renalseg.volume import Volume, read_labels

KITS_NUMBER, KITS = 21, "KiTS"
LIVER_NUMBER, LIVER = 29, "Liver"  # as nnU-Net's Task029_LITS
KITS_DATASET, LIVER_DATASET = (
    TrainingSet(number, title, (), (), splits=1).name
    for number, title in ((KITS_NUMBER, KITS), (LIVER_NUMBER, LIVER))
)


def kits_training_set(
    cohort: Cohort, splits: int, workspace: Workspace, reporter: Reporter
) -> TrainingSet:
    """Take the complete cases of a cohort; the others are named and left out.

    A case whose labels the workspace holds was found complete before and is not read again.

    Raises:
        CohortError: If fewer complete cases remain than there are splits.
    """
    labels = workspace.raw / KITS_DATASET / "labelsTr"
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
    return TrainingSet(KITS_NUMBER, KITS, KIDNEY_CLASSES, tuple(cases), splits)


def training_labels(case: Case, annotations: Annotations) -> Volume:
    """The label map that a recipe's choice of annotations gives for a case (section 3.3)."""
    if annotations == "majority":
        return aggregate(case, "majority")
    masks = _masks(case)
    if isinstance(annotations, int):
        return per_slice_map(case, annotations, masks)
    kind, number = annotations.split("-")
    one = {"case": case_map, "map": plausible_map}[kind]
    return one(case, int(number), masks)


@lru_cache(maxsize=1)
def _masks(case: Case) -> CaseMasks:
    """A case's annotations, decoded once for all of its variants."""
    return CaseMasks(case)


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
    return TrainingSet(LIVER_NUMBER, LIVER, ("liver", "lesion"), tuple(cases), splits=1)


def _liver_labels(path: Path, _: Annotations) -> Volume:
    return read_labels(path, max_label=2)
