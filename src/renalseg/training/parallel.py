"""One training on several GPUs of a machine, or shares of its cores: each has a part of the batch.

nnU-Net's own data parallel training: gradients are averaged over the processes, Dice is taken over
the whole batch. The first process writes.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from renalseg.errors import ExperimentError
from renalseg.models.plans import CASCADE, FULLRES, PLANS_NAME
from renalseg.training.run import train_fold
from renalseg.workers import cores, leave_with_parent


def train_fold_in_parallel(processes: int, *arguments: Any, **options: Any) -> Path:
    """Train one network in several processes.

    Args:
        processes: How many; on GPUs each has one of those that this process sees.
        *arguments: Of :func:`renalseg.training.run.train_fold`.
        **options: Likewise, without ``on_progress``.

    Returns:
        The nnU-Net model folder.

    Raises:
        ExperimentError: If there are more processes than patches in a batch, or one fails.
    """
    from torch.multiprocessing.spawn import ProcessException, spawn

    workspace, dataset, _, stage, *_ = arguments
    plans = json.loads((workspace.preprocessed / dataset / f"{PLANS_NAME}.json").read_text())
    batch_size = int(plans["configurations"][_own(stage)]["batch_size"])
    if processes > batch_size:
        raise ExperimentError(
            f"{stage}: {processes} processes cannot share a batch of {batch_size}; take "
            f"{batch_size} or fewer"
        )
    with tempfile.TemporaryDirectory() as folder:
        meeting = f"file://{folder}/processes"
        try:
            spawn(  # type: ignore[no-untyped-call]
                _train, (processes, meeting, arguments, options), nprocs=processes
            )
        except ProcessException as error:
            last = str(error).strip().splitlines()[-1]
            raise ExperimentError(
                f"{stage}: one of {processes} processes that share a batch failed ({last})"
            ) from error
    return train_fold(*arguments, **options)  # it stands by now: gives its folder


def _own(stage: str) -> str:
    """The configuration that holds a stage's numbers: a cascade's inherits them."""
    return FULLRES if stage == CASCADE else stage


def _train(
    rank: int, processes: int, meeting: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    """One of the processes."""
    import torch
    from torch import distributed

    leave_with_parent()
    on_gpu = torch.device(options.get("device", "cpu")).type == "cuda"
    if on_gpu:
        torch.cuda.set_device(rank)
    else:
        torch.set_num_threads(max(1, cores() // processes))
    os.environ["LOCAL_RANK"] = str(rank)
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo", init_method=meeting, rank=rank, world_size=processes
    )
    try:
        train_fold(*arguments, **options)
        distributed.barrier()  # nobody leaves while the first one writes
    finally:
        distributed.destroy_process_group()
