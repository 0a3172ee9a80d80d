"""nnU-Net's trainer with the paper's additions (sections 2.4, 3.2-3.4)."""

import random
from collections.abc import Callable
from pathlib import Path
from time import time
from typing import Any, Protocol

import numpy as np
import torch
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch.nn.parallel import DistributedDataParallel

from renalseg.files import write_json
from renalseg.models.checkpoints import LATEST, load_checkpoint, save_checkpoint
from renalseg.models.device import cpu_layout
from renalseg.training.board import Board
from renalseg.training.curves import CURVES, LOGGED, SECONDS
from renalseg.training.neighbours import neighbourhood
from renalseg.training.potts import potts_levels_loss, potts_loss
from renalseg.training.recipe import Recipe, Regularization
from renalseg.training.soft_target import SoftTargetLoss, decode_mean


class DataSource(Protocol):
    """Where a training's cases come from.

    Attributes:
        needs_bending: Whether its patients are few, so that turned and scaled ones are of use.
    """

    needs_bending: bool

    def datasets(self, trainer: Any) -> tuple[Any, Any]:
        """nnU-Net's data sets to train on and to validate with."""

    def begin_epoch(self) -> None:
        """Forget what is not drawn anew: a training that goes on must be the one that was."""


class RenalTrainer(nnUNetTrainer):
    """Trains one fold of one stage of a :class:`Recipe`.

    Made by :func:`renalseg.training.run.train_fold`, which sets ``recipe`` and ``labels`` between
    construction and training: nnU-Net fixes the arguments of the constructor.
    """

    network: Any
    is_ddp: bool
    recipe: Recipe
    fingerprint: str
    source: DataSource
    on_progress: Callable[[int, int], None] | None = None

    def configure(self, recipe: Recipe, stage: str, source: DataSource) -> None:
        """Take the recipe's numbers in place of nnU-Net's.

        Args:
            recipe: What to train.
            stage: Which of its stages.
            source: Where its cases come from.
        """
        self.recipe = recipe.at(stage)
        self.fingerprint = recipe.fingerprint
        self.source = source
        schedule = recipe.schedule
        self.num_epochs = schedule.epochs
        self.num_iterations_per_epoch = schedule.iterations
        self.num_val_iterations_per_epoch = schedule.validation_iterations
        self.initial_lr = schedule.learning_rate
        self.weight_decay = schedule.weight_decay
        self.oversample_foreground_percent = schedule.foreground_oversampling

    @property
    def folder(self) -> Path:
        """Where this fold's checkpoints and curves stand."""
        return Path(self.output_folder)

    @property
    def module(self) -> Any:
        """The network itself, however it is compiled or wrapped."""
        network = self.network.module if self.is_ddp else self.network
        return getattr(network, "_orig_mod", network)

    def initialize(self) -> None:
        """Build network, optimizer and loss; on a CPU in the memory layout that is fastest."""
        parallel, self.is_ddp = self.is_ddp, False
        super().initialize()
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # every patch has the same size
        if self.device.type == "cpu":
            self.network = self.network.to(
                memory_format=cpu_layout(self.configuration_manager.patch_size)
            )
        if parallel:
            self._share_batch()

    def _share_batch(self) -> None:
        """Train with the other processes of the group; unlike nnU-Net's own also without GPUs."""
        self.is_ddp = True
        self._set_batch_size_and_oversample()
        self.loss = self._build_loss()
        on_gpu = self.device.type == "cuda"
        self.network = DistributedDataParallel(
            self.network, device_ids=[self.local_rank] if on_gpu else None
        )

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, Any]:
        """SGD with Nesterov momentum and polynomial decay per epoch (section 2.4)."""
        schedule = self.recipe.schedule
        optimizer = torch.optim.SGD(
            self.network.parameters(),
            self.initial_lr,
            weight_decay=self.weight_decay,
            momentum=schedule.momentum,
            nesterov=schedule.momentum > 0,
        )
        return optimizer, PolyLRScheduler(optimizer, self.initial_lr, self.num_epochs)

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple[Any, ...]:  # noqa: N802
        """Leave mirroring out, in training as in prediction, where the recipe says so."""
        rotation, dummy_2d, initial_patch, mirror_axes = (
            super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        )
        if not self.recipe.schedule.mirror:
            mirror_axes = self.inference_allowed_mirroring_axes = None
        return rotation, dummy_2d, initial_patch, mirror_axes

    def get_training_transforms(self, *args: Any, **kwargs: Any) -> Any:
        """nnU-Net's, but repeatable: its blur times two algorithms and takes the faster one.

        Where the source's patients vary in size and posture, they are not turned and scaled again.
        """
        transforms = nnUNetTrainer.get_training_transforms(*args, **kwargs)
        for one in transforms.transforms:
            inner = getattr(one, "transform", one)
            if isinstance(inner, GaussianBlurTransform):
                inner.benchmark = False
            if isinstance(inner, SpatialTransform) and not self.source.needs_bending:
                inner.p_rotation = inner.p_scaling = 0
        return transforms

    def get_tr_and_val_datasets(self) -> tuple[Any, Any]:
        """What the source gives for this fold."""
        return self.source.datasets(self)

    def _build_loss(self) -> Any:
        """nnU-Net's Dice and cross-entropy, that also take a soft target."""
        loss = super()._build_loss()
        if self.enable_deep_supervision:
            loss.loss = SoftTargetLoss(loss.loss)
            return loss
        return SoftTargetLoss(loss)

    def train_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """One iteration: Dice, cross-entropy, and the regularised loss if there is one (eq. 1)."""
        data = self._to_device(batch["data"])
        target = [level.to(self.device, non_blocking=True) for level in batch["target"]]
        if self.recipe.annotations == "mean":
            classes = self.label_manager.num_segmentation_heads
            target = [decode_mean(level, classes) for level in target]
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            output = self.network(data)
            loss = self.loss(output, target)
        term = self.recipe.regularization
        if term is not None and term.weight > 0:
            loss = loss + term.weight * self.regularized_loss(term, data[:, :1], output)
        self._step(loss)
        return {"loss": loss.detach().cpu().numpy()}

    def regularized_loss(
        self, term: Regularization, image: torch.Tensor, output: list[torch.Tensor]
    ) -> torch.Tensor:
        """The additional term of the recipe (section 3.4)."""
        # nnU-Net's arrays are (column, row, slice) before its own transposition
        axial = list(self.plans_manager.transpose_forward).index(2)
        spacing_mm = [float(mm) for mm in self.configuration_manager.spacing]
        if len(spacing_mm) == 2:
            axial, spacing_mm = 0, [1.0, *spacing_mm]
        pairs = neighbourhood(
            term.neighbours,
            axial=axial,
            dilation=term.dilation,
            spacing_mm=spacing_mm if term.by_distance else None,
        )
        if term.levels == "all":
            return potts_levels_loss(image, output, term.beta, pairs)
        return potts_loss(image, output[0], term.beta, pairs)

    def validation_step(self, batch: dict[str, Any]) -> dict[str, Any]:
        """nnU-Net's, with the batch in the fastest memory layout."""
        data = self._to_device(batch["data"])
        result: dict[str, Any] = super().validation_step({**batch, "data": data})
        return result

    def _to_device(self, data: torch.Tensor) -> torch.Tensor:
        data = data.to(self.device, non_blocking=True)
        if self.device.type == "cpu":
            return data.to(memory_format=cpu_layout(self.configuration_manager.patch_size))
        return data

    def _step(self, loss: torch.Tensor) -> None:
        if self.grad_scaler is None:
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 12)
            self.optimizer.step()
            return
        self.grad_scaler.scale(loss).backward()
        self.grad_scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 12)
        self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()

    def on_train_start(self) -> None:
        """Open TensorBoard's file beside nnU-Net's preparations."""
        super().on_train_start()
        if self.local_rank == 0:
            self.board = Board(self.folder, self.current_epoch)

    def on_train_end(self) -> None:
        """Close it again."""
        super().on_train_end()
        if self.local_rank == 0:
            self.board.close()

    def on_epoch_start(self) -> None:
        """Begin the epoch's random numbers anew: one that is resumed is the one that was lost."""
        super().on_epoch_start()
        self.source.begin_epoch()
        place = (self.local_rank,) if self.is_ddp else ()
        seed_everything(self.recipe.seed, self.fold, self.current_epoch, *place)

    def on_epoch_end(self) -> None:
        """Keep curves and a checkpoint of every epoch: what is interrupted loses at most one."""
        self.logger.log("epoch_end_timestamps", time(), self.current_epoch)
        if self.local_rank == 0:
            self._write_curves()
        if self.current_epoch + 1 < self.num_epochs:
            self.save_checkpoint(str(self.folder / LATEST))
        self.current_epoch += 1
        if self.on_progress:
            self.on_progress(self.current_epoch, self.num_epochs)

    def _write_curves(self) -> None:
        def logged(name: str) -> list[float]:
            return [float(value) for value in self.logger.get_value(name, None)]

        curves = {name: logged(name) for name in LOGGED}
        times = zip(logged("epoch_start_timestamps"), logged("epoch_end_timestamps"), strict=True)
        curves[SECONDS] = [end - start for start, end in times]
        write_json({"epochs": self.num_epochs, **curves}, self.folder / CURVES)
        self.board.write({name: values[-1] for name, values in curves.items()}, self.current_epoch)

    def save_checkpoint(self, filename: str) -> None:
        """Write a checkpoint of tensors and plain values that names nnU-Net's own trainer."""
        if self.local_rank > 0:
            return
        scaler = self.grad_scaler
        content = {
            "network_weights": self.module.state_dict(),
            "optimizer_state": self.optimizer.state_dict(),
            "grad_scaler_state": scaler.state_dict() if scaler is not None else None,
            "logging": self.logger.get_checkpoint(),
            "_best_ema": self._best_ema,
            "current_epoch": self.current_epoch + 1,
            "init_args": {"configuration": self.configuration_name, "fold": self.fold},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": self.inference_allowed_mirroring_axes,
            "recipe": self.fingerprint,
        }
        save_checkpoint(content, Path(filename))

    def load_checkpoint(self, filename_or_checkpoint: str) -> None:
        """Go on from a checkpoint that :meth:`save_checkpoint` wrote."""
        if not self.was_initialized:
            self.initialize()
        checkpoint = load_checkpoint(Path(filename_or_checkpoint), str(self.device))
        self.module.load_state_dict(checkpoint["network_weights"])
        self.optimizer.load_state_dict(checkpoint["optimizer_state"])
        if self.grad_scaler is not None and checkpoint["grad_scaler_state"] is not None:
            self.grad_scaler.load_state_dict(checkpoint["grad_scaler_state"])
        self.current_epoch = checkpoint["current_epoch"]
        self.logger.load_checkpoint(checkpoint["logging"])
        self._best_ema = checkpoint["_best_ema"]

    def print_to_log_file(self, *args: Any, **kwargs: Any) -> None:
        """Write to the fold's log file only: the command line shows its own progress."""
        super().print_to_log_file(*args, **{**kwargs, "also_print_to_console": False})

    def plot_network_architecture(self) -> None:
        """Draw nothing: the plans say what the network is."""

    def _save_debug_information(self) -> None:
        """Write nothing: nnU-Net's file holds the machine's name."""


def seed_everything(*numbers: int) -> None:
    """Make a training on one machine repeatable; numbers that differ give other draws."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
