"""KiTS cohorts: their cases, and the label maps that come of several annotators."""

from typing import TYPE_CHECKING

# The names are loaded on first use: the command line asks for them only inside its commands.
if TYPE_CHECKING:
    from renalseg.cohort.aggregation import aggregate, write_aggregate
    from renalseg.cohort.case import Case
    from renalseg.cohort.check import CaseCheck, check_cohort
    from renalseg.cohort.cohort import Cohort
    from renalseg.cohort.drawn import case_map, per_slice_map, plausible_map
    from renalseg.cohort.layout import Layout
    from renalseg.cohort.plausible import PlausibleMap, plausible_maps, write_plausible_maps
    from renalseg.cohort.reference import Protocol, Reference, references

_HOMES = {
    "Case": "case",
    "CaseCheck": "check",
    "Cohort": "cohort",
    "Layout": "layout",
    "PlausibleMap": "plausible",
    "Protocol": "reference",
    "Reference": "reference",
    "aggregate": "aggregation",
    "case_map": "drawn",
    "check_cohort": "check",
    "per_slice_map": "drawn",
    "plausible_map": "drawn",
    "plausible_maps": "plausible",
    "references": "reference",
    "write_aggregate": "aggregation",
    "write_plausible_maps": "plausible",
}

__all__ = [
    "Case",
    "CaseCheck",
    "Cohort",
    "Layout",
    "PlausibleMap",
    "Protocol",
    "Reference",
    "aggregate",
    "case_map",
    "check_cohort",
    "per_slice_map",
    "plausible_map",
    "plausible_maps",
    "references",
    "write_aggregate",
    "write_plausible_maps",
]


def __getattr__(name: str) -> object:
    """Load a public name from its module."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"renalseg.cohort.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
