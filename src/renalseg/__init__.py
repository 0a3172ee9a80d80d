"""renalseg: kidneys, tumors and cysts segmented in CT (research software, not a medical device).

>>> import renalseg
>>> segmenter = renalseg.load()                               # doctest: +SKIP
>>> segmenter.predict("scan.nii.gz").save("mask.nii.gz")      # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from renalseg.pipeline import Segmenter

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(folder: "Path | str" = "default", **options: Any) -> "Segmenter":
    """Load an ensemble, the one that comes with renalseg unless a folder is given.

    The options are those of :meth:`renalseg.pipeline.Segmenter.load`.
    """
    from renalseg.pipeline import Segmenter

    return Segmenter.load(folder, **options)
