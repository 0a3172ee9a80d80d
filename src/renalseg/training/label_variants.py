"""A case's labels in every variant, on the grid of its one preprocessed image."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import blosc2
import numpy as np

from renalseg.training.annotations import MAPS, Annotations, variant_name
from renalseg.training.dataset import TrainingCase, TrainingSet
from renalseg.training.soft_target import encode_mean
from renalseg.training.variants import label_path, locations_path
from renalseg.training.workspace import Workspace
from renalseg.types import AnyArray, LabelArray
from renalseg.volume.boxes import digest


def write_variants(
    workspace: Workspace,
    training_set: TrainingSet,
    case: TrainingCase,
    configuration: str,
    variants: Sequence[Annotations],
    plans: Any,
    preprocessor: Any,
) -> None:
    """Preprocess a case's labels in the variants that are missing.

    Args:
        workspace: Where they go; the case's image is preprocessed there.
        training_set: What the case belongs to.
        case: The case.
        configuration: nnU-Net's configuration.
        variants: What is wanted; a mean stands after its maps.
        plans: nnU-Net's ``PlansManager``.
        preprocessor: nnU-Net's preprocessor of the configuration.
    """
    folders = {
        choice: workspace.labels(training_set.name, configuration, variant_name(choice))
        for choice in variants
    }
    missing = [c for c in variants if not locations_path(folders[c], case.case_id).exists()]
    if not missing:
        return
    grid = _Grid.of(workspace, training_set, case.case_id, configuration, plans)
    classes = range(1, len(training_set.classes) + 1)
    known: dict[bytes, Path] = {}
    for choice in missing:
        folder = folders[choice]
        folder.mkdir(parents=True, exist_ok=True)
        if choice == "mean":
            maps = [_read(folders[f"map-{number}"], case.case_id) for number in range(MAPS)]
            _save_labels(folder, case.case_id, np.where(grid.outside, -1, encode_mean(maps)))
            # where the mean's foreground lies, the majority's lies
            _link(locations_path(folders["majority"], case.case_id), folder)
            continue
        labels = case.labels(choice).array
        same = known.setdefault(digest(labels), folder)
        if same is folder:
            found = grid.resample(labels)
            locations = preprocessor._sample_foreground_locations(found, classes)
            _save_labels(folder, case.case_id, found.astype(np.int8))
            _save_locations(folder, case.case_id, locations)
        else:
            _link(label_path(same, case.case_id), folder)
            _link(locations_path(same, case.case_id), folder)


class _Grid:
    """Where a preprocessed image lies, and the way of its labels there."""

    def __init__(
        self, plans: Any, configuration: str, outside: AnyArray, properties: dict[str, Any]
    ) -> None:
        self.outside = outside
        self._properties = properties
        self._order = [int(axis) for axis in plans.transpose_forward]
        self._settings = plans.get_configuration(configuration)

    @classmethod
    def of(
        cls,
        workspace: Workspace,
        training_set: TrainingSet,
        case_id: str,
        configuration: str,
        plans: Any,
    ) -> "_Grid":
        from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

        images = workspace.images(training_set.name, configuration)
        _, seg, _, properties = nnUNetDatasetBlosc2(str(images), [case_id]).load_case(case_id)
        return cls(plans, configuration, seg[:] == -1, properties)

    def resample(self, labels: LabelArray) -> AnyArray:
        """nnU-Net's ``run_case_npy`` on labels alone: transpose, crop, resample."""
        turned = labels.transpose(2, 1, 0)[None].astype(np.int16)
        turned = turned.transpose(0, *(axis + 1 for axis in self._order))
        box = tuple(slice(*bounds) for bounds in self._properties["bbox_used_for_cropping"])
        spacing = [self._properties["spacing"][axis] for axis in self._order]
        wanted = list(self._settings.spacing)
        wanted = spacing[: 3 - len(wanted)] + wanted  # a 2D network leaves the slices as they are
        found: AnyArray = self._settings.resampling_fn_seg(
            turned[(slice(None), *box)], self.outside.shape[1:], spacing, wanted
        )
        found[self.outside & (found == 0)] = -1
        return found


def _read(folder: Path, case_id: str) -> AnyArray:
    labels: AnyArray = blosc2.open(urlpath=str(label_path(folder, case_id)), mode="r")[:]
    return labels


def _save_labels(folder: Path, case_id: str, labels: AnyArray) -> None:
    """Write labels; they come before their locations, which say that both are there."""
    path = label_path(folder, case_id)
    beside = path.with_name(f"part-{path.name}")
    beside.unlink(missing_ok=True)
    blosc2.asarray(np.ascontiguousarray(labels), urlpath=str(beside))
    os.replace(beside, path)


def _save_locations(folder: Path, case_id: str, locations: dict[int, AnyArray]) -> None:
    path = locations_path(folder, case_id)
    beside = path.with_name(f"part-{path.name}")
    arrays: dict[str, Any] = {
        str(label): np.asarray(where, dtype=np.int64).reshape(-1, 4)
        for label, where in locations.items()
    }
    np.savez_compressed(beside, **arrays)
    os.replace(beside, path)


def _link(file: Path, folder: Path) -> None:
    """Give a file a second place, which costs no space where the file system has links."""
    import shutil

    target = folder / file.name
    beside = folder / f"part-{file.name}"
    beside.unlink(missing_ok=True)
    try:
        os.link(file, beside)
    except OSError:
        shutil.copyfile(file, beside)
    os.replace(beside, target)
