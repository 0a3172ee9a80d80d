"""Start a network from the weights of another one (section 3.2)."""

from pathlib import Path

from torch import nn

from renalseg.errors import ModelError
from renalseg.models.checkpoints import load_checkpoint

#: The layers that depend on the task's classes keep their random start, as in nnU-Net.
TASK_LAYERS = ".seg_layers."


def transfer_weights(network: nn.Module, checkpoint: Path) -> None:
    """Copy all weights except those of the segmentation layers.

    Raises:
        ModelError: If the checkpoint's network has another structure.
    """
    weights = load_checkpoint(checkpoint)["network_weights"]
    own = network.state_dict()
    for name, tensor in own.items():
        if TASK_LAYERS in name:
            continue
        if name not in weights or weights[name].shape != tensor.shape:
            got = tuple(weights[name].shape) if name in weights else "none"
            raise ModelError(
                f"{checkpoint}: layer {name} should have shape {tuple(tensor.shape)}, got {got}; "
                "pretrain with the same plan"
            )
        own[name] = weights[name]
    network.load_state_dict(own)
