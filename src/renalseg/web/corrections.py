"""Corrected studies as a cohort in KiTS21's layout, the corrector as its annotator.

A case's number stays the same when a study is exported again, and a newer correction takes the
place of an older one. Nothing of the study's name is written: only who corrected it.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from renalseg.clinical.instances import LEAST_LESION_ML, find_kidneys
from renalseg.errors import CohortError, VolumeError
from renalseg.faults import Problem, problem_of
from renalseg.files import write_json
from renalseg.labels import Label
from renalseg.types import MaskArray
from renalseg.volume import Volume, read_labels
from renalseg.web.database import DATABASE, Database
from renalseg.web.folder import DataFolder, StudyFolder
from renalseg.web.job import provenance_path
from renalseg.web.store import Store
from renalseg.web.study import State, Study

#: What a cohort's folder was made of.
RECORD = "corrections.json"


@dataclass(frozen=True)
class Exported:
    """What became of a corrected study.

    Attributes:
        case_id: Its case; empty where it failed and has none.
        is_new: Whether it was written now.
        problem: Why it could not be, or None.
    """

    case_id: str
    is_new: bool = False
    problem: Problem | None = None


def corrected_studies(data: Path) -> list[Study]:
    """Everybody's studies that somebody has corrected, the oldest first.

    Args:
        data: A server's data folder; the server may be running.

    Raises:
        CohortError: It is none.
    """
    if not (data / DATABASE).is_file():
        raise CohortError(f"{data}: no {DATABASE}; name the data folder of a renalseg serve")
    database = Database(data / DATABASE)
    try:
        studies = Store(database).all_studies()
    finally:
        database.close()
    return [s for s in studies if s.state is State.DONE and s.versions[-1].number > 1]


def export_corrections(data: Path, target: Path) -> Iterator[Exported]:
    """Write the newest correction of every study; what stands is kept.

    Args:
        data: A server's data folder.
        target: The cohort's folder; made where absent.

    Yields:
        What became of each study.

    Raises:
        CohortError: ``data`` is no data folder, or ``target`` holds another cohort.
    """
    studies = corrected_studies(data)
    cases = _claim(target)
    for study in studies:
        known = {about["study"]: case_id for case_id, about in cases.items()}
        case_id = known.get(study.id) or _next(cases)
        folder = DataFolder(data).of(study.id)
        about = _about(study, folder)
        if cases.get(case_id) == about and (target / case_id).is_dir():
            yield Exported(case_id)
            continue
        try:
            _write_case(folder, study.versions[-1].number, target / case_id)
        except Exception as error:  # whatever it is, the other studies go on
            yield Exported("", problem=problem_of(error, f"study {study.id}"))
            continue
        cases[case_id] = about
        write_json({"cases": cases}, target / RECORD)
        yield Exported(case_id, is_new=True)


def _claim(target: Path) -> dict[str, dict[str, object]]:
    """The cases that stand in a folder of corrections, by name."""
    record = target / RECORD
    if record.is_file():
        try:
            cases: dict[str, dict[str, object]] = json.loads(record.read_text())["cases"]
        except (ValueError, KeyError, TypeError):
            raise CohortError(
                f"{record}: not a record of corrections; name another folder"
            ) from None
        return cases
    if target.is_dir() and any(target.glob("case_*")):
        raise CohortError(f"{target}: holds a cohort that is no export; name another folder")
    target.mkdir(parents=True, exist_ok=True)
    return {}


def _next(cases: dict[str, dict[str, object]]) -> str:
    number = 1 + max((int(name.removeprefix("case_")) for name in cases), default=-1)
    return f"case_{number:05d}"


def _about(study: Study, folder: StudyFolder) -> dict[str, object]:
    """Where a case comes from; its annotation 1 is the annotator's."""
    version = study.versions[-1]
    made = provenance_path(folder)
    model = json.loads(made.read_text())["model"]["name"] if made.is_file() else ""
    return {
        "study": study.id,
        "version": version.number,
        "annotator": version.by,
        "at": datetime.fromtimestamp(version.at, UTC).isoformat(timespec="seconds"),
        "from_version": version.made_from,
        "model": model,
    }


def _write_case(folder: StudyFolder, number: int, case: Path) -> None:
    """Write a case beside its place, then put it there."""
    labels = read_labels(folder.mask(number))
    beside = case.with_name(f".{case.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        shutil.copyfile(folder.image, beside / "imaging.nii.gz")
        for name, mask in instances(labels):
            labels.like(mask).save(beside / "segmentations" / f"{name}_annotation-1.nii.gz")
        shutil.copyfile(folder.mask(number), beside / "aggregated_MAJ_seg.nii.gz")
        shutil.rmtree(case, ignore_errors=True)
        beside.rename(case)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def instances(labels: Volume) -> Iterator[tuple[str, MaskArray]]:
    """Kidneys, tumors and cysts of a label map, each a mask; merged they are the map again.

    Args:
        labels: The label map.

    Yields:
        ``kidney_instance-1`` and so on, and the mask on the whole grid. Specks of a class, too
        small to be lesions, are one instance, its last.

    Raises:
        VolumeError: There is no kidney.
    """
    kidneys = [kidney for kidney in find_kidneys(labels) if kidney.mask.any()]
    if not kidneys:
        raise VolumeError("no kidney in it; the case would be refused")
    for number, kidney in enumerate(kidneys, 1):
        mask = np.zeros(labels.shape, np.uint8)
        mask[kidney.box] = kidney.mask
        yield f"{Label.KIDNEY.title}_instance-{number}", mask
    for label in (Label.TUMOR, Label.CYST):
        for number, mask in enumerate(_lesions(labels, label), 1):
            yield f"{label.title}_instance-{number}", mask


def _lesions(labels: Volume, label: Label) -> Iterator[MaskArray]:
    import cc3d

    numbered = cc3d.connected_components(labels.array == label, connectivity=26)
    sizes = np.bincount(numbered.ravel())[1:]
    voxel_ml = float(np.prod(labels.spacing_mm)) / 1000
    is_speck = np.concatenate([[False], sizes * voxel_ml < LEAST_LESION_ML])
    for number in 1 + np.argsort(-sizes, kind="stable"):
        if not is_speck[number]:
            yield (numbered == number).astype(np.uint8)
    if is_speck.any():
        yield is_speck[numbered].astype(np.uint8)
