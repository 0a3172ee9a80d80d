"""A CT or label map and its place in the patient."""

from renalseg.formats import SUFFIXES
from renalseg.volume.read import read_grid, read_image, read_labels
from renalseg.volume.volume import Volume
from renalseg.volume.warning import UnusualImageWarning

__all__ = ["SUFFIXES", "UnusualImageWarning", "Volume", "read_grid", "read_image", "read_labels"]
