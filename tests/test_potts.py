import itertools
import math

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from renalseg.training import potts
from renalseg.training.neighbours import neighbourhood
from renalseg.training.potts import potts_levels_loss, potts_loss


def neighbours_of(index, shape, count, axial, dilation):
    """All neighbours of a voxel, written down from the definition."""
    allowed = {4: 1, 8: 2, 6: 1, 18: 2, 26: 3}[count]
    for step in itertools.product((-1, 0, 1), repeat=3):
        differing = sum(map(abs, step))
        if not 1 <= differing <= allowed or (count in (4, 8) and step[axial]):
            continue
        other = tuple(i + dilation * s for i, s in zip(index, step, strict=True))
        if all(0 <= i < n for i, n in zip(other, shape, strict=True)):
            yield step, other


def brute_force(image, logits, beta, count, axial=0, dilation=1, spacing_mm=None):
    """Golts et al. 2021, eq. 2 and 3, voxel by voxel, over the number of voxels."""
    scores = np.exp(logits) / np.exp(logits).sum(0)
    total = 0.0
    for index in itertools.product(*map(range, image.shape)):
        for step, other in neighbours_of(index, image.shape, count, axial, dilation):
            weight = math.exp(-beta * (image[index] - image[other]) ** 2)
            if spacing_mm is not None:
                axes = [a for a in range(3) if count not in (4, 8) or a != axial]
                length = math.hypot(*(s * mm for s, mm in zip(step, spacing_mm, strict=True)))
                weight *= min(spacing_mm[a] for a in axes) / (dilation * length)
            difference = scores[(slice(None), *index)] - scores[(slice(None), *other)]
            total += weight * float((difference**2).sum())
    return total / image.size


def random_case(seed=0, shape=(3, 4, 5), classes=3):
    random = np.random.RandomState(seed)
    return random.normal(size=shape), random.normal(size=(classes, *shape))


def loss_of(image, logits, beta, pairs):
    image, logits = (torch.as_tensor(a)[None] for a in (image[None], logits))
    return potts_loss(image, logits, beta, pairs)


@pytest.mark.parametrize("count", [4, 6, 8, 18, 26])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("spacing_mm", [None, (3.0, 0.8, 0.9)])
@pytest.mark.parametrize("slab", [1, 60, 10**6])
def test_the_loss_is_the_papers_sum(monkeypatch, count, dilation, spacing_mm, slab):
    monkeypatch.setitem(potts._SLAB, "cpu", slab)
    image, logits = random_case()
    pairs = neighbourhood(count, dilation=dilation, spacing_mm=spacing_mm)
    wanted = brute_force(image, logits, 5.0, count, 0, dilation, spacing_mm)
    assert loss_of(image, logits, 5.0, pairs).item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("axial", [0, 1, 2])
def test_the_axial_plane_may_lie_across_any_axis(axial):
    image, logits = random_case()
    wanted = brute_force(image, logits, 10.0, 4, axial)
    pairs = neighbourhood(4, axial=axial)
    assert loss_of(image, logits, 10.0, pairs).item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("count", [4, 8])
def test_a_2d_network_has_neighbours_in_its_plane(count):
    image, logits = random_case(shape=(1, 4, 5))
    wanted = brute_force(image, logits, 2.0, count)
    found = loss_of(image[0], logits[:, 0], 2.0, neighbourhood(count))
    assert found.item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 4), (2, 1, 3), (2, 2, 2)])
def test_axes_shorter_than_a_step_have_no_pairs(shape):
    image, logits = random_case(shape=shape)
    wanted = brute_force(image, logits, 2.0, 26, dilation=2)
    found = loss_of(image, logits, 2.0, neighbourhood(26, dilation=2))
    assert found.item() == pytest.approx(wanted, rel=1e-12, abs=1e-15)


def test_neighbours_that_are_none_are_refused():
    with pytest.raises(ValueError, match="must be 4, 6, 8, 18 or 26, got 5"):
        neighbourhood(5)


def test_neighbours_of_an_isotropic_volume_weigh_the_same_with_and_without_spacing():
    assert neighbourhood(6, spacing_mm=(0.7, 0.7, 0.7)) == neighbourhood(6)


@pytest.mark.parametrize("count", [4, 26])
@pytest.mark.parametrize("slab", [1, 10**6])
def test_the_gradient_is_right(monkeypatch, count, slab):
    monkeypatch.setitem(potts._SLAB, "cpu", slab)
    image = torch.randn(2, 1, 3, 3, 2, dtype=torch.float64)
    logits = torch.randn(2, 3, 3, 3, 2, dtype=torch.float64, requires_grad=True)
    pairs = neighbourhood(count, spacing_mm=(2.0, 1.0, 1.0))
    assert torch.autograd.gradcheck(lambda x: potts_loss(image, x, 3.0, pairs), logits)


def test_a_constant_prediction_costs_nothing():
    image = torch.randn(2, 1, 4, 4, 4)
    logits = torch.randn(1, 3, 1, 1, 1).expand(2, 3, 4, 4, 4)
    assert potts_loss(image, logits, 10.0, neighbourhood(26)).item() == pytest.approx(0, abs=1e-6)


def test_it_costs_less_where_the_image_has_an_edge():
    logits = torch.zeros(1, 2, 4, 4, 4)
    logits[:, 0, :2], logits[:, 1, 2:] = 10, 10
    flat = torch.zeros(1, 1, 4, 4, 4)
    edge = flat.clone()
    edge[:, :, 2:] = 1
    pairs = neighbourhood(6)
    assert potts_loss(edge, logits, 10.0, pairs) < 1e-3 * potts_loss(flat, logits, 10.0, pairs)


@pytest.mark.parametrize("count", [4, 18])
def test_what_the_loss_does_not_depend_on(count):
    image = torch.randn(2, 1, 4, 5, 6, dtype=torch.float64)
    logits = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    pairs = neighbourhood(count)
    loss = potts_loss(image, logits, 4.0, pairs)
    same = [
        (image + 7, logits),
        (-image, logits),
        (image, logits + torch.randn(2, 1, 4, 5, 6, dtype=torch.float64)),
        (image, logits[:, [2, 0, 1]]),
        (image.flip(0), logits.flip(0)),
        *((image.flip(axis), logits.flip(axis)) for axis in (2, 3, 4)),
        (image.transpose(3, 4), logits.transpose(3, 4)),
        (image, logits.to(memory_format=torch.channels_last_3d)),
    ]
    for other_image, other_logits in same:
        torch.testing.assert_close(potts_loss(other_image, other_logits, 4.0, pairs), loss)


def test_the_loss_does_not_depend_on_the_size_of_the_patch():
    image, logits = torch.randn(1, 1, 8, 8, 8), torch.randn(1, 3, 8, 8, 8)
    pairs = neighbourhood(6)
    one = potts_loss(image, logits, 4.0, pairs)
    both = potts_loss(image.repeat(2, 1, 1, 1, 1), logits.repeat(2, 1, 1, 1, 1), 4.0, pairs)
    torch.testing.assert_close(one, both)


def test_half_precision_is_computed_in_single():
    image, logits = torch.randn(1, 1, 8, 8, 8), torch.randn(1, 3, 8, 8, 8).bfloat16()
    pairs = neighbourhood(6)
    wide = logits.float().requires_grad_()
    narrow = logits.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = potts_loss(image, narrow, 4.0, pairs)
    loss.backward()
    exact = potts_loss(image, wide, 4.0, pairs)
    exact.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact)
    assert narrow.grad.dtype == torch.bfloat16
    torch.testing.assert_close(narrow.grad.float(), wide.grad, rtol=1e-2, atol=1e-7)


def test_it_compiles_whole():
    image, logits = torch.randn(1, 1, 6, 6, 6), torch.randn(1, 3, 6, 6, 6, requires_grad=True)
    pairs = neighbourhood(6)

    def step(x):
        return potts_loss(image, 2 * x, 4.0, pairs)

    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(logits), step(logits))
    (gradient,) = torch.autograd.grad(compiled(logits), logits)
    (wanted,) = torch.autograd.grad(step(logits), logits)
    torch.testing.assert_close(gradient, wanted)


def test_the_operator_keeps_torchs_rules():
    image, logits = torch.randn(1, 1, 3, 3, 3), torch.randn(1, 2, 3, 3, 3, requires_grad=True)
    pairs = neighbourhood(6)
    steps = [step for offset in pairs.offsets for step in offset]
    torch.library.opcheck(potts._potts, (image, logits, 4.0, steps, list(pairs.weights)))


def test_every_level_is_the_loss_of_its_own_resolution():
    image = torch.randn(1, 1, 8, 8, 8)
    outputs = [torch.randn(1, 3, n, n, n) for n in (8, 4, 2)]
    pairs = neighbourhood(6)
    coarse = torch.nn.functional.avg_pool3d(image, 2)
    wanted = 2 * potts_loss(image, outputs[0], 4.0, pairs)
    wanted = (wanted + potts_loss(coarse, outputs[1], 4.0, pairs)) / 3
    torch.testing.assert_close(potts_levels_loss(image, outputs, 4.0, pairs), wanted)


@pytest.mark.parametrize("count", [6, 26])
def test_it_takes_no_more_than_two_copies_of_the_softmax(monkeypatch, count):
    """Everything that is allocated and not yet freed, at any time of both passes."""
    image = torch.randn(1, 1, 64, 64, 64)
    logits = torch.randn(1, 4, 64, 64, 64, requires_grad=True)
    monkeypatch.setitem(potts._SLAB, "cpu", potts._SLAB["cpu"] // 16)  # 2 x 4 x 128^3, 16th part
    pairs = neighbourhood(count)
    potts_loss(image, logits, 4.0, pairs).backward()
    logits.grad = None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        potts_loss(image, logits, 4.0, pairs).backward()
    changes = [
        event.nbytes()
        for event in seen.profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]
    peak = max(np.cumsum(changes))
    assert 0.9 < peak / (logits.numel() * 4) < 2.01  # a few numbers stand beside them
