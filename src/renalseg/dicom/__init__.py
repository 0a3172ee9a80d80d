"""Results as DICOM: a segmentation, a report of the measurements, contours, and a PDF.

All refer to the CT images that they are about, belong to the same patient and study, carry new UIDs
and say that they are not for diagnostic use. Labels lie on the images' own pixels: array axes are
(slice, row, column) in the order of the headers (``Series.on_source``).
"""

from renalseg.dicom.document import write_document
from renalseg.dicom.report import write_report
from renalseg.dicom.segmentation import write_segmentation
from renalseg.dicom.structure_set import write_structure_set

__all__ = ["write_document", "write_report", "write_segmentation", "write_structure_set"]
