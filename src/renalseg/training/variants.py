"""Several sets of labels over one set of preprocessed images.

Images lie where nnU-Net puts them; the labels of a variant, and the foreground locations that
follow from them, lie in a folder of their own.
"""

from pathlib import Path
from typing import Any

import blosc2
import numpy as np
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2


class VariantDataset(nnUNetDatasetBlosc2):
    """nnU-Net's data set with the labels of one variant in place of its own."""

    def __init__(
        self,
        folder: str,
        identifiers: list[str] | None = None,
        folder_with_segs_from_previous_stage: str | None = None,
        *,
        labels: Path,
    ) -> None:
        super().__init__(folder, identifiers, folder_with_segs_from_previous_stage)
        self.labels = labels

    def load_case(self, identifier: str) -> tuple[Any, Any, Any, dict[str, Any]]:
        """Read image, labels of the variant, previous stage's labels and properties of a case."""
        data, _, previous, properties = super().load_case(identifier)
        labels = blosc2.open(urlpath=str(label_path(self.labels, identifier)), mode="r")
        with np.load(locations_path(self.labels, identifier)) as stored:
            properties["class_locations"] = {int(key): stored[key] for key in stored.files}
        return data, labels, previous, properties


def label_path(folder: Path, case_id: str) -> Path:
    """Where a variant keeps a case's preprocessed labels."""
    return folder / f"{case_id}.b2nd"


def locations_path(folder: Path, case_id: str) -> Path:
    """Where a variant keeps a case's foreground locations."""
    return folder / f"{case_id}_locations.npz"
