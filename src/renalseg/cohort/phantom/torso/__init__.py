"""Synthetic scans from lungs to thighs, quick enough to train on: image and labels on any grid."""

from renalseg.cohort.phantom.torso.bank import ShapeBank
from renalseg.cohort.phantom.torso.config import REALISM, VARIANTS, TorsoConfig
from renalseg.cohort.phantom.torso.make import Torso, make_torso
from renalseg.cohort.phantom.torso.writer import write_torso_cohort

__all__ = [
    "REALISM",
    "VARIANTS",
    "ShapeBank",
    "Torso",
    "TorsoConfig",
    "make_torso",
    "write_torso_cohort",
]
