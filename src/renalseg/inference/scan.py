"""A scan as nnU-Net sees it, preprocessed once for all networks that want the same input."""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from renalseg.types import AnyArray, LabelArray
from renalseg.volume import Volume


@dataclass
class Prepared:
    """Network input and the way back.

    Attributes:
        data: Normalised, resampled image, (1, x, y, z).
        previous: Labels of the previous stage on the same grid, or None.
        properties: nnU-Net's record of how to get back to the scan's grid.
    """

    data: AnyArray
    previous: AnyArray | None
    properties: dict[str, Any]


@dataclass
class Scan:
    """A canonical volume, and its preprocessed forms as they are asked for.

    nnU-Net's arrays are SimpleITK's: for I-P-L storage (column, row, slice).
    """

    volume: Volume
    _prepared: dict[str, Prepared] = field(default_factory=dict)

    def prepare(
        self,
        plans: Any,
        configuration: Any,
        dataset_json: dict[str, Any],
        previous: LabelArray | None,
    ) -> Prepared:
        """Bring the scan to what a network of these plans wants to see.

        Args:
            plans: nnU-Net's ``PlansManager``.
            configuration: nnU-Net's ``ConfigurationManager``.
            dataset_json: The model's description of its data set.
            previous: For a cascade's second stage the first stage's label map.
        """
        if previous is not None:
            return self._run(plans, configuration, dataset_json, previous)
        settings = configuration.configuration
        key = json.dumps(
            [
                {
                    name: settings[name]
                    for name in settings
                    if name not in ("patch_size", "batch_size")
                },
                plans.transpose_forward,
                plans.foreground_intensity_properties_per_channel,
            ],
            sort_keys=True,
            default=str,
        )
        if key not in self._prepared:
            self._prepared[key] = self._run(plans, configuration, dataset_json, None)
        return self._prepared[key]

    def _run(
        self,
        plans: Any,
        configuration: Any,
        dataset_json: dict[str, Any],
        previous: LabelArray | None,
    ) -> Prepared:
        preprocessor = configuration.preprocessor_class(verbose=False)
        image = self.volume.array.transpose(2, 1, 0)[None]
        labels = None if previous is None else previous.transpose(2, 1, 0)[None].astype(np.int8)
        slice_mm, row_mm, column_mm = self.volume.spacing_mm
        properties: dict[str, Any] = {"spacing": [column_mm, row_mm, slice_mm]}
        data, seg, properties = preprocessor.run_case_npy(
            image, labels, properties, plans, configuration, dataset_json
        )
        return Prepared(data, seg if previous is not None else None, properties)
