"""CT series from DICOM: found, chosen, checked, and read as a volume."""

from renalseg.volume.dicom.files import is_dicom_source, is_one_study
from renalseg.volume.dicom.info import SeriesInfo
from renalseg.volume.dicom.series import Series, find_series, read_series

__all__ = ["Series", "SeriesInfo", "find_series", "is_dicom_source", "is_one_study", "read_series"]
