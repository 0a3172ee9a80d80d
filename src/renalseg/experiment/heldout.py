"""Held-out predictions: every case by the models of the fold that has not seen it."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import cache
from pathlib import Path

from renalseg.inference.ensemble import run_ensemble
from renalseg.inference.members import LoadedMember
from renalseg.inference.network import How
from renalseg.inference.scan import Scan
from renalseg.postprocess import postprocess
from renalseg.training.dataset import TrainingSet
from renalseg.volume import read_image

POSTPROCESSED = "-postprocessed"


def prediction_path(folder: Path, name: str, case_id: str) -> Path:
    """Where a set keeps its prediction of a case."""
    return folder / name / f"{case_id}.nii.gz"


def predict_held_out(
    training_set: TrainingSet,
    held_out: Sequence[tuple[int, str]],
    members: Mapping[str, Sequence[Path]],
    sets: Mapping[str, Sequence[str]],
    final: str,
    folder: Path,
    pool: Executor,
    *,
    how: How | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Predict what each fold held out, with single models and with ensembles, each model once.

    Args:
        training_set: The cohort.
        held_out: Folds and names of the cases that they have not seen.
        members: Model folders of each trained recipe, first stage first.
        sets: For each set of predictions its members' names.
        final: The set that is also kept post-processed (section 3.5).
        folder: Where the sets' folders go; predictions that stand there are kept.
        pool: Where cases are predicted.
        how: How networks are run; as nnU-Net v2 does on a CPU when absent.
        on_progress: Called with finished and all cases.
    """
    images = {case.case_id: case.image for case in training_set.cases}
    futures = []
    for fold, case_id in held_out:
        missing = {
            name: tuple(names)
            for name, names in sets.items()
            if not _stands(folder, name, case_id, final)
        }
        if missing:
            models = {
                name: tuple(members[name])
                for name in {n for names in missing.values() for n in names}
            }
            futures.append(
                pool.submit(
                    _predict_case,
                    images[case_id],
                    models,
                    missing,
                    final,
                    folder,
                    case_id,
                    fold,
                    how or How(),
                )
            )
    for done, future in enumerate(futures, 1):
        future.result()
        if on_progress:
            on_progress(done, len(futures))


def _predict_case(
    image: Path,
    models: Mapping[str, tuple[Path, ...]],
    sets: Mapping[str, tuple[str, ...]],
    final: str,
    folder: Path,
    case_id: str,
    fold: int,
    how: How,
) -> None:
    """Predict one case; runs in a worker."""
    members = {name: _member(name, stages, fold, how) for name, stages in models.items()}
    scan = Scan(read_image(image))
    for name, labels in run_ensemble(list(members.values()), scan, sets).labels.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        if name == final:
            cleaned = prediction_path(folder, name + POSTPROCESSED, case_id)
            cleaned.parent.mkdir(parents=True, exist_ok=True)
            scan.volume.like(postprocess(labels)).save(cleaned)
        scan.volume.like(labels).save(prediction_path(folder, name, case_id))


@cache
def _member(name: str, stages: tuple[Path, ...], fold: int, how: How) -> LoadedMember:
    """A model of one fold; a worker loads it once."""
    return LoadedMember.load(name, stages, [fold], how)


def _stands(folder: Path, name: str, case_id: str, final: str) -> bool:
    names = (name, name + POSTPROCESSED) if name == final else (name,)
    return all(prediction_path(folder, each, case_id).exists() for each in names)
