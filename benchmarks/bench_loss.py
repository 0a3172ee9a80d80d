"""A training step with the paper's regularised loss against one with Dice and cross-entropy alone.

The paper's network and batch, 2 x 4 x 128^3, with deep supervision. The peer is nnU-Net's own
``train_step`` on the same network, weights and batch. All sides take their steps in turn, so that
what else the machine does falls on each alike; peak memory is that of a process of its own. Our
step without the loss must find nnU-Net's loss, and the regularised loss that of a plain sum over
pairs, before their times count. On a CPU a step's time is that of the process, of all its threads:
what else the machine does hardly moves it.

    python benchmarks/bench_loss.py [--quick] [--device cpu] [--json FILE]
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from time import perf_counter, process_time

#: Our steps: neighbours and beta of the additional loss.
LOSSES = {
    "renalseg": None,
    "image loss": {"neighbours": 4, "beta": 10},
    "volume loss": {"neighbours": 6, "beta": 5},
    "26 neighbours": {"neighbours": 26, "beta": 5},
}
SIDES = ("nnU-Net", *LOSSES)


def main() -> None:
    """Compare answers, take turns, measure memory, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="Patches of 64^3 instead of 128^3.")
    parser.add_argument("--device", default="cpu", help="cpu or cuda.")
    parser.add_argument("--rounds", type=int, default=2, help="Steps of each side.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write the figures here.")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    edge = 64 if arguments.quick else 128
    if arguments.side:
        print(json.dumps(peak_mb(arguments.side, edge, arguments.device)))
        return
    compare_with_pairs()
    seconds = take_turns(edge, arguments.device, arguments.rounds)
    rows = {}
    for side in SIDES:
        command = [sys.executable, __file__, "--side", side, "--device", arguments.device]
        command += ["--quick"] if arguments.quick else []
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows[side] = {"seconds": seconds[side], "peak_mb": json.loads(done.stdout)}
        show(side, rows[side], seconds)
    with_loss = statistics.median(seconds["volume loss"])
    without = statistics.median(seconds["renalseg"])
    result = {"edge": edge, "device": arguments.device, "ratio": with_loss / without, "rows": rows}
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(
        f"ratio: {with_loss / without:.3f} (volume loss {with_loss:.3g} s, without {without:.3g} s)"
    )


def compare_with_pairs():
    """The regularised loss against a sum over pairs, written out."""
    import torch

    from renalseg.training.neighbours import neighbourhood
    from renalseg.training.potts import potts_loss

    torch.manual_seed(0)
    image = torch.randn(1, 1, 6, 7, 8, dtype=torch.float64)
    logits = torch.randn(1, 4, 6, 7, 8, dtype=torch.float64)
    chances = torch.softmax(logits, 1)
    for term in filter(None, LOSSES.values()):
        pairs, total = neighbourhood(term["neighbours"]), 0.0
        for offset, weight in zip(pairs.offsets, pairs.weights, strict=True):
            here = tuple(slice(max(0, -step), -step if step > 0 else None) for step in offset)
            there = tuple(slice(max(0, step), step if step < 0 else None) for step in offset)
            near = (..., *here), (..., *there)
            difference = image[near[0]] - image[near[1]]
            change = (chances[near[0]] - chances[near[1]]).square()
            total += 2 * weight * (torch.exp(-term["beta"] * difference.square()) * change).sum()
        wanted = total / image.numel()
        got = potts_loss(image, logits, term["beta"], pairs)
        if abs(got - wanted) > 1e-5 * wanted:
            sys.exit(f"{term}: regularised loss is {got}, should be {wanted}")


def take_turns(edge, device, rounds):
    """Seconds of every side's steps; each side's first one starts from the same weights."""
    import torch

    trainers = {side: trainer_of(side, edge, device) for side in ("nnU-Net", "renalseg")}
    losses, seconds = {}, {side: [] for side in SIDES}
    clock = process_time if device == "cpu" else perf_counter
    batch = batch_of(edge)
    start = {k: v.clone() for k, v in trainers["nnU-Net"].network.state_dict().items()}
    for turn in range(rounds):
        for side in SIDES:
            trainer = trainers["nnU-Net" if side == "nnU-Net" else "renalseg"]
            if turn == 0:
                trainer.network.load_state_dict(start)
            prepare(trainer, side)
            began = clock()
            result = step(trainer, batch)
            if device != "cpu":
                torch.cuda.synchronize()
            seconds[side].append(clock() - began)
            if turn == 0:
                losses[side] = float(result["loss"])
    if abs(losses["nnU-Net"] - losses["renalseg"]) > 1e-3 * abs(losses["nnU-Net"]):
        sys.exit(f"losses differ: {losses}")
    return seconds


def peak_mb(side, edge, device):
    """Peak memory of a process that takes one step: the device's, or the process's on a CPU."""
    trainer = trainer_of(side, edge, device)
    prepare(trainer, side)
    step(trainer, batch_of(edge))
    if device != "cpu":
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def trainer_of(side, edge, device):
    """A trainer with the paper's network, without a data set."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    from renalseg.models.device import cpu_layout
    from renalseg.models.plans import FULLRES, PAPER_PLAN, nnunet_plans
    from renalseg.training.trainer import RenalTrainer

    plans = nnunet_plans(PAPER_PLAN, "Dataset021_KiTS", [(3.0, 0.8, 0.8)], [(100, 512, 512)])
    plans["configurations"][FULLRES]["patch_size"] = [edge] * 3
    kind = nnUNetTrainer if side == "nnU-Net" else RenalTrainer
    trainer = object.__new__(kind)
    trainer.plans_manager = PlansManager(plans)
    trainer.configuration_manager = settings = trainer.plans_manager.get_configuration(FULLRES)
    labels = {"background": 0, "kidney": 1, "tumor": 2, "cyst": 3}
    trainer.dataset_json = {"labels": labels, "channel_names": {"0": "CT"}}
    trainer.label_manager = trainer.plans_manager.get_label_manager(trainer.dataset_json)
    trainer.device, trainer.is_ddp, trainer.enable_deep_supervision = (
        torch.device(device),
        False,
        True,
    )
    torch.manual_seed(0)
    network = get_network_from_plans(
        settings.network_arch_class_name,
        settings.network_arch_init_kwargs,
        settings.network_arch_init_kwargs_req_import,
        1,
        4,
        deep_supervision=True,
    ).to(trainer.device)
    if device == "cpu" and side != "nnU-Net":
        network = network.to(memory_format=cpu_layout(settings.patch_size))
    trainer.network = network
    trainer.grad_scaler = torch.amp.GradScaler("cuda") if device != "cpu" else None
    trainer.optimizer = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.99, nesterov=True)
    trainer._do_i_compile = lambda: False
    trainer.loss = trainer._build_loss()
    return trainer


def prepare(trainer, side):
    """Give our trainer the recipe of a side."""
    if side in LOSSES:
        from renalseg.training.recipe import Recipe

        trainer.recipe = Recipe(name="bench", regularization=LOSSES[side])


def step(trainer, batch):
    """One iteration by the side's own code."""
    return type(trainer).train_step(trainer, batch)


def batch_of(edge):
    """Noise, and labels at every level of deep supervision."""
    import torch

    torch.manual_seed(1)
    data = torch.randn(2, 1, edge, edge, edge)
    target = torch.randint(0, 4, (2, 1, edge, edge, edge)).float()
    return {"data": data, "target": [target[..., :: 2**n, :: 2**n, :: 2**n] for n in range(5)]}


def show(side, row, seconds):
    """One line per side."""
    middle = statistics.median(row["seconds"])
    base = statistics.median(seconds["renalseg"])
    print(
        f"{side:<15}{middle:9.3f} s{middle / base:8.3f} of ours without the loss"
        f"{row['peak_mb']:9.0f} MB peak       0 bytes written"
    )


if __name__ == "__main__":
    main()
