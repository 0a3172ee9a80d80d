"""Several sets of labels over one set of preprocessed images.

Images lie where nnU-Net puts them; the labels of a variant, and the foreground locations that
follow from them, lie in a folder of their own.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

from renalseg.training.annotations import Annotations, training_variants, validation_variant


class VariantDataset(nnUNetDatasetBlosc2):
    """nnU-Net's data set with labels of its own: at every load those of one of the variants."""

    def __init__(
        self,
        folder: str,
        identifiers: list[str] | None = None,
        folder_with_segs_from_previous_stage: str | None = None,
        *,
        labels: Sequence[Path],
    ) -> None:
        """Take nnU-Net's arguments, and the folders of the variants."""
        super().__init__(folder, identifiers, folder_with_segs_from_previous_stage)
        self.labels = tuple(labels)

    def load_case(self, identifier: str) -> tuple[Any, Any, Any, dict[str, Any]]:
        """Read image, labels of a variant, previous stage's labels and properties of a case."""
        data, _, previous, properties = super().load_case(identifier)
        folder = self.labels[np.random.randint(len(self.labels))]
        labels = blosc2.open(urlpath=str(label_path(folder, identifier)), mode="r")
        with np.load(locations_path(folder, identifier)) as stored:
            properties["class_locations"] = {int(key): stored[key] for key in stored.files}
        return data, labels, previous, properties


def label_path(folder: Path, case_id: str) -> Path:
    """Where a variant keeps a case's preprocessed labels."""
    return folder / f"{case_id}.b2nd"


def locations_path(folder: Path, case_id: str) -> Path:
    """Where a variant keeps a case's foreground locations."""
    return folder / f"{case_id}_locations.npz"


class VariantSource:
    """The cases of a fold with the label variants of a recipe's choice."""

    needs_bending = True

    def __init__(self, choice: Annotations, labels: Callable[[Annotations], Path]) -> None:
        """Take a choice of annotations, and what gives the preprocessed folder of a variant."""
        self.training_labels = tuple(labels(variant) for variant in training_variants(choice))
        self.validation_labels = (labels(validation_variant(choice)),)

    def datasets(self, trainer: Any) -> tuple[VariantDataset, VariantDataset]:
        """The fold's cases with the recipe's labels."""
        labels = (self.training_labels, self.validation_labels)
        training, validation = (
            VariantDataset(
                trainer.preprocessed_dataset_folder,
                list(keys),
                trainer.folder_with_segs_from_previous_stage,
                labels=folders,
            )
            for keys, folders in zip(trainer.do_split(), labels, strict=True)
        )
        return training, validation

    def begin_epoch(self) -> None:
        """Cases are read anew each time."""
