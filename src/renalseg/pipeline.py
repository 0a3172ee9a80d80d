"""One scan through everything: read, predict, clean, say what is unusual, save."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event, Lock
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from renalseg.errors import CancelledError, VolumeError
from renalseg.inference.ensemble import Watch, run_ensemble
from renalseg.inference.forward import Backend
from renalseg.inference.members import (
    LoadedMember,
    expected_gb,
    find_finder,
    load_members,
    segmenting,
)
from renalseg.inference.network import How
from renalseg.inference.plausibility import Finding, unusual
from renalseg.inference.profiles import PROFILES, Profile, ProfileName, Roi
from renalseg.inference.scan import Scan
from renalseg.inference.uncertainty import LesionAgreement, lesion_disagreement
from renalseg.models.default_model import DEFAULT
from renalseg.models.device import AUTO, resolve_device
from renalseg.models.ensemble import Ensemble
from renalseg.models.manifest import KITS_WORLD, World
from renalseg.postprocess import Cleaning
from renalseg.provenance import (
    InputRecord,
    ModelRecord,
    Provenance,
    Warned,
    array_hash,
    file_hash,
)
from renalseg.segmentation import Segmentation
from renalseg.volume import Volume
from renalseg.volume.source import read_source

if TYPE_CHECKING:
    from renalseg.types import AnyArray

#: Told of finished and all tiles of a scan; all may still grow while the scan is worked on.
OnTile = Callable[[int, int], None]


@dataclass(frozen=True)
class Segmenter:
    """An ensemble in memory, ready for any number of scans, from any number of threads.

    Attributes:
        members: The models.
        cleaning: How results are cleaned, if they are.
        record: Their files.
        how: How networks are run.
        profile: The trade between accuracy and time.
        roi: Whether only the kidneys' surroundings are computed.
        memory_gb: A bound of the memory.
        world: The scans that the members know; others are flagged.
        large_ml: Larger findings are looked at twice.
    """

    members: tuple[LoadedMember, ...]
    cleaning: Cleaning | None
    record: ModelRecord
    how: How
    profile: Profile
    profile_name: ProfileName
    roi: Roi
    memory_gb: float | None = None
    world: World = KITS_WORLD
    large_ml: float | None = None
    _lock: Lock = field(default_factory=Lock, repr=False)

    @classmethod
    def load(
        cls,
        folder: Path | str = DEFAULT,
        *,
        member: str | None = None,
        clean: bool | None = None,
        device: str = AUTO,
        profile: ProfileName = "balanced",
        roi: Roi = "auto",
        backend: Backend = "auto",
        memory_gb: float | None = None,
    ) -> "Segmenter":
        """Load an ensemble folder, or a single nnU-Net v2 model folder.

        Args:
            folder: The folder; the ensemble that comes with renalseg when absent.
            member: Take only this member.
            clean: Whether to post-process (section 3.5 and the manifest's limits); None leaves it
                to the manifest.
            device: A torch device, or ``auto``.
            profile: ``exact`` computes what nnU-Net computes (v1 or v2, as the manifest's
                ``fold_average`` says), ``balanced`` without mirrored copies, ``fast`` with one
                network.
            roi: ``auto`` computes full resolution only around the kidneys, where the ensemble has a
                network of lower resolution to find them; ``off`` computes all of the scan.
            backend: What runs networks on a CPU.
            memory_gb: Cut scans that need more than so many 10^9 bytes.

        Raises:
            ModelError: If the folder is no ensemble, or incomplete.
        """
        ensemble = Ensemble.open(Path(folder))
        if member is not None:
            ensemble = ensemble.only(member)
        manifest = ensemble.manifest
        if clean is not None:
            manifest = manifest.model_copy(update={"postprocess": clean})
        chosen = PROFILES[profile]
        finds = any(member.finds for member in manifest.members)
        how = How(
            device=resolve_device(device),
            backend=backend,
            precision=chosen.precision,
            step=chosen.step,
            fitted=finds and roi == "auto" and profile != "exact",
            mirror=chosen.mirror,
            like_nnunet=profile == "exact",
            average=manifest.fold_average,
        )
        members = load_members(ensemble, how, chosen)
        files = {path for loaded in members for path in loaded.files}
        record = ModelRecord.of(
            ensemble.folder, [loaded.name for loaded in members], files, **manifest.named
        )
        return cls(
            members,
            manifest.cleaning,
            record,
            how,
            chosen,
            profile,
            roi,
            memory_gb,
            world=manifest.world or KITS_WORLD,
            large_ml=None if profile == "exact" else manifest.large_ml,
        )

    def predict(
        self,
        scan: "Path | str | Volume | AnyArray",
        spacing_mm: tuple[float, float, float] | None = None,
        *,
        on_tile: OnTile | None = None,
        cancel: Event | None = None,
        uncertainty: bool = False,
    ) -> Segmentation:
        """Segment a scan.

        Args:
            scan: A file or a folder of DICOM, a canonical volume in HU, or an array in HU with axes
                slice (head to foot), row (front to back), column (the patient's right to left).
            spacing_mm: Of an array: its voxel size along these axes.
            on_tile: Told of the progress.
            cancel: Set it from another thread to stop.
            uncertainty: Also keep the entropy of the scores and the members' agreement.

        Raises:
            VolumeError: If the scan cannot be read, or an array comes without its spacing.
            ModelError: If it does not fit the memory.
            CancelledError: If ``cancel`` was set.
        """
        if isinstance(scan, Path | str):
            read = read_source(Path(scan))
            return self.segment(
                read.volume,
                read.path,
                notes=read.notes,
                on_tile=on_tile,
                cancel=cancel,
                uncertainty=uncertainty,
            )
        if not isinstance(scan, Volume):
            scan = _volume_of(scan, spacing_mm)
        return self.segment(scan, on_tile=on_tile, cancel=cancel, uncertainty=uncertainty)

    def expected_gb(self, volume: Volume) -> float:
        """The most memory that a scan takes, in 10^9 bytes.

        Raises:
            ModelError: If it does not fit the bound.
        """
        return expected_gb(self.members, Scan(volume), self.memory_gb)

    def segment(
        self,
        volume: Volume,
        source: Path | None = None,
        *,
        notes: Sequence[str] = (),
        on_tile: OnTile | None = None,
        cancel: Event | None = None,
        uncertainty: bool = False,
    ) -> Segmentation:
        """Segment a scan given as a canonical volume in HU; see :meth:`predict`.

        Args:
            volume: The scan.
            source: What it was read from, for the record.
            notes: What a person should know of how it was read.
            on_tile: Told of the progress.
            cancel: Set it from another thread to stop.
            uncertainty: Also keep the entropy of the scores and the members' agreement.
        """

        def tile(done: int, total: int) -> None:
            if cancel is not None and cancel.is_set():
                raise CancelledError("cancelled; nothing was written")
            if on_tile:
                on_tile(done, total)

        began = perf_counter()
        watch = Watch(tile)
        names = [member.name for member in segmenting(self.members)]
        with self._lock:
            found = run_ensemble(
                self.members,
                Scan(volume),
                {"ensemble": names},
                roi=self.roi,
                margin_mm=self.profile.margin_mm,
                large_ml=self.large_ml,
                watch=watch,
                uncertainty=uncertainty,
                memory_gb=self.memory_gb,
            )
        predicted = perf_counter()
        labels = found.labels["ensemble"]
        if self.cleaning:
            labels = self.cleaning.apply(labels, float(np.prod(volume.spacing_mm)))
        warnings = [
            *(Finding("series", note) for note in notes),
            *(Finding("region", note) for note in found.notes),
            *unusual(volume, labels, self.world),
        ]
        seconds = {"predict": predicted - began, "clean_and_check": perf_counter() - predicted}
        lesions: tuple[LesionAgreement, ...] = ()
        if uncertainty:
            lesions = tuple(
                lesion_disagreement(
                    labels,
                    list(found.votes.values()),
                    spacing_mm=volume.spacing_mm,
                    entropy=found.entropy,
                )
            )
        settings = {
            "profile": self.profile_name,
            "roi": self.roi if find_finder(self.members) else "off",
            "step": self.how.step,
            "mirror": self.how.mirror,
            "precision": self.how.precision,
            "fold_average": self.how.average,
            "large_ml": self.large_ml,
            **cleaning_settings(self.cleaning),
            "boxes": found.boxes,
            "tiles_computed": watch.count.computed,
            "tiles_of_air": watch.count.skipped,
        }
        made = Provenance(
            model=self.record,
            settings=settings,
            input=InputRecord(
                name=source.name if source else "array",
                hash=_hash(volume, source),
                shape=volume.shape,
                spacing_mm=volume.spacing_mm,
            ),
            timings_s={name: round(value, 3) for name, value in seconds.items()},
            device=self.how.device,
            backend=self.members[0].networks[0].backend,
            warnings=tuple(Warned(code=w.code, text=w.text) for w in warnings),
        )
        return Segmentation(
            labels=volume.like(labels),
            made_by=tuple(names),
            warnings=tuple(warnings),
            provenance=made,
            entropy=None if found.entropy is None else volume.like(found.entropy),
            lesions=lesions,
            members=tuple(found.votes.values()),
        )


def cleaning_settings(cleaning: Cleaning | None) -> dict[str, object]:
    """What a record says of how a mask was cleaned."""
    return {"postprocess": cleaning is not None, **(asdict(cleaning) if cleaning else {})}


def _hash(volume: Volume, source: Path | None) -> str:
    """Of the file; of voxels and grid where it is an array or a folder of DICOM."""
    if source is not None and source.is_file():
        return file_hash(source)
    return array_hash(volume.array, volume.affine)


def _volume_of(array: "AnyArray", spacing_mm: tuple[float, float, float] | None) -> Volume:
    """An array as a volume whose last voxel lies at the origin of the patient's coordinates."""
    if spacing_mm is None or array.ndim != 3 or len(spacing_mm) != 3 or min(spacing_mm) <= 0:
        raise VolumeError(
            f"expected an array with 3 axes and its spacing_mm (slice, row, column), got shape "
            f"{array.shape} and {spacing_mm}"
        )
    affine = np.zeros((4, 4))
    affine[[2, 1, 0, 3], [0, 1, 2, 3]] = (*(-mm for mm in spacing_mm), 1)
    return Volume(np.ascontiguousarray(array), affine)
