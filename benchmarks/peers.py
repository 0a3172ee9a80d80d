"""Commands run and measured from outside, ours and nnU-Net's alike; random models for both.

Seconds are wall time, start of the process and loading included. Memory is that of all processes
of the command together, seen every tenth of a second in ``/proc`` (so Linux only): the sum of
their resident sets, and the same with shared pages counted once (PSS).
"""

import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from time import perf_counter

ROOT = Path(__file__).parents[1]
_EVERY_S = 0.1


class MemoryWatch(Thread):
    """The most memory that the processes of a session held together."""

    def __init__(self, session: int, device: str) -> None:
        """Watch a session, and a GPU where one is used."""
        super().__init__(daemon=True)
        self.session, self.device, self.done = session, device, Event()
        self.rss, self.pss, self.on_device = 0, 0, 0
        self.before = device_bytes(device)

    def run(self) -> None:
        """Look until told to stop; new processes are searched for twice a second."""
        number, members = 0, []
        while True:
            if number % 5 == 0:
                members = session_members(self.session)
            number += 1
            held = [held_bytes(member) for member in members]
            together = max([sum(now for now, _ in held), *(most for _, most in held)])
            if together > self.rss or number % 10 == 0:
                self.rss = max(self.rss, together)
                self.pss = max(self.pss, sum(map(pss_bytes, members)))
            self.on_device = max(self.on_device, device_bytes(self.device) - self.before)
            if self.done.wait(_EVERY_S):
                return


def session_members(session: int) -> list[Path]:
    """The folders in /proc of a session's processes, whoever their parent is by now."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            found.append(folder)
    return found


def held_bytes(process: Path) -> tuple[int, int]:
    """What a process holds now, and the most that it ever held."""
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return 0, 0
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    return int(sizes.get("VmRSS", 0)) * 1024, int(sizes.get("VmHWM", 0)) * 1024


def pss_bytes(process: Path) -> int:
    """What a process holds, its share of what others hold too."""
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def device_bytes(device: str) -> int:
    """What is taken of a GPU's memory, by whomever; 0 without a GPU."""
    if device == "cpu":
        return 0
    import torch

    free, total = torch.cuda.mem_get_info()
    return total - free


def measure(command: Sequence[object], device: str = "cpu") -> dict[str, float]:
    """Run a command in a session of its own; what it took."""
    env = {**os.environ, "nnUNet_compile": "f"}
    cpu_before = _children_cpu_s()
    with tempfile.TemporaryFile() as log:
        if device != "cpu":
            device_bytes(device)  # our own hold on the GPU is not the command's
        began = perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
        watch = MemoryWatch(process.pid, device)
        watch.start()
        try:
            code = process.wait()
            seconds = perf_counter() - began
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            watch.done.set()
            watch.join()
        if code:
            log.seek(0)
            tail = log.read()[-3000:].decode(errors="replace")
            sys.exit(f"{command[0]} {command[1]} failed with {code}:\n{tail}")
    return {
        "seconds": seconds,
        "cpu_seconds": _children_cpu_s() - cpu_before,
        "peak_bytes": watch.rss,
        "peak_pss_bytes": watch.pss,
        "peak_device_bytes": watch.on_device,
    }


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def one_after_the_other(steps: Sequence[dict[str, float]]) -> dict[str, float]:
    """What several commands took: seconds add up, the largest peak counts."""
    return {
        key: (sum if "seconds" in key else max)(step[key] for step in steps) for key in steps[0]
    }


def written_bytes(folder: Path) -> int:
    """All files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def nnunet_predict(
    model: Path, folds: Sequence[int], scans: Path, output: Path, device: str, *more: object
) -> dict[str, float]:
    """nnU-Net's own command, one worker each for reading and writing, no mirrored copies."""
    program = Path(sys.executable).parent / "nnUNetv2_predict_from_modelfolder"
    files = ("-i", scans, "-o", output, "-m", model, "-f", *folds)
    options = ("-device", device, "-npp", 1, "-nps", 1, "--disable_tta")
    return measure([program, *files, *options, *more], device)


def nnunet_ensemble(
    folder: Path, scans: Path, output: Path, device: str
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """A renalseg ensemble by nnU-Net's commands: each model with its probabilities, their mean.

    Returns:
        What all commands took together, and each of them.
    """
    from renalseg.models.ensemble import Ensemble

    steps, means = [], []
    for member in Ensemble.open(folder).manifest.members:
        more: tuple[object, ...] = ()
        for number, stage in enumerate(member.stages, 1):
            target = output / f"{member.name}-{number}"
            is_last = number == len(member.stages)
            wanted = (*more, "--save_probabilities") if is_last else more
            model = folder / stage
            steps.append(nnunet_predict(model, member.folds, scans, target, device, *wanted))
            more = ("-prev_stage_predictions", target)
        means.append(target)
    program = Path(sys.executable).parent / "nnUNetv2_ensemble"
    command = [program, "-i", *means, "-o", output / "mean", "-np", 1]
    steps.append(measure(command, device))
    return one_after_the_other(steps), steps


def write_random_model(folder, configuration, folds, plan, patch=None, device="cpu"):
    """Write a model folder with random weights.

    Args:
        folder: Where.
        configuration: Of the plan.
        folds: Their numbers are their seeds.
        plan: The plan.
        patch: HU of a patch, network's axes; logits are shifted and scaled so that each class has
            mean 0 and deviation 1 on it, and every class is found somewhere.
        device: What computes the patch.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    import torch

    from models import write_model
    from renalseg.models.checkpoints import FINAL, save_checkpoint
    from renalseg.models.loading import load_networks

    write_model(folder, configuration, folds, plan=plan)
    if patch is None:
        return folder
    model = load_networks(folder, folds)
    low, high = plan.intensity.clip_hu
    image = torch.as_tensor(patch, dtype=torch.float32).clamp(low, high)
    image = (image - plan.intensity.mean_hu) / plan.intensity.std_hu
    given = torch.zeros(1, model.inputs, *image.shape)
    given[0, 0] = image
    for fold, network in zip(folds, model.networks, strict=True):
        with torch.no_grad():
            logits = network.to(device)(given.to(device))[0].flatten(1).cpu()
        network.to("cpu")
        if device != "cpu":
            torch.cuda.empty_cache()  # the measured processes want it
        path = folder / f"fold_{fold}" / FINAL
        checkpoint = torch.load(path, weights_only=True)
        weights = checkpoint["network_weights"]
        last = f"decoder.seg_layers.{len(plan.features) - 2}"
        mean, std = logits.mean(1), logits.std(1) + 1e-6
        bias, weight = weights[f"{last}.bias"], weights[f"{last}.weight"]
        weights[f"{last}.bias"] = (bias - mean) / std
        weights[f"{last}.weight"] = weight / std.reshape(-1, *[1] * (weight.ndim - 1))
        save_checkpoint(checkpoint, path)
    return folder
