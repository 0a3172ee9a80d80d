"""One study for a reader: a page, and the same as PDF."""

from renalseg.report.study.document import study_pdf, write_study_pdf
from renalseg.report.study.page import write_study_page
from renalseg.report.study.record import TITLE, Patient, Study

__all__ = ["TITLE", "Patient", "Study", "study_pdf", "write_study_page", "write_study_pdf"]
