"""Synthetic abdomens in KiTS21 layout, for tests, trials and the demo."""

from renalseg.cohort.phantom.config import PhantomConfig
from renalseg.cohort.phantom.contrast import Phase
from renalseg.cohort.phantom.synthesis import Instance, Phantom, make_phantom
from renalseg.cohort.phantom.writer import write_liver_cohort, write_phantom_cohort

__all__ = [
    "Instance",
    "Phantom",
    "PhantomConfig",
    "Phase",
    "make_phantom",
    "write_liver_cohort",
    "write_phantom_cohort",
]
