"""What a scanner makes of a patient: blur, noise, artefacts, the numbers a file holds."""

from dataclasses import dataclass

import numpy as np

from renalseg.cohort.phantom.canvas import Canvas
from renalseg.types import AnyArray


@dataclass(frozen=True)
class Scanner:
    """How a scan was taken and reconstructed.

    Attributes:
        blur_mm: In the plane, standard deviation.
        sharpen: Edge enhancement of the kernel.
        noise_hu: Standard deviation in the middle of the body.
        grain_mm: How coarse the noise is, standard deviation of its blur.
        shading_hu: Slow drift over the field.
        streaks_hu: Noise that runs from side to side, as shoulders and hips give.
        padding: Value outside the reconstructed circle, or None where there is none.
    """

    blur_mm: float
    sharpen: float
    noise_hu: float
    grain_mm: float
    shading_hu: float
    streaks_hu: float
    padding: int | None

    @classmethod
    def draw(cls, rng: np.random.Generator, thick_mm: float) -> "Scanner":
        """Draw a scanner; thin slices are noisier."""
        noise = float(rng.lognormal(np.log(13), 0.5)) * (3.0 / thick_mm) ** 0.25
        padding = int(rng.choice([-1024, -2048, -1000])) if rng.random() < 0.4 else None
        return cls(
            blur_mm=float(rng.uniform(0.3, 1.1)),
            sharpen=float(rng.uniform(0.2, 0.8)) if rng.random() < 0.2 else 0.0,
            noise_hu=min(noise, 45.0),
            grain_mm=float(rng.uniform(0.5, 1.3)),
            shading_hu=float(rng.uniform(0, 5)),
            streaks_hu=float(rng.uniform(1, 7)) if rng.random() < 0.25 else 0.0,
            padding=padding,
        )


def scan(canvas: Canvas, scanner: Scanner) -> AnyArray:
    """Scan the painted patient.

    Returns:
        HU, int16.
    """
    from scipy import ndimage

    grid, hu = canvas.grid, canvas.hu
    rng = canvas.rng
    thick, pixel = grid.spacing_mm[0], grid.spacing_mm[1]
    shading = canvas.field(120)
    image = np.empty(grid.shape, np.int16)
    outside = _outside(grid.shape[1:]) if scanner.padding is not None else None
    grain = _Grain(rng, scanner.grain_mm / pixel)
    # Neighboring slices overlap: each takes a little of the next, and the same noise.
    share = min(0.16, 0.4 / thick)
    before: AnyArray | None = None
    for k in range(grid.shape[0]):
        above, below = hu[max(k - 1, 0)], hu[min(k + 1, grid.shape[0] - 1)]
        plane = (1 - 2 * share) * hu[k] + share * (above + below)
        plane = ndimage.gaussian_filter(plane, scanner.blur_mm / pixel, truncate=3)
        if scanner.sharpen:
            soft = ndimage.gaussian_filter(plane, 1.5 / pixel + 0.3, truncate=3)
            plane += np.float32(scanner.sharpen) * (plane - soft)
        noise = grain(grid.shape[1:])
        if before is not None and thick < 3:
            noise, before = 0.85 * noise + 0.53 * before, noise
        else:
            before = noise
        # Photons that cross more body are fewer.
        body = ndimage.uniform_filter(
            (hu[k, ::4, ::4] > -400).astype(np.float32), max(3, int(120 / (4 * pixel)))
        )
        local = np.kron(body, np.ones((4, 4), np.float32))[: plane.shape[0], : plane.shape[1]]
        level = np.float32(scanner.noise_hu) * (0.35 + 0.65 * local)
        plane += level * noise
        if scanner.streaks_hu:
            rows = ndimage.gaussian_filter1d(rng.standard_normal(plane.shape[0], np.float32), 1.0)
            plane += np.float32(scanner.streaks_hu) * rows[:, None] * local
        box = (slice(k, k + 1), *grid.whole[1:])
        plane += np.float32(scanner.shading_hu) * shading.on(box)[0] * local
        if outside is not None and scanner.padding is not None:
            plane[outside] = scanner.padding
        image[k] = np.clip(np.rint(plane), scanner.padding or -1024, 3071)
    return image


def _outside(shape: tuple[int, ...]) -> AnyArray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    middle = np.array(shape) / 2 - 0.5
    away = (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2
    return np.asarray(away > (shape[0] / 2) ** 2)


@dataclass(frozen=True)
class _Grain:
    """Correlated noise of standard deviation 1."""

    rng: np.random.Generator
    sigma: float

    def __call__(self, shape: tuple[int, ...]) -> AnyArray:
        from scipy import ndimage

        white = self.rng.standard_normal(shape, np.float32)
        if self.sigma < 0.25:
            return white
        soft = ndimage.gaussian_filter(white, self.sigma, truncate=3)
        return np.asarray(soft / max(float(soft.std()), 1e-6))
