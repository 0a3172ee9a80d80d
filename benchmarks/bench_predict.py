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
from pathlib import Path

import peers
from predict_work import Bench, mirrored, padded, tile_flop, with_slices

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
    arguments = parser.parse_args()
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
    long = dataclasses.replace(with_slices(bench.phantom, indices), affine=affine, source=None)
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
