"""A label map seen from the front in 3D: shaded surfaces, the kidney translucent.

Rays run along the row axis, from front to back; the picture is (slice, column), so the patient's
right is on its left and the head at its top.
"""

import numpy as np

from renalseg.labels import COLORS, FOREGROUND, Label
from renalseg.types import AnyArray, LabelArray, MaskArray

BACKGROUND = (20, 24, 31)
VOXEL_MM = 2.0
MARGIN_MM = 12.0
SMOOTHING_MM = 2.0
KIDNEY_ALPHA = 0.55
LIGHT = (-0.45, -0.75, -0.48)


def render(
    labels: LabelArray,
    spacing_mm: tuple[float, float, float],
    *,
    frame: LabelArray | None = None,
    width: int = 360,
) -> AnyArray:
    """Draw a label map.

    Args:
        labels: Label map, (slice, row, column).
        spacing_mm: Voxel size along the three axes.
        frame: Label map whose extent sets the picture's, so that several pictures match.
        width: Width of the picture in pixels.

    Returns:
        RGB picture, uint8, (height, width, 3).
    """
    from PIL import Image

    box = _box(labels if frame is None else (labels > 0) | (frame > 0), spacing_mm)
    cut = labels[box]
    extent_mm = [n * size for n, size in zip(cut.shape, spacing_mm, strict=True)]
    height = max(1, round(width * extent_mm[0] / extent_mm[2]))
    picture = np.empty((*_grid(extent_mm)[::2], 3), np.float32)
    picture[:] = BACKGROUND
    surfaces = {label: _surface(cut == label, spacing_mm, extent_mm) for label in FOREGROUND}
    kidney_depth, kidney_shade = surfaces[Label.KIDNEY]
    layers = sorted((Label.TUMOR, Label.CYST), key=lambda label: -_near(surfaces[label][0]))
    for behind in (True, False):
        for label in layers:
            depth, shade = surfaces[label]
            seen = np.isfinite(depth) & ((depth > kidney_depth) == behind)
            picture[seen] = shade[seen, None] * np.array(COLORS[label])
        if behind:
            seen = np.isfinite(kidney_depth)
            color = kidney_shade[..., None] * np.array(COLORS[Label.KIDNEY])
            through = seen & (picture != BACKGROUND).any(axis=-1)
            picture[seen & ~through] = color[seen & ~through]
            picture[through] = (1 - KIDNEY_ALPHA) * picture[through] + KIDNEY_ALPHA * color[through]
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


def _surface(
    mask: MaskArray, spacing_mm: tuple[float, float, float], extent_mm: list[float]
) -> tuple[AnyArray, AnyArray]:
    """Depth in mm of the first surface along each ray (inf where there is none), and its shade."""
    from scipy import ndimage

    grid = _grid(extent_mm)
    if not mask.any():
        return np.full(grid[::2], np.inf, np.float32), np.zeros(grid[::2], np.float32)
    zoom = [new / old for new, old in zip(grid, mask.shape, strict=True)]
    field = ndimage.zoom(mask.astype(np.float32), zoom, order=1, grid_mode=True, mode="nearest")
    sigma = [max(SMOOTHING_MM, 0.5 * size) / VOXEL_MM for size in spacing_mm]
    field = ndimage.gaussian_filter(field, sigma, truncate=2.5)
    inside = field > min(0.5, 0.5 * float(field.max()))
    hit = inside.any(axis=1)
    first = inside.argmax(axis=1)
    rows, columns = np.indices(first.shape)
    gradient = np.stack([slope[rows, first, columns] for slope in np.gradient(field)], axis=-1)
    # the gradient points inwards; so does the light
    normal = gradient / (np.linalg.norm(gradient, axis=-1, keepdims=True) + 1e-6)
    light = -np.array(LIGHT) / np.linalg.norm(LIGHT)
    lambert = np.clip(normal @ light, 0, 1)
    depth = np.where(hit, first * VOXEL_MM, np.inf).astype(np.float32)
    return depth, (0.32 + 0.78 * lambert).astype(np.float32)


def _grid(extent_mm: list[float]) -> tuple[int, int, int]:
    slices, rows, columns = (max(1, round(size / VOXEL_MM)) for size in extent_mm)
    return slices, rows, columns


def _box(mask: AnyArray, spacing_mm: tuple[float, float, float]) -> tuple[slice, ...]:
    box = []
    for axis, size in enumerate(spacing_mm):
        others = tuple(other for other in range(3) if other != axis)
        inside = np.flatnonzero((mask > 0).any(axis=others))
        if not inside.size:
            return tuple(slice(0, n) for n in mask.shape)
        margin = round(MARGIN_MM / size)
        low, high = max(0, inside[0] - margin), inside[-1] + 1 + margin
        box.append(slice(int(low), int(min(high, mask.shape[axis]))))
    return tuple(box)


def _near(depth: AnyArray) -> float:
    return float(depth.min())
