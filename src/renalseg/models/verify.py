"""See whether the networks of a model folder compute."""

import json
from pathlib import Path

from renalseg.errors import ModelError
from renalseg.models.checkpoints import FINAL, load_checkpoint
from renalseg.models.networks import build_network


def verify_model(folder: Path) -> int:
    """Load every fold of an nnU-Net v2 model folder and run it once on noise.

    Returns:
        How many folds there are.

    Raises:
        ModelError: If a file is missing or damaged, weights do not fit the plans, or a network puts
            out numbers that are not finite.
    """
    import torch

    try:
        plans, dataset = (
            json.loads((folder / name).read_text()) for name in ("plans.json", "dataset.json")
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: no readable plans.json and dataset.json ({error})") from error
    checkpoints = sorted(folder.glob(f"fold_*/{FINAL}"))
    if not checkpoints:
        raise ModelError(f"{folder}: no fold_N/{FINAL}; the model was not trained to its end")
    for path in checkpoints:
        checkpoint = load_checkpoint(path)
        try:
            network = build_network(plans, dataset, checkpoint["init_args"]["configuration"]).eval()
            network.load_state_dict(checkpoint["network_weights"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:120]
            raise ModelError(f"{path}: does not fit plans.json ({reason})") from error
        first = next(p for p in network.parameters() if p.ndim > 2)
        size = [2] * (first.ndim - 2)  # two voxels at the coarsest level
        for strides in network.encoder.strides:
            steps = [strides] * len(size) if isinstance(strides, int) else strides
            size = [n * step for n, step in zip(size, steps, strict=True)]
        with torch.inference_mode():
            scores = network(torch.randn(1, first.shape[1], *size))
        if not scores.isfinite().all():
            raise ModelError(f"{path}: puts out numbers that are not finite; copy it again")
    return len(checkpoints)
