"""One study from what was sent to its results."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import numpy as np

from renalseg.errors import CancelledError, RenalsegError
from renalseg.files import write_text
from renalseg.inference.plausibility import unusual
from renalseg.labels import DiameterLine
from renalseg.models.manifest import KITS_WORLD, World
from renalseg.pipeline import Segmenter, cleaning_settings
from renalseg.postprocess import Cleaning
from renalseg.provenance import InputRecord, Warned, sidecar_path
from renalseg.segmentation import Segmentation
from renalseg.volume import Volume
from renalseg.web.folder import StudyFolder
from renalseg.web.scan import Scan, read_scan
from renalseg.web.settings import Limits
from renalseg.web.study import Facts, Study
from renalseg.web.thumbnail import write_thumbnail
from renalseg.web.words import said

#: Told of the progress, 0 to 1, and of what is being done.
OnStep = Callable[[float, str], None]
#: Of the whole: how much is done when the network begins, and when it ends.
_BEGIN, _END = 0.05, 0.9


@dataclass(frozen=True)
class Engine:
    """What segments.

    Attributes:
        segmenter: The models, without post-processing.
        cleaning: How its masks are cleaned afterwards, if they are.
        world: The scans that the models know.
        diameter: The line that scores take for a tumor's largest diameter.
    """

    segmenter: Segmenter
    cleaning: Cleaning | None
    world: World = KITS_WORLD
    diameter: DiameterLine = DiameterLine.AXIAL


@dataclass(frozen=True)
class Job:
    """Work on one study; all files are written anew, so it may be done again after a crash.

    Attributes:
        study: The study.
        folder: Its files.
        limits: What is too much.
        memory_gb: A bound of the memory.
        cancel: Set when nobody waits for it any more.
        on_step: Told of the progress.
        on_facts: Told of shape and spacing as soon as they are known.
    """

    study: Study
    folder: StudyFolder
    limits: Limits
    memory_gb: float | None
    cancel: Event
    on_step: OnStep
    on_facts: Callable[[Facts], None]

    def run(self, engine: Callable[[], Engine]) -> Facts:
        """Do it.

        Args:
            engine: Loads the model where it is not loaded; called when the scan has been read.

        Raises:
            RenalsegError: The scan cannot be read or segmented, or the job was cancelled.
            OSError: A file cannot be written.
        """
        self._step(0.0, "Reading the scan")
        scan = read_scan(self.folder, self.limits, self.memory_gb)
        facts = Facts(
            shape=scan.volume.shape,
            spacing_mm=tuple(round(mm, 4) for mm in scan.volume.spacing_mm),
            warnings=tuple(
                said(text, self.folder.path, self.study.file_name or "the scan")
                for text in scan.warnings
            ),
            is_dicom=scan.series is not None,
        )
        scan.volume.save(self.folder.image)
        write_thumbnail(scan.volume, None, self.folder.thumbnail)
        self.on_facts(facts)
        self._step(0.03, "Loading the model")
        loaded = engine()
        found = self._segment(loaded.segmenter, scan)
        if loaded.cleaning:
            found.labels.save(self.folder.raw)
            found = cleaned(found, scan.volume, loaded.cleaning, loaded.world)
        self._step(_END, "Measuring")
        notes = self._write(found, scan.volume, loaded.diameter)
        return replace(
            facts,
            warnings=(*facts.warnings, *(warning.text for warning in found.warnings), *notes),
            has_uncertainty=found.entropy is not None,
            has_raw=loaded.cleaning is not None,
        )

    def _step(self, fraction: float, step: str) -> None:
        if self.cancel.is_set():
            raise CancelledError("cancelled; nothing was kept but the scan")
        self.on_step(fraction, step)

    def _segment(self, segmenter: Segmenter, scan: Scan) -> Segmentation:
        def tile(done: int, total: int) -> None:
            self.on_step(_BEGIN + (_END - _BEGIN) * done / max(total, 1), "Segmenting")

        source = scan.path if scan.path.is_file() else None
        found = segmenter.segment(
            scan.volume,
            source,
            on_tile=tile,
            cancel=self.cancel,
            uncertainty=self.study.uncertainty,
        )
        if found.provenance is None:
            return found
        # the file's name is the server's own; its user knows it by another
        name = self.study.file_name if source else "DICOM series"
        record: InputRecord = found.provenance.input.model_copy(update={"name": name})
        return replace(found, provenance=found.provenance.model_copy(update={"input": record}))

    def _write(self, found: Segmentation, ct: Volume, diameter: DiameterLine) -> tuple[str, ...]:
        """Write mask, measurements and pictures; gives what a person should know of them."""
        notes: tuple[str, ...] = ()
        try:
            text = found.measure(ct, diameter=diameter).model_dump_json()
        except RenalsegError as error:
            notes = (f"The segmentation could not be measured: {error}",)
        else:
            write_text(text, self.folder.measurements(1))
        self._step(0.97, "Writing")
        if found.entropy is not None:
            found.entropy.save(self.folder.entropy)
        write_thumbnail(ct, found.labels.array, self.folder.thumbnail)
        found.save(self.folder.mask(1))
        return notes


def cleaned(raw: Segmentation, ct: Volume, cleaning: Cleaning, world: World) -> Segmentation:
    """The segmentation after post-processing, as the engine itself would have made it."""
    began = time.perf_counter()
    labels = cleaning.apply(raw.labels.array, float(np.prod(raw.labels.spacing_mm)))
    region = tuple(warning for warning in raw.warnings if warning.code == "region")
    warnings = (*region, *unusual(ct, labels, world))
    made = raw.provenance
    if made is not None:
        seconds = made.timings_s.get("clean_and_check", 0.0) + time.perf_counter() - began
        made = made.model_copy(
            update={
                "settings": {**made.settings, **cleaning_settings(cleaning)},
                "timings_s": {**made.timings_s, "clean_and_check": round(seconds, 3)},
                "warnings": tuple(Warned(code=w.code, text=w.text) for w in warnings),
            }
        )
    return replace(raw, labels=raw.labels.like(labels), warnings=warnings, provenance=made)


def provenance_path(folder: StudyFolder) -> Path:
    """The record of what made version 1."""
    return sidecar_path(folder.mask(1))
