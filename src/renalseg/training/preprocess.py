"""Planning and preprocessing by nnU-Net v2; one preprocessed image serves every label variant."""

import io
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from renalseg.files import write_json
from renalseg.models.plans import (
    CASCADE,
    FULLRES,
    PLANS_NAME,
    Plan,
    intensity_properties,
    nnunet_plans,
)
from renalseg.training.dataset import (
    TrainingCase,
    TrainingSet,
    geometry,
    write_raw,
)
from renalseg.training.recipe import Annotations, variant_name
from renalseg.training.variants import label_path, locations_path
from renalseg.training.workspace import Workspace
from renalseg.types import AnyArray


def prepare(
    workspace: Workspace, training_set: TrainingSet, plan: Plan | Mapping[str, Any] | None
) -> dict[str, Any]:
    """Write raw data set, plans and splits; what is there already is kept.

    Args:
        workspace: Where everything is written.
        training_set: The cases.
        plan: A fixed plan, or another data set's plans to take over (for pretraining), or None
            for nnU-Net's own from the cohort's fingerprint.

    Returns:
        The plans.
    """
    target = workspace.preprocessed / training_set.name
    target.mkdir(parents=True, exist_ok=True)
    raw = write_raw(training_set, workspace.raw)
    with workspace.environment(), redirect_stdout(io.StringIO()):
        plans = make_plans(raw, target, plan)
    write_json(training_set.dataset_json(), target / "dataset.json")
    write_json(training_set.folds(), target / "splits_final.json")
    return plans


def make_plans(raw: Path, target: Path, plan: Plan | Mapping[str, Any] | None) -> dict[str, Any]:
    """Write ``dataset_fingerprint.json`` and ``nnUNetPlans.json``: nnU-Net's, or a fixed plan's."""
    plans: dict[str, Any]
    if plan is None:
        from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
            DatasetFingerprintExtractor,
        )
        from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import (
            ExperimentPlanner,
        )

        DatasetFingerprintExtractor(raw.name, num_processes=os.cpu_count() or 1).run()
        plans = dict(ExperimentPlanner(raw.name).plan_experiment())
        return plans
    if isinstance(plan, Mapping):
        plans = {**plan, "dataset_name": raw.name}
        shutil.copyfile(
            target.parent / plan["dataset_name"] / "dataset_fingerprint.json",
            target / "dataset_fingerprint.json",
        )
        write_json(plans, target / f"{PLANS_NAME}.json")
        return plans
    headers = [geometry(path) for path in sorted((raw / "imagesTr").glob("*_0000.nii.gz"))]
    spacings, shapes = [h[0] for h in headers], [h[1] for h in headers]
    fingerprint = {
        "spacings": spacings,
        "shapes_after_crop": shapes,
        "foreground_intensity_properties_per_channel": intensity_properties(plan.intensity),
        "median_relative_size_after_cropping": 1.0,
    }
    write_json(fingerprint, target / "dataset_fingerprint.json")
    plans = nnunet_plans(plan, raw.name, spacings, shapes)
    write_json(plans, target / f"{PLANS_NAME}.json")
    return plans


def preprocess_case(
    workspace: Workspace,
    training_set: TrainingSet,
    plans: dict[str, Any],
    case: TrainingCase,
    configurations: Sequence[str],
    variants: Sequence[Annotations],
) -> None:
    """Preprocess one case; what stands is kept.

    Args:
        workspace: Where the case goes.
        training_set: What the case belongs to.
        plans: nnU-Net's plans.
        case: The case.
        configurations: nnU-Net configurations; a cascade's second stage shares the full
            resolution's files.
        variants: The choices of annotations to preprocess labels for.
    """
    once = replace(case, labels=cache(case.labels))
    for name in sorted({FULLRES if name == CASCADE else name for name in configurations}):
        _preprocess(workspace, training_set, plans, once, name, variants)


def _preprocess(
    workspace: Workspace,
    training_set: TrainingSet,
    plans: dict[str, Any],
    case: TrainingCase,
    configuration: str,
    variants: Sequence[Annotations],
) -> None:
    """Preprocess a case for one configuration: the image once, the labels once per variant."""
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(plans)
    settings = manager.get_configuration(configuration)
    preprocessor = settings.preprocessor_class(verbose=False)
    images = workspace.images(training_set.name, configuration)
    images.mkdir(parents=True, exist_ok=True)
    raw = workspace.raw / training_set.name
    if not (images / f"{case.case_id}.pkl").exists():
        beside = images / f".{case.case_id}.part"
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        preprocessor.run_case_save(
            str(beside / case.case_id),
            [str(raw / "imagesTr" / f"{case.case_id}_0000.nii.gz")],
            str(raw / "labelsTr" / f"{case.case_id}.nii.gz"),
            manager,
            settings,
            training_set.dataset_json(),
        )
        for suffix in (".b2nd", "_seg.b2nd", ".pkl"):  # the last one says that all are there
            os.replace(beside / f"{case.case_id}{suffix}", images / f"{case.case_id}{suffix}")
        beside.rmdir()
    missing = [
        (choice, workspace.labels(training_set.name, configuration, variant_name(choice)))
        for choice in variants
    ]
    missing = [(c, f) for c, f in missing if not locations_path(f, case.case_id).exists()]
    if not missing:
        return
    stored = nnUNetDatasetBlosc2(str(images), [case.case_id])
    _, seg, _, properties = stored.load_case(case.case_id)
    outside = seg[:] == -1
    for choice, folder in missing:
        # run_case_npy on the labels alone: nnU-Net's order is transpose, crop, resample
        labels = case.labels(choice).array.transpose(2, 1, 0)[None].astype(np.int16)
        labels = labels.transpose(0, *(axis + 1 for axis in manager.transpose_forward))
        box = tuple(slice(*bounds) for bounds in properties["bbox_used_for_cropping"])
        spacing = [properties["spacing"][axis] for axis in manager.transpose_forward]
        labels = settings.resampling_fn_seg(
            labels[(slice(None), *box)], seg.shape[1:], spacing, settings.spacing
        )
        labels[outside & (labels == 0)] = -1
        locations = preprocessor._sample_foreground_locations(
            labels, range(1, len(training_set.classes) + 1)
        )
        _save_variant(folder, case.case_id, labels.astype(np.int8), locations)


def _save_variant(
    folder: Path, case_id: str, labels: AnyArray, locations: dict[int, AnyArray]
) -> None:
    """Write labels first and locations last: these say that both are there."""
    import blosc2

    folder.mkdir(parents=True, exist_ok=True)
    path = label_path(folder, case_id)
    beside = path.with_name(f"part-{path.name}")
    beside.unlink(missing_ok=True)
    blosc2.asarray(np.ascontiguousarray(labels), urlpath=str(beside))
    os.replace(beside, path)
    path = locations_path(folder, case_id)
    beside = path.with_name(f"part-{path.name}")
    arrays: dict[str, Any] = {
        str(label): np.asarray(where, dtype=np.int64).reshape(-1, 4)
        for label, where in locations.items()
    }
    np.savez_compressed(beside, **arrays)
    os.replace(beside, path)
