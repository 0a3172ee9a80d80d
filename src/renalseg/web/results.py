"""A version of a mask in every format that can be taken away; each is made once and kept."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from renalseg.clinical.records import Measurements
from renalseg.formats import DICOM_FORMATS, Format, result_path
from renalseg.labels import DiameterLine
from renalseg.provenance import Provenance
from renalseg.segmentation import Segmentation
from renalseg.volume import Volume, read_labels
from renalseg.web.folder import StudyFolder
from renalseg.web.job import provenance_path
from renalseg.web.scan import read_kept_image, read_scan
from renalseg.web.settings import Limits
from renalseg.web.study import Study, Version

if TYPE_CHECKING:
    from renalseg.report.study import Study as Report


class Download(StrEnum):
    """What can be taken away: all that ``renalseg predict`` writes, and NRRD."""

    NIFTI = "nifti"
    NRRD = "nrrd"
    SEG = "seg"
    SR = "sr"
    RTSTRUCT = "rtstruct"
    DICOM_PDF = "dicom-pdf"
    PDF = "pdf"
    HTML = "html"
    CSV = "csv"
    JSON = "json"

    @property
    def is_dicom(self) -> bool:
        """Whether it refers to DICOM images, and needs them."""
        return self is not Download.NRRD and Format(self.value) in DICOM_FORMATS

    def file_name(self, study: str, version: int) -> str:
        """What the file is called on the user's computer."""
        target = Path(f"{study or 'study'}-v{version}.nii.gz")
        if self is Download.NRRD:
            return target.name.removesuffix(".nii.gz") + ".nrrd"
        return result_path(target, Format(self.value)).name

    @property
    def media_type(self) -> str:
        """Its type on the web."""
        return _MEDIA_TYPES.get(self, "application/dicom")


_MEDIA_TYPES = {
    Download.NIFTI: "application/gzip",
    Download.NRRD: "application/octet-stream",
    Download.PDF: "application/pdf",
    Download.HTML: "text/html",
    Download.CSV: "text/csv",
    Download.JSON: "application/json",
}


@dataclass(frozen=True)
class KeptSegmentation(Segmentation):
    """A mask from the disk.

    Attributes:
        kept: What was measured of it when it was made, over the ensemble's members too.
    """

    kept: Measurements | None = None

    def measure(
        self, ct: Volume | None = None, *, diameter: str = DiameterLine.AXIAL
    ) -> Measurements:
        """What was measured of it."""
        return self.kept or super().measure(ct, diameter=diameter)


def write_result(
    wanted: Download,
    study: Study,
    version: Version,
    folder: StudyFolder,
    limits: Limits,
    measurements: Measurements,
) -> Path:
    """Write a version in a format, where it does not stand already.

    Raises:
        RenalsegError: It cannot be made of this study.
    """
    number = version.number
    if wanted is Download.NIFTI:
        return folder.mask(number)
    if wanted is Download.JSON:
        return folder.measurements(number)
    target = folder.results(number) / wanted.file_name("study", number)
    if target.is_file():
        return target
    target.parent.mkdir(mode=0o700, exist_ok=True)
    labels = read_labels(folder.mask(number))
    match wanted:
        case Download.NRRD:
            labels.save(target)
        case Download.CSV:
            from renalseg.clinical.table import write_table

            write_table(measurements, target)
        case Download.HTML:
            from renalseg.report.study import write_study_page

            write_study_page(_report(labels, version, folder, measurements), target)
        case Download.PDF:
            from renalseg.report.study import write_study_pdf

            write_study_pdf(_report(labels, version, folder, measurements), target)
        case _:
            _write_dicom(wanted, labels, study, version, folder, limits, measurements, target)
    return target


def _report(
    labels: Volume, version: Version, folder: StudyFolder, measurements: Measurements
) -> "Report":
    from renalseg.report.study import TITLE
    from renalseg.report.study import Study as Report

    title = TITLE if version.number == 1 else f"{TITLE}: version {version.number}"
    if version.number != 1:
        title = f"{title}, corrected by {version.by}"
    ct = read_kept_image(folder)
    return Report(ct, labels, measurements, _provenance(version, folder), title=title)


def _provenance(version: Version, folder: StudyFolder) -> Provenance | None:
    """What made a mask: the ensemble, or a person, of whom there is no such record."""
    path = provenance_path(folder)
    if version.number != 1 or not path.is_file():
        return None
    return Provenance.model_validate_json(path.read_bytes())


def _write_dicom(
    wanted: Download,
    labels: Volume,
    study: Study,
    version: Version,
    folder: StudyFolder,
    limits: Limits,
    measurements: Measurements,
    target: Path,
) -> None:
    from renalseg.results import Wanted, write_results
    from renalseg.volume.source import Source

    scan = read_scan(folder, limits)
    found = KeptSegmentation(
        labels=scan.volume.like(labels.array),
        made_by=(version.by,),
        corrected_by="" if version.number == 1 else version.by,
        provenance=_provenance(version, folder),
        kept=measurements,
    )
    source = Source(Path(study.file_name or "scan"), scan.volume, scan.series)
    # a structured report refers to its segmentation: both are made together, and kept
    formats = (Format.SEG, Format.SR) if wanted in (Download.SEG, Download.SR) else ()
    write_results(found, source, target, Wanted(formats))
