"""The sides of bench_predict.py, each run in a process of its own: ``predict_sides.py SIDE JOB``.

A job is a JSON file; the side's answer is written to the file that the job names.
"""

import dataclasses
import json
import sys
from itertools import product
from pathlib import Path
from time import perf_counter, process_time


def main():
    """Run one side."""
    side, file = sys.argv[1:]
    job = json.loads(Path(file).read_text())
    Path(job["answer"]).write_text(json.dumps(SIDES[side](job)))


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
    from renalseg.inference.sliding import Count, score_rows
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
    rows = score_rows(
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


if __name__ == "__main__":
    main()
