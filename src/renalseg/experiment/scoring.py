"""A cohort's references and a folder of predictions, joined case by case."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from renalseg.cohort import Case, Cohort, aggregate, references
from renalseg.errors import EvaluationError, RenalsegError
from renalseg.experiment.heldout import prediction_path
from renalseg.files import write_json
from renalseg.labels import HECS
from renalseg.metrics import CaseScore, HecScore, score_case
from renalseg.metrics.scores_file import MAJORITY_FILE, SAMPLES_FILE
from renalseg.types import LabelArray
from renalseg.volume import Volume, read_labels

Protocol = Literal["kits21", "kits23"]
#: kits21: the mean over all files of plausible maps; kits23: against the majority vote.
FILES: dict[Protocol, str] = {"kits21": SAMPLES_FILE, "kits23": MAJORITY_FILE}


@dataclass(frozen=True)
class Scored:
    """What became of one prediction: a score, or the line that says why there is none."""

    case_id: str
    score: CaseScore | None = None
    problem: str | None = None


def score_folder(predictions: Path, cohort: Cohort, protocol: Protocol) -> Iterator[Scored]:
    """Score every ``case_XXXXX.nii.gz`` of a folder; a bad one does not stop the others.

    Raises:
        EvaluationError: If there is no prediction.
    """
    cases = {case.case_id: case for case in cohort.cases}
    files = prediction_files(predictions)
    for path in files:
        name = path.name.removesuffix(".nii.gz")
        if name not in cases:
            yield Scored(
                name, problem=f"{path}: no case {name} in {cohort.folder}; rename or remove it"
            )
            continue
        try:
            yield Scored(name, score_prediction(path, cases[name], protocol))
        except RenalsegError as error:
            yield Scored(name, problem=str(error))


def prediction_files(folder: Path) -> list[Path]:
    """The predictions in a folder.

    Raises:
        EvaluationError: If there is none.
    """
    files = sorted(folder.glob("case_*.nii.gz"))
    if not files:
        raise EvaluationError(f"{folder}: no predictions; expected files named case_XXXXX.nii.gz")
    return files


def score_prediction(path: Path, case: Case, protocol: Protocol) -> CaseScore:
    """Score one prediction file.

    Raises:
        EvaluationError: If it does not lie on the reference's grid.
        RenalsegError: If a file cannot be read.
    """
    prediction = read_labels(path)
    reference = aggregate(case, "majority")
    _same_place(path, prediction, reference)
    if protocol == "kits23":
        return score_case(prediction.array, [reference.array], spacing_mm=prediction.spacing_mm)
    return score_case(prediction.array, references(case), spacing_mm=prediction.spacing_mm)


@dataclass(frozen=True)
class _InMemory:
    """A reference that several models are scored against."""

    array: LabelArray
    count: int


def score_sets(
    folder: Path, names: Sequence[str], cases: Sequence[Case], pool: Executor
) -> Iterator[tuple[str, dict[str, CaseScore]]]:
    """Score several models' predictions of each case; known scores are kept.

    Args:
        folder: Holds a folder of predictions per model.
        names: The models.
        cases: The cases.
        pool: Where they are scored.

    Yields:
        A case's name and its scores by model; a model without a prediction is left out.
    """
    yield from pool.map(_score_case, [(folder, tuple(names), case) for case in cases])


def _score_case(task: tuple[Path, tuple[str, ...], Case]) -> tuple[str, dict[str, CaseScore]]:
    """Score one case; its references are read once for all models."""
    folder, names, case = task
    wanted: list[_InMemory] = []
    scores = {}
    for name in names:
        path = prediction_path(folder, name, case.case_id)
        kept = folder / name / "scores" / f"{case.case_id}.json"
        if kept.is_file():
            content = json.loads(kept.read_text())
            scores[name] = CaseScore(*(HecScore(**content[hec.name]) for hec in HECS))
        elif path.is_file():
            wanted = wanted or [_InMemory(ref.array, ref.count) for ref in references(case)]
            prediction = read_labels(path)
            scores[name] = score_case(prediction.array, wanted, spacing_mm=prediction.spacing_mm)
            kept.parent.mkdir(exist_ok=True)
            write_json(asdict(scores[name]), kept)
    return case.case_id, scores


def _same_place(path: Path, prediction: Volume, reference: Volume) -> None:
    if prediction.shape != reference.shape:
        raise EvaluationError(
            f"{path}: shape {prediction.shape} (I-P-L), its reference has {reference.shape}; "
            "predict on the grid of imaging.nii.gz"
        )
    if not prediction.same_grid(reference):
        raise EvaluationError(
            f"{path}: lies elsewhere than its reference (spacing {_mm(prediction)} against "
            f"{_mm(reference)} mm, or another origin); predict on the grid of imaging.nii.gz"
        )


def _mm(volume: Volume) -> str:
    return " x ".join(f"{size:.3f}" for size in volume.spacing_mm)
