"""Kidneys and lesions measured, and the scores that urologists make of them."""

from renalseg.clinical.measure import measure
from renalseg.clinical.records import Measurements

__all__ = ["Measurements", "measure"]
