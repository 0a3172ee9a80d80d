"""What networks see, against nnU-Net's own preprocessing."""

import numpy as np
import pytest
import torch
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from scipy.ndimage import gaussian_filter

from renalseg.inference.grid import canonical_axes, network_grid, nonzero_box
from renalseg.inference.rows import Intensity, Window, image_rows, label_rows
from renalseg.models.plans import FULLRES, PAPER_PLAN, PLANAR, Resolution, nnunet_plans

INTENSITY = Intensity(low_hu=-62, high_hu=310, mean_hu=104.9, std_hu=75.3)
DATASET = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "kidney": 1, "tumor": 2, "cyst": 3},
}
#: Spacings (slice, row, column) and shapes; nnU-Net resamples the slices of some one by one.
SCANS = [
    ((3.0, 0.9, 0.9), (30, 60, 56)),
    ((5.0, 0.8, 0.8), (20, 60, 56)),
    ((1.0, 1.0, 1.0), (50, 40, 45)),
    ((1.0, 0.8, 5.0), (50, 40, 15)),
    ((1.5, 1.5, 1.5), (30, 31, 32)),
]


def compare(spacing_mm, shape, resampling, configuration):
    """Image and label channels, ours and nnU-Net's."""
    fullres = Resolution(spacing_mm=(1.5, 1.5, 1.5), patch_size=(32, 32, 32))
    plan = PAPER_PLAN.model_copy(update={"resampling": resampling, "fullres": fullres})
    plans = nnunet_plans(plan, "Dataset021_KiTS", [(3.0, 0.8, 0.8)], [(100, 512, 512)])
    manager = PlansManager(plans)
    settings = manager.get_configuration(configuration)
    random = np.random.RandomState(0)
    scan = (gaussian_filter(random.normal(0, 1, shape), 1) * 1500).astype(np.int16)
    scan[:2] = 0  # nnU-Net crops zeros
    labels = (gaussian_filter(random.normal(0, 1, shape), 2) * 40).clip(0, 3).astype(np.uint8)
    data, seg, _ = settings.preprocessor_class(verbose=False).run_case_npy(
        scan.transpose(2, 1, 0)[None],
        labels.transpose(2, 1, 0)[None].astype(np.int8),
        {"spacing": list(spacing_mm[::-1])},
        manager,
        settings,
        DATASET,
    )
    axes = canonical_axes(plans["transpose_forward"])
    grid = network_grid(nonzero_box(scan), spacing_mm, settings.configuration, axes)
    box = tuple((0, n) for n in grid.shape)
    ours = []
    for rows in (image_rows(scan, grid, box, INTENSITY), label_rows(labels, grid, box, 4)):
        starts = range(0, grid.shape[0], 7)
        parts = [rows(start, min(start + 7, grid.shape[0])) for start in starts]
        ours.append(torch.cat(parts, 1).numpy())
    theirs = np.stack([seg[0] == label for label in (1, 2, 3)])
    return ours[0][0], data[0], ours[1], theirs


@pytest.mark.parametrize("configuration", [FULLRES, PLANAR])
@pytest.mark.parametrize("resampling", ["spline", "linear"])
@pytest.mark.parametrize(("spacing_mm", "shape"), SCANS)
def test_rows_are_what_nnunet_makes(spacing_mm, shape, resampling, configuration):
    image, wanted, labels, wanted_labels = compare(spacing_mm, shape, resampling, configuration)
    assert image.shape == wanted.shape
    assert np.abs(image - wanted).max() < 1e-3  # of a standard deviation
    assert (labels == wanted_labels).mean() > 0.9995


def test_a_window_computes_no_row_twice():
    asked = []

    def make(start, stop):
        asked.append((start, stop))
        return torch.arange(start, stop)[None].float()

    window = Window(make)
    for start, stop in ((0, 4), (0, 4), (2, 6), (5, 9), (20, 22), (1, 3)):
        assert window(start, stop)[0].tolist() == list(range(start, stop))
    assert asked == [(0, 4), (4, 6), (6, 9), (20, 22), (1, 3)]
