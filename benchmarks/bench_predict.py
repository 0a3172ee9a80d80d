"""A scan segmented by nnU-Net's commands and by renalseg: same weights, machine and run.

    a       one model, two folds, networks of 4-8 feature maps, no mirrored copies, `exact`
    b       an ensemble trained on phantoms, default profile, no mirrored copies on nnU-Net's side
    c       the paper's network on a region of 256^3: eager PyTorch and our back-end
    d       (cuda) the paper's ensemble with random weights; patches per second of one network
    memory  512 x 512 x 1000 voxels: the bound stated beforehand, and what was taken

Each side is a process of its own, or several; answers are compared before times count. The scan is
a phantom. Runs on Linux.

    python benchmarks/bench_predict.py [--part a] [--quick] [--ensemble FOLDER] [--json FILE]
"""

import argparse
import dataclasses
import json
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from time import perf_counter, process_time

import peers

PARTS = ("a", "b", "c", "d", "memory")
EQUAL, DICE, LOWER, LOGITS, EQUAL_IN_HALF = 0.9995, 0.999, 0.002, 1e-3, 0.98
LIMIT_GB = 6.0


def main() -> None:
    """Run the parts one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=[*PARTS, "all"], help="Default: all.")
    parser.add_argument("--quick", action="store_true", help="Tiny scan and patches.")
    parser.add_argument("--ensemble", type=Path, metavar="FOLDER", help="The ensemble of part b.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write the figures here.")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--job", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        job = json.loads(arguments.job.read_text())
        Path(job["answer"]).write_text(json.dumps(SIDES[arguments.side](job)))
        return
    parts = list(dict.fromkeys(arguments.part or ["all"]))
    if "all" in parts:
        parts = [part for part in PARTS if part != "d" or arguments.device == "cuda"]
    if "d" in parts and arguments.device != "cuda":
        sys.exit("part d is for a GPU; add --device cuda")
    if "b" in parts and not (arguments.ensemble or arguments.quick):
        sys.exit("part b needs --ensemble FOLDER, e.g. renalseg-demo/ensemble")
    result = {"quick": arguments.quick, "device": arguments.device, "parts": {}}
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), arguments.quick, arguments.device, arguments.ensemble)
        for part in parts:
            found = RUN[part](bench)
            result["parts"][part] = found
            if arguments.json:
                arguments.json.write_text(json.dumps(result, indent=2) + "\n")
            if "problem" in found:
                problems.append(f"part {part}: {found['problem']}")
                print(f"{problems[-1]}; its times do not count\n", flush=True)
            else:
                print(found["last"] + "\n", flush=True)
    if problems:
        sys.exit("\n".join(problems))


@dataclass(frozen=True)
class Bench:
    """What the parts share: a folder, a phantom, models, the machine's peak."""

    folder: Path
    quick: bool
    device: str
    ensemble: Path | None

    @cached_property
    def case(self):
        """A phantom with its reference."""
        from renalseg.cohort.phantom import PhantomConfig, write_phantom_cohort

        pixel, slices = ((6.0, 6.0), (6.0, 6.0)) if self.quick else ((0.78, 0.78), (3.0, 3.0))
        config = PhantomConfig(cases=1, seed=5, in_plane_mm=pixel, slice_mm=slices)
        return write_phantom_cohort(self.folder / "phantom", config)[0]

    @cached_property
    def phantom(self):
        """Its image."""
        from renalseg.volume import read_image

        return read_image(self.case / "imaging.nii.gz")

    @cached_property
    def plan(self):
        """The paper's plan with 4 to 8 feature maps."""
        from renalseg.models.plans import PAPER_PLAN, Resolution

        change = {"features": (4, 8, 8, 8, 8, 8)}
        if self.quick:
            edge = (64, 64, 64)
            change["fullres"] = Resolution(spacing_mm=(4.5, 4.5, 4.5), patch_size=edge)
            change["lowres"] = Resolution(spacing_mm=(9.0, 9.0, 9.0), patch_size=edge)
        return PAPER_PLAN.model_copy(update=change)

    @cached_property
    def full_plan(self):
        """The paper's plan, as wide as it is; in a quick run half as wide."""
        from renalseg.models.plans import PAPER_PLAN

        half = {"features": tuple(n // 2 for n in PAPER_PLAN.features)}
        return self.plan.model_copy(
            update=half if self.quick else {"features": PAPER_PLAN.features}
        )

    @cached_property
    def narrow(self):
        """One model of two folds."""
        return self.random_model("narrow", "3d_fullres", (0, 1), self.plan)

    def random_model(self, name, configuration, folds, plan):
        """A model with random weights that finds every class in the scan."""
        patch = self.patch(plan.fullres.patch_size)
        folder = self.folder / name
        return peers.write_random_model(folder, configuration, folds, plan, patch, self.device)

    def patch(self, size):
        """The middle of the phantom, mirrored at its ends where it is too small."""
        import numpy as np

        array = self.phantom.array
        for axis, edge in enumerate(size):
            start = max(0, (array.shape[axis] - edge) // 2)
            array = array.take(mirrored(np.arange(start, start + edge), array.shape[axis]), axis)
        return array

    def random_ensemble(self, name, plan, folds):
        """Three single-stage models and a cascade."""
        from renalseg.models.ensemble import write_ensemble
        from renalseg.models.plans import CASCADE, FULLRES, LOWRES

        low, high = (
            self.random_model(f"{name}-{kind}", kind, folds, plan) for kind in (LOWRES, CASCADE)
        )
        alone = self.random_model(f"{name}-alone", FULLRES, folds, plan)
        members = {f"single-{n}": [alone] for n in (1, 2, 3)} | {"cascade": [low, high]}
        write_ensemble(self.folder / name, members, folds)
        return self.folder / name

    def scan(self, name, volume):
        """A volume as a file in a folder of its own, as nnU-Net wants it."""
        folder = self.folder / f"{name}-scan"
        folder.mkdir()
        volume.save(folder / "scan_0000.nii.gz")
        shape, mm = volume.shape, volume.spacing_mm
        print(
            f"    {shape[2]} x {shape[1]} x {shape[0]} voxels, "
            f"{mm[2]:g} x {mm[1]:g} x {mm[0]:g} mm",
            flush=True,
        )
        return folder / "scan_0000.nii.gz"

    @cached_property
    def peak(self):
        """Floating-point operations per second of a matrix product on this machine."""
        return self.ask("peak", device=self.device)["flops"]

    def ask(self, side, **job):
        """The answer of a side in a process of its own, with what that took."""
        number = len(list(self.folder.glob("job-*")))
        file = self.folder / f"job-{number}"
        answer = self.folder / f"answer-{number}.json"
        job = {"answer": answer, "quick": self.quick, **job}
        file.write_text(json.dumps(job, default=str))
        command = [sys.executable, Path(__file__).resolve(), "--side", side, "--job", file]
        took = peers.measure(command, job.get("device", "cpu"))
        return {**took, **json.loads(answer.read_text())}

    def predict(self, name, scan, model, **options):
        """Our prediction: what it took, the mask, what was computed."""
        folder = self.folder / name
        folder.mkdir()
        job = {"scan": scan, "model": model, "device": self.device, **options}
        stated = self.ask("stated", **job)
        found = self.ask("renalseg", mask=folder / "scan.nii.gz", **job)
        found["written_bytes"] = peers.written_bytes(folder)
        found["stated_gb"] = stated["expected_gb"]
        per_tile = [tile_flop(model / n["folder"], n["fold"]) for n in stated["networks"]]
        found["flop"] = sum(f * n for f, n in zip(per_tile, found["runs"], strict=True))
        found["tiles_of_whole_scan"] = sum(n["tiles"] for n in stated["networks"])
        found["flop_of_whole_scan"] = sum(
            f * n["tiles"] * n["folds"] for f, n in zip(per_tile, stated["networks"], strict=True)
        )
        found["mask"] = str(folder / "scan.nii.gz")
        return found


def part_a(bench):
    """One model, two folds."""
    heading("(a) one model, two folds, 4-8 feature maps, exact; masks only, no probabilities")
    count = bench.phantom.shape[0] + 2 if bench.quick else 109
    scan = bench.scan("a", padded(bench.phantom, count))
    output = bench.folder / "a-nnunet"
    theirs = peers.nnunet_predict(bench.narrow, (0, 1), scan.parent, output, bench.device)
    theirs["written_bytes"] = peers.written_bytes(output)
    ours = bench.predict("a", scan, bench.narrow, profile="exact", roi="off", clean=False)
    table(bench, {"nnU-Net": theirs, "renalseg": ours})
    work(bench, ours)
    equal, dice = agreement(ours["mask"], output / "scan.nii.gz")
    print(f"equal voxels {equal:.4%}, Dice of each class {shown(dice)}")
    found = {"nnU-Net": theirs, "renalseg": ours, "equal": equal, "dice": dice}
    if equal < EQUAL or min(dice.values()) < DICE or len(dice) < 2:
        return {**found, "problem": f"answers differ: {equal:.4%} equal, Dice {shown(dice)}"}
    return with_ratio(found)


def part_b(bench):
    """An ensemble, the default profile."""
    heading("(b) four models and their mean, default profile; probabilities saved by nnU-Net")
    ensemble, is_random = bench.ensemble, bench.ensemble is None
    if is_random:
        small = {"features": (4, 8, 8, 8), "convolutions": 1}
        plan = bench.plan.model_copy(update=small)
        ensemble = bench.random_ensemble("b-ensemble", plan, (0,))
    scan = bench.scan("b", bench.phantom)
    output = bench.folder / "b-nnunet"
    theirs, steps = peers.nnunet_ensemble(ensemble, scan.parent, output, bench.device)
    theirs["written_bytes"] = peers.written_bytes(output)
    raw = bench.predict("b-raw", scan, ensemble, clean=False)
    ours = bench.predict("b", scan, ensemble, clean=None)
    table(bench, {"nnU-Net": theirs, "renalseg": ours, "not cleaned": raw})
    work(bench, ours)
    reference = bench.case / "aggregated_MAJ_seg.nii.gz"
    masks = {"nnU-Net": output / "mean" / "scan.nii.gz"}
    masks |= {"renalseg": ours["mask"], "not cleaned": raw["mask"]}
    dice = {side: hec_dice(mask, reference) for side, mask in masks.items()}
    for side, scores in dice.items():
        print(f"{side:<12}Dice against the reference: {shown(scores)}")
    equal, _ = agreement(raw["mask"], masks["nnU-Net"])
    print(f"equal voxels, not cleaned and nnU-Net's: {equal:.4%}")
    found = {"nnU-Net": theirs, "steps": steps, "renalseg": ours, "not cleaned": raw}
    found |= {"hec_dice": dice, "equal": equal}
    # the mask and its record are the result; anything else would be intermediate
    extra = {p.name for p in (bench.folder / "b").rglob("*")} - {"scan.nii.gz", "scan.json"}
    if extra:
        return {**found, "problem": f"intermediate files were left: {sorted(extra)}"}
    if is_random:
        print("random weights (no --ensemble): Dice is not judged")
        return with_ratio(found)
    lower = [
        f"{side}'s {name} {scores[name]:.4f} against {value:.4f}"
        for side, scores in dice.items()
        for name, value in dice["nnU-Net"].items()
        if scores[name] < value - LOWER
    ]
    if lower:
        return {**found, "problem": f"Dice is lower: {', '.join(lower)}"}
    return with_ratio(found)


def part_c(bench):
    """The paper's network on one region."""
    import numpy as np

    edge = 96 if bench.quick else 256
    heading(f"(c) the paper's network{' at half width' * bench.quick}, a region of {edge}^3, CPU")
    model = peers.write_random_model(bench.folder / "full", "3d_fullres", (0,), bench.full_plan)
    job = {"model": model, "edge": edge}
    sides = {}
    for side in ("eager", "window"):
        sides[side] = bench.ask(side, logits=bench.folder / f"{side}.npy", **job)
        one = sides[side]
        for clock in ("seconds", "cpu_seconds"):
            one[f"whole_{clock}"], one[clock] = one[clock], one[f"window_{clock}"]
        one["flop"] = tile_flop(model, 0) * one["tiles"]
        one["written_bytes"] = 0
    found = {"eager PyTorch": sides["eager"], "renalseg": sides["window"]}
    table(bench, found)
    peak = bench.peak if bench.device == "cpu" else bench.ask("peak", device="cpu")["flops"]
    for side, one in found.items():
        rate = one["flop"] / one["seconds"]
        print(
            f"{side:<14}{one['tiles']} tiles, {one['flop'] / 1e9:.0f} GFLOP, "
            f"{rate / 1e9:.0f} GFLOP/s, {rate / peak:.0%} of the machine's measured peak of "
            f"{peak / 1e9:.0f}; {one['loading_seconds']:.1f} s of loading and compiling apart"
        )
    wanted, got = (np.load(bench.folder / f"{side}.npy", mmap_mode="r") for side in sides)
    spread = float(wanted.max() - wanted.min())
    worst = max(float(np.abs(a - b).max()) for a, b in zip(wanted, got, strict=True)) / spread
    print(f"largest difference of logits: {worst:.2g} of their range ({spread:.3g})")
    found |= {"difference": worst, "peak_flops": peak}
    if not worst < LOGITS:
        return {**found, "problem": f"logits differ by {worst:.2g} of their range"}
    return with_ratio(found, "eager PyTorch")


def part_d(bench):
    """The paper's ensemble on a GPU."""
    folds = (0, 1) if bench.quick else (0, 1, 2, 3, 4)
    heading(f"(d) four of the paper's models, {len(folds)} folds each, random weights, GPU")
    ensemble = bench.random_ensemble("d-ensemble", bench.full_plan, folds)
    count = bench.phantom.shape[0] if bench.quick else 109
    scan = bench.scan("d", padded(bench.phantom, count))
    # random networks find no kidneys: all of the scan is computed
    ours = bench.predict("d", scan, ensemble, roi="off", clean=False)
    rates = bench.ask("patches", model=ensemble / "single-1", device=bench.device)
    flop = tile_flop(ensemble / "single-1", 0)
    for kind, rate in rates["patches_per_second"].items():
        print(
            f"one network, {kind}: {rate:.2f} patches/s, {rate * flop / 1e12:.1f} TFLOP/s, "
            f"{rate * flop / bench.peak:.0%} of the card's measured half-precision peak of "
            f"{bench.peak / 1e12:.0f}",
            flush=True,
        )
    table(bench, {"renalseg": ours})
    work(bench, ours)
    output = bench.folder / "d-nnunet"
    theirs, steps = peers.nnunet_ensemble(ensemble, scan.parent, output, bench.device)
    theirs["written_bytes"] = peers.written_bytes(output)
    table(bench, {"nnU-Net": theirs, "renalseg": ours})
    equal, dice = agreement(ours["mask"], output / "mean" / "scan.nii.gz")
    print(f"equal voxels {equal:.3%} (nnU-Net computes in half precision)")
    found = {"nnU-Net": theirs, "steps": steps, "renalseg": ours, "rates": rates}
    found |= {"peak_flops": bench.peak, "tile_flop": flop, "equal": equal, "dice": dice}
    if equal < EQUAL_IN_HALF:
        return {**found, "problem": f"answers differ: {equal:.3%} of the voxels are equal"}
    return with_ratio(found)


def part_memory(bench):
    """A long scan within its bound."""
    import numpy as np

    heading("(memory) a long scan, the model of part a, default profile")
    count, copies = (120, 6) if bench.quick else (1000, 3)
    # every slice stands for as many of 1 mm, down the phantom and up again
    indices = mirrored(np.arange(count) // copies, bench.phantom.shape[0])
    affine = bench.phantom.affine.copy()
    affine[:3, 0] /= bench.phantom.spacing_mm[0]
    long = dataclasses.replace(with_slices(bench.phantom, indices), affine=affine)
    file = bench.scan("memory", long)
    ours = bench.predict("memory", file, bench.narrow, clean=None)
    table(bench, {"renalseg": ours})
    work(bench, ours)
    measured, stated = ours["peak_bytes"] / 1e9, ours["stated_gb"]
    found = {"renalseg": ours, "stated_gb": stated, "measured_gb": measured}
    if measured > min(stated, LIMIT_GB):
        problem = f"{measured:.2f} GB taken, {stated:.2f} stated, {LIMIT_GB:g} allowed"
        return {**found, "problem": problem}
    ratio = measured / stated
    last = f"ratio: {ratio:.2f} (measured {measured:.2f} GB, stated {stated:.2f} GB)"
    return {**found, "ratio": ratio, "last": last}


RUN = {"a": part_a, "b": part_b, "c": part_c, "d": part_d, "memory": part_memory}


def side_stated(job):
    """What a prediction will take, without running it."""
    from renalseg.inference.scan import Scan
    from renalseg.volume import read_image

    segmenter = options_of(job).load()
    volume = read_image(Path(job["scan"]))
    scan = Scan(volume)
    networks = [
        {
            "folder": str(network.model.folder.relative_to(job["model"])),
            "fold": network.folds[0],
            "folds": len(network.folds),
            "tiles": network.tiles(scan, scan.whole).count,
        }
        for network in networks_of(segmenter)
    ]
    return {"expected_gb": segmenter.expected_gb(volume), "networks": networks}


def side_renalseg(job):
    """The work of ``renalseg predict``; counts on the way how often each network runs."""
    from renalseg.batch import predict_files

    runs = []

    def load():
        segmenter = options_of(job).load()
        for number, network in enumerate(networks_of(segmenter)):
            runs.append(0)
            counted = tuple(counting(run, runs, number) for run in network.forward.runs)
            forward = dataclasses.replace(network.forward, runs=counted)
            object.__setattr__(network, "forward", forward)
        return segmenter

    mask = Path(job["mask"])
    (done,) = predict_files([(Path(job["scan"]), mask)], load)
    if done.problem:
        sys.exit(done.problem)
    record = json.loads(mask.with_name("scan.json").read_text())
    kept = {key: record[key] for key in ("settings", "timings_s", "backend", "warnings")}
    return {"runs": runs, **kept}


def options_of(job):
    """How the ensemble is loaded; what the job does not say is the default."""
    from renalseg.batch import Options

    known = {key: job[key] for key in ("device", "profile", "roi", "clean") if key in job}
    return Options(Path(job["model"]), **known)


def networks_of(segmenter):
    """All networks in their order."""
    return [network for member in segmenter.members for network in member.networks]


def counting(run, runs, number):
    """A network that counts the patches that it is given."""

    def counted(patches):
        runs[number] += len(patches)
        return run(patches)

    return counted


def side_eager(job):
    """The region by eager PyTorch: a plain loop over nnU-Net's tiles."""
    import numpy as np
    import torch

    from renalseg.inference.tiles import axis_starts, gaussian
    from renalseg.models.loading import load_networks

    image, box = region_of(job)
    began = perf_counter()
    model = load_networks(Path(job["model"]), (0,))
    (network,), patch = model.networks, tuple(model.settings.patch_size)
    weights = gaussian(patch, "cpu").float()
    loading = perf_counter() - began
    began, began_cpu = perf_counter(), process_time()
    total, weight = torch.zeros(model.classes, *image.shape[1:]), torch.zeros(image.shape[1:])
    starts = list(
        product(*(axis_starts(b[1], p, 0.5, *b) for b, p in zip(box, patch, strict=True)))
    )
    with torch.no_grad():
        for corner in starts:
            place = tuple(slice(c, c + p) for c, p in zip(corner, patch, strict=True))
            total[:, *place] += network(image[:, *place][None].contiguous())[0] * weights
            weight[place] += weights
    total /= weight
    took = {
        "loading_seconds": loading,
        "window_seconds": perf_counter() - began,
        "window_cpu_seconds": process_time() - began_cpu,
    }
    np.save(job["logits"], total.numpy())
    return {**took, "tiles": len(starts), "backend": "torch"}


def side_window(job):
    """The same by our sliding window and the back-end that it takes of itself."""
    import numpy as np
    import torch

    from renalseg.inference.network import How, Network
    from renalseg.inference.sliding import Count, logit_rows
    from renalseg.inference.tiles import Tiles, axis_starts
    from renalseg.models.loading import load_networks

    image, box = region_of(job)
    began = perf_counter()
    how = How(mirror=False, like_nnunet=False)
    network = Network.of(load_networks(Path(job["model"]), (0,)), (0,), how)
    if network.axes != (0, 1, 2):
        sys.exit(f"expected a network that sees slice, row, column, got axes {network.axes}")
    loading = perf_counter() - began
    began, began_cpu = perf_counter(), process_time()
    count = Count()
    sides = zip(box, network.patch, strict=True)
    starts = tuple(tuple(axis_starts(b[1], p, how.step, *b)) for b, p in sides)
    rows = logit_rows(
        lambda start, stop: image[:, start:stop],
        network.intensity.floor,
        network.forward,
        Tiles(box, starts, network.patch),
        count,
        lambda: None,
    )
    logits = torch.cat(list(rows), 1)
    took = {
        "loading_seconds": loading,
        "window_seconds": perf_counter() - began,
        "window_cpu_seconds": process_time() - began_cpu,
    }
    np.save(job["logits"], logits.numpy())
    return {**took, "tiles": count.computed, "skipped": count.skipped, "backend": network.backend}


def region_of(job):
    """Noise in place of normalised HU, and the box that it fills."""
    import torch

    torch.manual_seed(0)
    edge = job["edge"]
    return torch.randn(1, edge, edge, edge), ((0, edge), (0, edge), (0, edge))


def side_peak(job):
    """A matrix product, best of five: float32 on a CPU, half precision on a GPU."""
    import torch

    on_cpu = job["device"] == "cpu"
    size, times = (4096, 1) if on_cpu else (8192, 20)
    size = 1024 if job["quick"] else size
    dtype = torch.float32 if on_cpu else torch.float16
    a, b = (torch.randn(size, size, device=job["device"]).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(6):  # the first one warms up
        began = perf_counter()
        for _ in range(times):
            a @ b
        if not on_cpu:
            torch.cuda.synchronize()
        best = min(best, (perf_counter() - began) / times)
    return {"flops": 2 * size**3 / best}


def side_patches(job):
    """Patches per second of one network on a GPU: as nnU-Net runs it, and as we do."""
    import torch

    from renalseg.inference.forward import torch_run
    from renalseg.models.loading import load_networks

    device, batch = job["device"], 4
    model = load_networks(Path(job["model"]), (0,))
    (network,), size = model.networks, tuple(model.settings.patch_size)
    patches = torch.randn(batch, 1, *size, device=device)

    def rate(run, given):
        with torch.no_grad():
            for _ in range(3):
                run(given)
            torch.cuda.synchronize()
            began = perf_counter()
            for _ in range(10):
                run(given)
            torch.cuda.synchronize()
        return 10 * len(given) / (perf_counter() - began)

    def autocast(given):
        with torch.autocast(device):
            return network(given)

    network.to(device)
    rates = {"nnU-Net's way (autocast, one patch)": rate(autocast, patches[:1].contiguous())}
    for precision in ("float32", "half"):  # half changes the weights: last
        run = torch_run(network, size, device, precision)
        rates[f"renalseg {precision}"] = rate(run, patches)
    peak = torch.cuda.max_memory_allocated()
    return {"patches_per_second": rates, "allocated_bytes": peak}


SIDES = {
    "stated": side_stated,
    "renalseg": side_renalseg,
    "eager": side_eager,
    "window": side_window,
    "peak": side_peak,
    "patches": side_patches,
}


def tile_flop(folder, fold):
    """Operations of a model's convolutions on one tile: two per multiplication and addition."""
    import torch
    from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

    from renalseg.models.loading import load_networks

    model = load_networks(Path(folder), (fold,))
    network = model.networks[0].to("meta")
    total = 0

    def add(layer, given, result):
        nonlocal total
        places = (given[0] if isinstance(layer, _ConvTransposeNd) else result).shape[2:]
        total += 2 * layer.weight.numel() * places.numel()

    for layer in network.modules():
        if isinstance(layer, _ConvNd):
            layer.register_forward_hook(add)
    with torch.no_grad():
        network(torch.empty(1, model.inputs, *model.settings.patch_size, device="meta"))
    return total


def padded(volume, count):
    """A volume of so many slices: the outermost are repeated, or left out."""
    import numpy as np

    slices = volume.shape[0]
    first = (count - slices) // 2
    return with_slices(volume, np.clip(np.arange(count) - first, 0, slices - 1))


def with_slices(volume, indices):
    """A volume of chosen slices."""
    import numpy as np

    return dataclasses.replace(volume, array=np.ascontiguousarray(volume.array[indices]))


def mirrored(indices, count):
    """Indices that run to the last, back to the first, and so on."""
    import numpy as np

    within = np.asarray(indices) % (2 * count)
    return np.where(within < count, within, 2 * count - 1 - within)


def read(mask):
    """Labels of a mask file as they are stored."""
    import nibabel
    import numpy as np

    return np.asarray(nibabel.load(mask).dataobj)


def agreement(first, second):
    """The share of equal voxels, and the Dice of every class that either mask has."""
    import numpy as np

    a, b = read(first), read(second)
    classes = sorted(set(np.unique(a)) | set(np.unique(b)))
    return float((a == b).mean()), {str(int(c)): dice_of(a == c, b == c) for c in classes}


def hec_dice(mask, reference):
    """Dice of the challenge's classes."""
    import numpy as np

    from renalseg.labels import HECS

    a, b = read(mask), read(reference)
    return {h.name: dice_of(np.isin(a, h.labels), np.isin(b, h.labels)) for h in HECS}


def dice_of(a, b):
    """Dice; two empty masks score 1."""
    size = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / size if size else 1.0


def with_ratio(found, peer="nnU-Net"):
    """The ratio of both sides' seconds, and the line that says it."""
    theirs, ours = found[peer]["seconds"], found["renalseg"]["seconds"]
    last = f"ratio: {theirs / ours:.1f} (peer {theirs:.3g} s, renalseg {ours:.3g} s)"
    return {**found, "ratio": theirs / ours, "last": last}


def heading(text):
    """Say at once what is being measured."""
    print(text, flush=True)


def shown(scores):
    """Scores in one line."""
    return ", ".join(f"{name} {value:.4f}" for name, value in scores.items())


def table(bench, rows):
    """One line per side."""
    gpu = "  GB of GPU" if bench.device != "cpu" else ""
    print(f"{'':<14}  seconds    CPU s  GB peak  GB (PSS)  MB written{gpu}")
    for side, row in rows.items():
        on_gpu = f"{row['peak_device_bytes'] / 1e9:11.2f}" if gpu else ""
        print(
            f"{side:<14}{row['seconds']:9.2f}{row['cpu_seconds']:9.2f}"
            f"{row['peak_bytes'] / 1e9:9.2f}{row['peak_pss_bytes'] / 1e9:10.2f}"
            f"{row['written_bytes'] / 1e6:12.2f}{on_gpu}",
            flush=True,
        )


def work(bench, ours):
    """Tiles and operations, against the machine's peak."""
    settings, seconds = ours["settings"], ours["timings_s"]["predict"]
    rate = ours["flop"] / seconds
    ours["flops"], ours["peak_flops"] = rate, bench.peak
    print(
        f"tiles: {settings['tiles_computed']} computed, {settings['tiles_of_air']} of air skipped, "
        f"{ours['tiles_of_whole_scan']} in the whole scan; {ours['flop'] / 1e9:.0f} GFLOP of "
        f"{ours['flop_of_whole_scan'] / 1e9:.0f}\n"
        f"{rate / 1e9:.0f} GFLOP/s over the {seconds:.2f} s of the prediction, "
        f"{rate / bench.peak:.0%} of the measured peak of {bench.peak / 1e9:.0f}; "
        f"back-end {ours['backend']}; {ours['stated_gb']:.2f} GB stated beforehand",
        flush=True,
    )


if __name__ == "__main__":
    main()
