"""Models of nnU-Net v1, turned once into plain nnU-Net v2 model folders."""

from renalseg.models.v1.convert import convert_v1, find_v1

__all__ = ["convert_v1", "find_v1"]
