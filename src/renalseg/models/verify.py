"""See whether the networks of a model folder compute."""

from pathlib import Path

from renalseg.errors import ModelError
from renalseg.models.checkpoints import FINAL
from renalseg.models.loading import load_networks


def verify_model(folder: Path) -> int:
    """Load every fold of an nnU-Net v2 model folder and run it once on noise.

    Returns:
        How many folds there are.

    Raises:
        ModelError: If a file is missing or damaged, weights do not fit the plans, or a network puts
            out numbers that are not finite.
    """
    import torch

    folds = sorted(path.parent.name[5:] for path in folder.glob(f"fold_*/{FINAL}"))
    if not folds:
        raise ModelError(f"{folder}: no fold_N/{FINAL}; the model was not trained to its end")
    for fold in folds:  # one by one: a model of many folds need not fit into memory
        model = load_networks(folder, [fold])
        settings = model.settings
        size = [2] * len(settings.patch_size)  # two voxels at the coarsest level
        for strides in settings.architecture.arch_kwargs.strides:
            size = [n * step for n, step in zip(size, strides, strict=True)]
        with torch.inference_mode():
            scores = model.networks[0](torch.randn(1, model.inputs, *size))
        if not scores.isfinite().all():
            path = folder / f"fold_{fold}" / FINAL
            raise ModelError(f"{path}: puts out numbers that are not finite; copy it again")
    return len(folds)
