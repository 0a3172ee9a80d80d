"""What a scanner makes of a torso: slices, kernel, dose, artefacts, the numbers in a file.

The noise's grain was measured in the liver of a real series (Br38f kernel, 2 mm apart, 3 mm
thick): correlation 0.6 and 0.3 at one pixel of 1 mm along rows and columns, 0.64, 0.2 and 0.1
at one, two and three slices, standard deviation 12.5 HU.
"""

from dataclasses import dataclass

import numpy as np

from renalseg.cohort.phantom.grid import Grid
from renalseg.cohort.phantom.patient import Patient
from renalseg.cohort.phantom.torso.stage import Stage
from renalseg.types import AnyArray


@dataclass(frozen=True)
class Acquisition:
    """How a torso was scanned and reconstructed.

    Attributes:
        slice_mm: Slice thickness.
        step_mm: From slice to slice.
        blur_mm: Of the kernel, standard deviation.
        sharpen: Edge enhancement.
        noise_hu: Standard deviation in the middle of an average body.
        grain_mm: Of the noise along rows and columns, standard deviation of its blur.
        cupping_hu: How much darker the middle is.
        beam_hu: Depth of the dark bands between bones.
        offset_hu: Of a scanner out of calibration.
        gain: About 1.
        padding: Value outside of the reconstructed field.
        field_mm: Its radius, or None for all.
        motion: Share of slices that a breath disturbs.
    """

    slice_mm: float
    step_mm: float
    blur_mm: float
    sharpen: float
    noise_hu: float
    grain_mm: tuple[float, float]
    cupping_hu: float
    beam_hu: float
    offset_hu: float
    gain: float
    padding: int
    field_mm: float | None
    motion: float

    @classmethod
    def draw(
        cls, rng: np.random.Generator, p: Patient, thick_mm: float, *, flawed: bool
    ) -> "Acquisition":
        """Draw one; where not ``flawed``, a clean scan of middling noise."""
        grain = float(rng.uniform(0.35, 1.2))
        if not flawed:
            return cls(thick_mm, thick_mm, 0.6, 0.0, 12.0, (0.5, 0.8), 0, 0, 0, 1, -1024, None, 0)
        step = max(
            thick_mm, float(rng.choice([1.0, 2.5, 3.0, 5.0, 7.0], p=[0.3, 0.2, 0.25, 0.2, 0.05]))
        )
        sharp = rng.random() < 0.2
        girth = p.half_width + 0.9 * p.fat
        odd = rng.random() < 0.08
        return cls(
            slice_mm=step * float(rng.uniform(1.0, 1.5)),
            step_mm=step,
            blur_mm=float(rng.uniform(0.3, 1.3)),
            sharpen=float(rng.uniform(0.2, 1.0)) if sharp else 0.0,
            noise_hu=float(
                np.clip(rng.lognormal(np.log(11), 0.6) * (1.5 if sharp else 1), 2.5, 60)
            ),
            grain_mm=(grain * 0.6, grain),
            cupping_hu=float(rng.uniform(-4, 10)),
            beam_hu=float(rng.uniform(0, 22)),
            offset_hu=float(rng.uniform(-45, 45) if odd else rng.normal(0, 3)),
            gain=float(rng.uniform(0.94, 1.06) if odd else rng.normal(1, 0.008)),
            padding=int(rng.choice([-1024, -1000, -2000, -3024], p=[0.6, 0.2, 0.12, 0.08])),
            field_mm=girth * float(rng.uniform(0.8, 1.6)) if rng.random() < 0.4 else None,
            motion=float(rng.uniform(0.1, 0.5)) if rng.random() < 0.2 else 0.0,
        )

    def outside(self, grid: Grid) -> AnyArray:
        """Which pixels of a slice lie outside of the reconstructed field."""
        _, many_rows, many_columns = grid.shape
        if self.field_mm is None:
            return np.zeros((many_rows, many_columns), bool)
        rows, columns = np.ogrid[0:many_rows, 0:many_columns]
        away = np.hypot(rows - (many_rows - 1) / 2, columns - (many_columns - 1) / 2)
        return np.asarray(away * grid.spacing_mm[1] > self.field_mm)


def scan(stage: Stage, rng: np.random.Generator, a: Acquisition) -> AnyArray:
    """Scan what is painted.

    Returns:
        HU, int16, on the stage's grid.
    """
    from scipy import ndimage

    hu, grid = stage.hu, stage.grid
    pixel = grid.spacing_mm[1]
    if a.motion:
        hu = _moved(hu, rng, a.motion, pixel)
    metal = _streaks(hu, rng, pixel) if a.beam_hu else None
    level = _level(hu, pixel)
    resample, average = _slices(grid.shape[0], grid.spacing_mm[0], a)
    plane = grid.shape[1] * grid.shape[2]
    image = ((resample @ average) @ hu.reshape(-1, plane)).reshape(grid.shape)
    blur = a.blur_mm / pixel
    if blur > 0.28:
        image = ndimage.gaussian_filter(image, (0, blur, blur), truncate=3)
    if a.sharpen:
        soft = ndimage.uniform_filter(image, (1, 3, 3))
        image += np.float32(a.sharpen) * (image - soft)
    noise = rng.standard_normal((resample.shape[1], *grid.shape[1:]), np.float32)
    for axis, mm in zip((1, 2), a.grain_mm, strict=True):
        if mm / pixel > 0.28:
            noise = ndimage.gaussian_filter1d(noise, mm / pixel, axis, truncate=3)
    # Slices that overlap share noise.
    overlap = min(max(0.25 * (a.slice_mm / a.step_mm - 1) * 2, 0.0), 0.3)
    noise[1:] += np.float32(overlap) * noise[:-1]
    noise *= np.float32(a.noise_hu / max(float(noise.std()), 1e-6))
    noise = (resample @ noise.reshape(-1, plane)).reshape(grid.shape)
    image += noise * level
    if a.beam_hu or a.cupping_hu:
        image += _shading(hu, a, pixel)
    if metal is not None:
        image += metal
    image *= np.float32(a.gain)
    image += np.float32(a.offset_hu + 1000 * (a.gain - 1))
    np.rint(image, out=image)
    np.clip(image, -1024, 3071, out=image)
    out = image.astype(np.int16)
    out[:, a.outside(grid)] = a.padding
    return out


def _slices(count: int, mm: float, a: Acquisition) -> tuple[AnyArray, AnyArray]:
    """Two matrices: slices from the grid (averaged), the grid from slices (linear)."""
    height = count * mm
    native = max(2, int(np.ceil(height / a.step_mm)))
    centers = (np.arange(native) + 0.5) * height / native
    own = (np.arange(count) + 0.5) * mm
    half = max(a.slice_mm, mm) / 2
    overlap = np.minimum(centers[:, None] + half, own + mm / 2)
    overlap -= np.maximum(centers[:, None] - half, own - mm / 2)
    average = np.clip(overlap, 0, None)
    average /= average.sum(1, keepdims=True)
    at = np.clip((own - centers[0]) / (centers[1] - centers[0]), 0, native - 1)
    low = np.minimum(at.astype(int), native - 2)
    resample = np.zeros((count, native))
    resample[np.arange(count), low] = 1 - (at - low)
    resample[np.arange(count), low + 1] = at - low
    return resample.astype(np.float32), average.astype(np.float32)


def _level(hu: AnyArray, pixel: float) -> AnyArray:
    """How noisy each voxel is: rays that cross more body carry fewer photons."""
    density = np.clip(hu[:, ::2, ::2] + 1000, 0, 2500) * np.float32(0.002 * pixel)
    along_rows, along_columns = density.sum(2), density.sum(1)
    # Half of the path's effect: the tube current follows the patient.
    a = np.exp(0.0055 * (along_rows - 280))[:, :, None]
    b = np.exp(0.0055 * (along_columns - 210))[:, None, :]
    return _enlarged(np.clip(np.sqrt(0.5 * (a + b)), 0.25, 4), 2, hu.shape)


def _enlarged(coarse: AnyArray, times: int, shape: tuple[int, ...]) -> AnyArray:
    """Repeat rows and columns so many times, cut to a shape; float32."""
    slices, rows, columns = coarse.shape
    each = np.asarray(coarse, np.float32)[:, :, None, :, None]
    fine = np.broadcast_to(each, (slices, rows, times, columns, times))
    return fine.reshape(slices, rows * times, columns * times)[:, : shape[1], : shape[2]]


def _shading(hu: AnyArray, a: Acquisition, pixel: float) -> AnyArray:
    """Dark bands along rows that cross much bone, and a darker middle."""
    from scipy import ndimage

    shape = hu.shape
    dense = np.clip(hu[:, ::4, ::4] - 250, 0, 1500) / 400
    rows = dense.sum(2) * pixel * 4
    band = ndimage.gaussian_filter(rows, (0.6, 2.5 / pixel)) / 60
    bodily = ndimage.uniform_filter(np.asarray(hu[:, ::4, ::4] > -300, np.float32), (1, 13, 13))
    y, x = np.linspace(-1, 1, bodily.shape[1]), np.linspace(-1, 1, bodily.shape[2])
    middle = np.clip(1 - x**2 / 0.5, 0, 1)
    out = -a.beam_hu * np.clip(band, 0, 2)[:, :, None] * middle
    out = out - a.cupping_hu * np.clip(1 - 1.6 * (y[:, None] ** 2 + x**2), -0.6, 1)
    return _enlarged(out * bodily, 4, shape)


def _streaks(hu: AnyArray, rng: np.random.Generator, pixel: float) -> AnyArray | None:
    """Star-shaped streaks around metal, slice by slice."""
    from scipy import ndimage

    metal = hu > 1900
    amount = metal.sum((1, 2))
    slices = np.flatnonzero(amount)
    if not len(slices):
        return None
    out = np.zeros_like(hu)
    rays = ndimage.gaussian_filter1d(rng.standard_normal(256), 1.5, mode="wrap")
    rays /= rays.std()
    for k in slices:
        pieces, count = ndimage.label(metal[k])
        for n, (cy, cx) in enumerate(
            ndimage.center_of_mass(metal[k], pieces, range(1, min(count, 6) + 1)), 1
        ):
            size = float((pieces == n).sum()) * pixel**2
            y = (np.arange(hu.shape[1]) - cy)[:, None] * pixel
            x = (np.arange(hu.shape[2]) - cx)[None, :] * pixel
            turn = ((np.arctan2(y, x) / (2 * np.pi)) * 256).astype(int) & 255
            r = np.hypot(y, x)
            strength = min(0.9 * size, 260) * np.exp(-r / (14 + 0.05 * min(size, 400)))
            out[k] += strength * (rays[turn] - 0.25)
    return out


def _moved(hu: AnyArray, rng: np.random.Generator, share: float, pixel: float) -> AnyArray:
    """A breath within some slices: the front is doubled, what lies below is shifted."""
    count = max(2, int(share * hu.shape[0]))
    first = int(rng.integers(0, hu.shape[0] - count))
    out = hu.copy()
    part = slice(first, first + count)
    steps = max(1, round(float(rng.uniform(2, 8)) / pixel))
    ghost = np.roll(hu[part], (-steps, int(rng.integers(-1, 2))), (1, 2))
    weight = np.clip(1 - np.arange(hu.shape[1]) / (0.65 * hu.shape[1]), 0, 0.5)
    out[part] += (weight * float(rng.uniform(0.4, 1)))[None, :, None].astype(np.float32) * (
        ghost - hu[part]
    )
    return out
