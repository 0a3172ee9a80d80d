"""One plain nnU-Net v2 model folder, loaded and run on a scan."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renalseg.errors import ModelError
from renalseg.inference.forward import (
    Backend,
    MeanForward,
    Precision,
    first_features,
    make_run,
    takes_openvino,
)
from renalseg.inference.grid import Box, NetworkGrid, Shape, canonical_axes
from renalseg.inference.rows import Intensity, label_rows
from renalseg.inference.scan import Scan
from renalseg.inference.side_by_side import fit_side_by_side, side_by_side
from renalseg.inference.sliding import Count, region_rows, score_rows
from renalseg.inference.tiles import Tiles, tiles_for
from renalseg.models.checkpoints import FINAL
from renalseg.models.loading import LoadedModel
from renalseg.models.manifest import FoldAverage
from renalseg.types import LabelArray

if TYPE_CHECKING:
    from torch import Tensor


#: Patches at a time by their axes: a single one leaves PyTorch's fast convolutions unused.
_TORCH_BATCH = {2: 8, 3: 2}


@dataclass(frozen=True)
class How:
    """How networks are run.

    Attributes:
        device: A torch device.
        backend: What computes them on a CPU.
        precision: ``half`` where results may differ in the third digit.
        step: Distance of two tiles as a share of the patch.
        fitted: Whether tiles are laid over each region rather than over the scan.
        mirror: Whether mirrored copies are averaged, along the axes that the training mirrored.
        like_nnunet: Whether logits are rounded where nnU-Net v2 rounds them, to half precision, so
            that ties fall alike; folds are then added up apart.
        average: What is averaged over tiles, mirrored copies and folds: ``logits`` as in nnU-Net
            v2, or ``softmax`` as in v1, which rounds nothing.
    """

    device: str = "cpu"
    backend: Backend = "auto"
    precision: Precision = "float32"
    step: float = 0.5
    fitted: bool = False
    mirror: bool = True
    like_nnunet: bool = True
    average: FoldAverage = "logits"

    @property
    def rounds(self) -> bool:
        """Whether logits are rounded to half precision."""
        return self.like_nnunet and self.average == "logits"


@dataclass(frozen=True, eq=False)
class Network:
    """The folds of one model folder, averaged.

    Attributes:
        model: What was loaded.
        axes: The canonical axis of each of the networks' axes.
        patch: Voxels of a tile, canonical axes.
        intensity: The normalisation.
        forward: The folds' mean.
        how: How they are run.
        folds: Which.
        longer: How many times as long as in training its voxels are.
    """

    model: LoadedModel
    axes: tuple[int, int, int]
    patch: Shape
    intensity: Intensity
    forward: MeanForward
    how: How
    folds: tuple[int, ...]
    longer: float = 1.0

    @classmethod
    def of(cls, model: LoadedModel, folds: Sequence[int], how: How) -> "Network":
        """Prepare a loaded model.

        Raises:
            ModelError: If it normalises otherwise than for CT.
        """
        if model.settings.normalization_schemes != ["CTNormalization"]:
            raise ModelError(
                f"{model.folder}: expected a model of one CT channel, normalised by "
                f"CTNormalization, got {', '.join(model.settings.normalization_schemes)}"
            )
        axes = canonical_axes(model.plans["transpose_forward"])
        size = tuple(int(n) for n in _settings(model)["patch_size"])
        features = first_features(model.networks[0])
        is_openvino = how.device == "cpu" and takes_openvino(how.backend, features, size)
        batch = 1 if is_openvino else _TORCH_BATCH[len(size)]
        is_one = is_openvino and fit_side_by_side(model.networks, features)
        runs = tuple(
            make_run(n, model.inputs, size, how.device, how.backend, how.precision, batch)
            for n in ([side_by_side(model.networks)] if is_one else model.networks)
        )
        whole = (1, *size) if len(size) == 2 else size
        first, second, third = (whole[axes.index(axis)] for axis in range(3))
        forward = MeanForward(
            runs=runs,
            axes=axes,
            is_planar=len(size) == 2,
            mirrored=tuple(model.mirror_axes) if how.mirror else (),
            batch=batch,
            folds=len(model.networks) if is_one else 1,
            apart=how.rounds,
            average=how.average,
        )
        return cls(
            model, axes, (first, second, third), _intensity(model), forward, how, tuple(folds)
        )

    @property
    def backend(self) -> str:
        """What runs it."""
        features, size = first_features(self.model.networks[0]), self.model.settings.patch_size
        is_openvino = takes_openvino(self.how.backend, features, size)
        return "openvino" if self.how.device == "cpu" and is_openvino else "torch"

    @property
    def files(self) -> list[Path]:
        """The files that it was loaded from."""
        folder = self.model.folder
        return [folder / "plans.json", *(folder / f"fold_{fold}" / FINAL for fold in self.folds)]

    @property
    def is_second_stage(self) -> bool:
        """Whether it needs the label map of a previous stage."""
        return self.model.is_second_stage

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        """The voxel size that it sees."""
        return tuple(float(mm) * self.longer for mm in _settings(self.model)["spacing"])

    def grid(self, scan: Scan) -> NetworkGrid:
        """The scan's grid as this network sees it."""
        settings = _settings(self.model) | {"spacing": list(self.spacing_mm)}
        return scan.grid(settings, self.axes)

    def tiles(self, scan: Scan, region: Box) -> Tiles:
        """The tiles that a region of the scan takes, counted from the crop's first voxel."""
        grid, how = self.grid(scan), self.how
        return tiles_for(grid, region, self.patch, how.step, fitted=how.fitted)

    def probability_rows(
        self,
        scan: Scan,
        region: Box,
        previous: LabelArray | None = None,
        count: Count | None = None,
        on_tile: Callable[[], None] = lambda: None,
    ) -> "Iterator[Tensor]":
        """Predict a region of a scan, row by row.

        Args:
            scan: The scan.
            region: A box within the scan's crop, counted from the crop's first voxel.
            previous: For a second stage the first stage's label map on the scan's grid.
            count: Told of every tile.
            on_tile: Called after every tile.

        Yields:
            Softmax scores on the scan's grid, (class, row, column), float32.
        """
        import torch

        device, grid = self.how.device, self.grid(scan)
        tiles = self.tiles(scan, region)
        box = tiles.box
        image = scan.rows(grid, box, self.intensity, device)
        rows: Callable[[int, int], Tensor] = image
        if previous is not None and self.is_second_stage:
            given = label_rows(previous, grid, box, self.model.classes, device)

            def rows(start: int, stop: int) -> "Tensor":
                return torch.cat([image(start, stop), given(start, stop)])

        averaged = score_rows(
            rows,
            self.intensity.floor,
            self.forward,
            tiles,
            count or Count(),
            on_tile,
            half=self.how.rounds,
            device=device,
        )
        needs = [grid.back[0].needs(row, row + 1) for row in range(*region[0])]
        from_box = [(low - box[0][0], high - box[0][0]) for low, high in needs]
        matrices, inside = _way_back(grid, box, region, device)
        by_spline = "torch" not in _settings(self.model)["resampling_fn_probabilities"]
        rounds = self.how.rounds and by_spline
        is_softmax = self.how.average == "softmax"

        def to_scan(number: int, block: "Tensor") -> "Tensor":
            row, (low, high) = region[0][0] + number, needs[number]
            weights = grid.back[0].part(slice(row, row + 1), slice(low, high))
            scores = torch.tensordot(
                torch.from_numpy(weights[0]).to(device), block[:, :, *inside], ([0], [1])
            )
            for axis, matrix in enumerate(matrices):
                if matrix is not None:
                    scores = matrix @ scores if axis == 0 else scores @ matrix.T
            if rounds:
                scores = scores.half().float()
            softmax: Tensor = scores if is_softmax else scores.softmax(0)
            return softmax

        yield from region_rows(averaged, from_box, to_scan)


def _way_back(
    grid: NetworkGrid, box: Box, region: Box, device: str
) -> "tuple[list[Tensor | None], list[slice]]":
    """Matrices of the last two axes from a box to a region, and what they take of the box."""
    import torch

    matrices: list[Tensor | None] = []
    inside = []
    for axis in (1, 2):
        low, high = grid.back[axis].needs(*region[axis])
        inside.append(slice(low - box[axis][0], high - box[axis][0]))
        part = grid.back[axis].part(slice(*region[axis]), slice(low, high))
        is_identity = grid.back[axis].is_identity
        matrices.append(None if is_identity else torch.from_numpy(part).to(device))
    return matrices, inside


def _settings(model: LoadedModel) -> dict[str, Any]:
    """The configuration as the plans file has it, with what it inherits."""
    settings: dict[str, Any] = model.manager.get_configuration(model.configuration).configuration
    return settings


def _intensity(model: LoadedModel) -> Intensity:
    properties = model.plans["foreground_intensity_properties_per_channel"]["0"]
    return Intensity(
        low_hu=float(properties["percentile_00_5"]),
        high_hu=float(properties["percentile_99_5"]),
        mean_hu=float(properties["mean"]),
        std_hu=max(float(properties["std"]), 1e-8),
    )
