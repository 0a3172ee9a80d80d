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

from renalseg.files import write_json
from renalseg.models.medians import with_medians
from renalseg.models.plans import (
    PLANS_NAME,
    Plan,
    Shape,
    Triple,
    intensity_properties,
    nnunet_plans,
)
from renalseg.training.annotations import Annotations
from renalseg.training.dataset import (
    TrainingCase,
    TrainingSet,
    geometry,
    write_raw,
)
from renalseg.training.label_variants import write_variants
from renalseg.training.workspace import Workspace


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
        plans = with_medians({**plan, "dataset_name": raw.name}, *_geometries(raw))
        shutil.copyfile(
            target.parent / plan["dataset_name"] / "dataset_fingerprint.json",
            target / "dataset_fingerprint.json",
        )
        write_json(plans, target / f"{PLANS_NAME}.json")
        return plans
    spacings, shapes = _geometries(raw)
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


def _geometries(raw: Path) -> tuple[list[Triple], list[Shape]]:
    """Voxel size and shape of each case of a raw data set: slice, row, column."""
    headers = [geometry(path) for path in sorted((raw / "imagesTr").glob("*_0000.nii.gz"))]
    return [spacing_mm for spacing_mm, _ in headers], [shape for _, shape in headers]


def preprocess_case(
    workspace: Workspace,
    training_set: TrainingSet,
    plans: dict[str, Any],
    case: TrainingCase,
    variants: Mapping[str, Sequence[Annotations]],
) -> None:
    """Preprocess one case; what stands is kept.

    Args:
        workspace: Where the case goes.
        training_set: What the case belongs to.
        plans: nnU-Net's plans.
        case: The case.
        variants: For each nnU-Net configuration the label variants to preprocess; a mean stands
            after its maps.
    """
    once = replace(case, labels=cache(case.labels))
    for name, wanted in variants.items():
        _preprocess(workspace, training_set, plans, once, name, wanted)


def _preprocess(
    workspace: Workspace,
    training_set: TrainingSet,
    plans: dict[str, Any],
    case: TrainingCase,
    configuration: str,
    variants: Sequence[Annotations],
) -> None:
    """Preprocess a case for one configuration: the image once, the labels once per variant."""
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
    write_variants(workspace, training_set, case, configuration, variants, manager, preprocessor)
