"""The page that shows what an experiment found."""

from renalseg.report.page import Curve, write_report
from renalseg.report.views import CaseView, DrawnCase, draw

__all__ = ["CaseView", "Curve", "DrawnCase", "draw", "write_report"]
