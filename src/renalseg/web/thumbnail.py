"""A small picture of a study, for the list."""

from pathlib import Path

import numpy as np

from renalseg.labels import COLORS
from renalseg.types import LabelArray
from renalseg.volume import Volume
from renalseg.volume.files import written_beside

_SIDE = 128
#: HU that are black and white: soft tissue.
_LOW_HU, _HIGH_HU = -160.0, 240.0
_OPACITY = 0.55


def write_thumbnail(ct: Volume, labels: LabelArray | None, path: Path) -> None:
    """Draw the axial slice with the most foreground, or the middle one, as WebP.

    Args:
        ct: The scan.
        labels: Its label map, where there is one.
        path: The file.
    """
    from PIL import Image

    counts = np.zeros(ct.shape[0]) if labels is None else np.count_nonzero(labels, axis=(1, 2))
    number = int(counts.argmax()) if counts.any() else ct.shape[0] // 2
    gray = (ct.array[number].astype(np.float32) - _LOW_HU) / (_HIGH_HU - _LOW_HU)
    picture = np.repeat(np.clip(gray, 0, 1)[..., None] * 255, 3, axis=2)
    for label, color in COLORS.items():
        if labels is not None:
            inside = labels[number] == label
            picture[inside] += _OPACITY * (np.array(color) - picture[inside])
    _, row_mm, column_mm = ct.spacing_mm
    height_mm, width_mm = picture.shape[0] * row_mm, picture.shape[1] * column_mm
    scale = _SIDE / max(height_mm, width_mm)
    size = (max(1, round(width_mm * scale)), max(1, round(height_mm * scale)))
    image = Image.fromarray(picture.astype(np.uint8)).resize(size)
    square = Image.new("RGB", (_SIDE, _SIDE))
    square.paste(image, ((_SIDE - size[0]) // 2, (_SIDE - size[1]) // 2))
    with written_beside(path) as beside:
        square.save(beside, "WEBP", quality=80)
