"""What is written of a segmentation: the mask, and whatever else was asked for, beside it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renalseg.errors import RenalsegError, VolumeError
from renalseg.formats import (
    DICOM_FORMATS,
    Format,
    data_files,
    entropy_path,
    format_of,
    result_path,
    stem,
)
from renalseg.labels import DiameterLine
from renalseg.outputs import Inputs, check_folder, check_replaced
from renalseg.provenance import is_record, sidecar_path
from renalseg.segmentation import Segmentation
from renalseg.volume.files import remove_leftovers, written_beside
from renalseg.volume.source import Source

if TYPE_CHECKING:
    from pydicom import Dataset

    from renalseg.clinical import Measurements
    from renalseg.report.study import Study
    from renalseg.types import LabelArray
    from renalseg.volume.dicom import Series


_MEASURED = frozenset(Format) - {Format.NIFTI, Format.SEG, Format.RTSTRUCT}


@dataclass(frozen=True)
class Wanted:
    """What to write of each scan.

    Attributes:
        formats: The first is the one that an output folder is filled with, and that says whether
            a scan is done; none leaves it to the scan: NIfTI, or a DICOM segmentation of DICOM.
        uncertainty: Also an entropy map.
        diameter: The line that scores take for a tumor's largest diameter.
    """

    formats: tuple[Format, ...] = ()
    uncertainty: bool = False
    diameter: DiameterLine = DiameterLine.AXIAL

    @property
    def votes(self) -> bool:
        """Whether the members' own masks are needed: measurements come with an interval."""
        return self.uncertainty or any(one in _MEASURED for one in self.formats)

    def files(self, target: Path) -> dict[Format, Path]:
        """The files of a scan; the target itself, which is moved to its place last, stands last."""
        main = format_of(target)
        others = {one: result_path(target, one) for one in self.formats if one is not main}
        return {**others, main: target}

    def all_files(self, target: Path) -> list[Path]:
        """The files of a scan, with its uncertainty and without its record."""
        more = [entropy_path(target)] if self.uncertainty else []
        return [*self.files(target).values(), *more]

    def is_done(self, target: Path) -> bool:
        """Whether all of it stands."""
        return all(os.path.isfile(file) for file in self.all_files(target))  # noqa: PTH113

    def check(self, target: Path, inputs: Inputs) -> None:
        """Check that results replace nothing but earlier results, and can be written.

        Earlier results have a record of renalseg next to them.

        Raises:
            OutputError: If not; VolumeError if the target's name says no format.
        """
        self._check_replaced(target, inputs)
        check_folder(target.parent)

    def refusals(
        self, pairs: Iterable[tuple[Path, Path]], inputs: Inputs
    ) -> dict[tuple[Path, Path], RenalsegError]:
        """Scans and targets whose results cannot be written where they should go, and why.

        Args:
            pairs: Scans and the files that say where their results go.
            inputs: What no result may replace.
        """
        refused: dict[tuple[Path, Path], RenalsegError] = {}
        usable: set[Path] = set()  # a folder is tried once, not for each of its files
        for source, target in pairs:
            try:
                self._check_replaced(target, inputs)
                if target.parent not in usable:
                    check_folder(target.parent)
                    usable.add(target.parent)
            except RenalsegError as error:
                refused[source, target] = error
        return refused

    def _check_replaced(self, target: Path, inputs: Inputs) -> None:
        record = record_path(target)
        ours = is_record(record)
        files = self.all_files(target)
        for path in (record, *files, *(more for file in files for more in data_files(file))):
            check_replaced(path, inputs, is_ours=lambda _: ours)


def record_path(target: Path) -> Path:
    """Where the record of what made them stands: ``mask.json``."""
    return sidecar_path(target.with_name(f"{stem(target)}.nii.gz"))


def write_results(segmentation: Segmentation, source: Source, target: Path, wanted: Wanted) -> None:
    """Write all that was wanted, or nothing.

    Everything is written into a hidden folder first. The target moves to its place last: where it
    stands, the others and the record of what made them do.

    Args:
        segmentation: What was found.
        source: The scan.
        target: The file whose name says where, and one of the formats.
        wanted: What else.

    Raises:
        VolumeError: If a format needs a DICOM series and there is none, or a file cannot be
            written.
    """
    files = wanted.files(target)
    check_formats(source, files)
    is_measured = bool(_MEASURED & files.keys())
    made = _Made(segmentation, source, diameter=wanted.diameter, is_measured=is_measured)
    try:
        remove_leftovers(target)
        with written_beside(target) as beside, _named_by_place(beside, target):
            if segmentation.provenance is not None:
                segmentation.provenance.write(record_path(beside))
            if wanted.uncertainty and segmentation.entropy is not None:
                segmentation.entropy.save(beside.with_name(entropy_path(target).name))
            for one in sorted(files, key=lambda one: one is Format.SR):  # it refers to the SEG
                made.write(one, beside.with_name(files[one].name))
    except OSError as error:
        reason = error.strerror or error
        raise VolumeError(
            f"{target}: cannot be written ({reason}); check folder and space"
        ) from error


@contextmanager
def _named_by_place(beside: Path, target: Path) -> Iterator[None]:
    """Errors name the files where they would stand, not the hidden folder."""
    try:
        yield
    except VolumeError as error:
        raise VolumeError(str(error).replace(f"{beside.parent}", f"{target.parent}")) from error


def check_formats(source: Source, formats: "dict[Format, Path]") -> None:
    """Refuse results that refer to DICOM images of a scan that has none.

    Raises:
        VolumeError: If there is one.
    """
    for one, file in formats.items():
        if one in DICOM_FORMATS and source.series is None:
            raise VolumeError(
                f"{file}: {one} refers to DICOM images, and {source.path.name} has none; give the "
                "DICOM series, or another format"
            )


class _Made:
    """What several results need, made once."""

    def __init__(
        self,
        segmentation: Segmentation,
        source: Source,
        *,
        diameter: DiameterLine,
        is_measured: bool,
    ) -> None:
        self.diameter = diameter
        self.segmentation = segmentation
        self.source = source
        self.is_measured = is_measured
        #: The DICOM segmentation, which the report refers to.
        self.referred: Dataset | None = None

    @cached_property
    def measurements(self) -> "Measurements":
        return self.segmentation.measure(self.source.volume, diameter=self.diameter)

    @cached_property
    def study(self) -> "Study":
        from renalseg.report.study import Study

        made = self.segmentation
        return Study(self.source.volume, made.labels, self.measurements, made.provenance)

    @property
    def series(self) -> "Series":
        assert self.source.series is not None  # check_formats
        return self.source.series

    @cached_property
    def on_source(self) -> "LabelArray":
        return self.series.on_source(self.segmentation.labels)

    @property
    def model(self) -> str:
        """The ensemble's name, version and licence, for results that say what made them."""
        made = self.segmentation.provenance
        return made.model.title if made else ""

    def write(self, wanted: Format, path: Path) -> None:
        """Write one result."""
        from renalseg import dicom
        from renalseg.clinical.table import write_table
        from renalseg.files import write_text
        from renalseg.report.study import study_pdf, write_study_page, write_study_pdf

        match wanted:
            case Format.NIFTI:
                self.segmentation.labels.save(path)
            case Format.SEG:
                self.referred = dicom.write_segmentation(
                    self.on_source, self.series.headers, path, **self._about()
                )
            case Format.RTSTRUCT:
                dicom.write_structure_set(
                    self.on_source, self.series.headers, path, **self._about()
                )
            case Format.SR:
                dicom.write_report(
                    self.measurements, self.series.headers, self.referred, path, model=self.model
                )
            case Format.DICOM_PDF:
                pdf = study_pdf(self.study)
                dicom.write_document(pdf, self.series.headers, path, model=self.model)
            case Format.PDF:
                write_study_pdf(self.study, path)
            case Format.HTML:
                write_study_page(self.study, path)
            case Format.CSV:
                write_table(self.measurements, path)
            case Format.JSON:
                write_text(self.measurements.model_dump_json(indent=2) + "\n", path)

    def _about(self) -> dict[str, Any]:
        """What segments are named by: lesions have the numbers of the report."""
        numbers = self.measurements if self.is_measured else None
        by = self.segmentation.corrected_by
        return {"measurements": numbers, "model": self.model, "corrected_by": by}
