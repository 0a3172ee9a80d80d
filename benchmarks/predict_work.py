"""What the parts of bench_predict.py share: scans, models, measured processes, operations."""

import dataclasses
import json
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import peers

SIDES = Path(__file__).resolve().with_name("predict_sides.py")


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
        command = [sys.executable, SIDES, side, file]
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
