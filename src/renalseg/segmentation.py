"""What was found in a scan: a mask and what made it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from renalseg.inference.plausibility import Finding
from renalseg.inference.uncertainty import LesionAgreement
from renalseg.labels import FOREGROUND, DiameterLine
from renalseg.provenance import Provenance, sidecar_path
from renalseg.types import LabelArray
from renalseg.volume import Volume

if TYPE_CHECKING:
    from ipyniivue import NiiVue

    from renalseg.clinical import Measurements


@dataclass(frozen=True)
class Segmentation:
    """What was found in a scan.

    Attributes:
        labels: Label map on the scan's grid.
        made_by: Names of the models that made it.
        warnings: What a person should know before they trust it.
        provenance: What made it.
        entropy: How undecided the ensemble is, 0 to 1, if it was asked for.
        lesions: Each lesion with the members' agreement on it, if it was asked for.
        members: The label map of each member, if uncertainty was asked for.
        corrected_by: The person who changed the labels; nobody as they come from the networks.
    """

    labels: Volume
    made_by: tuple[str, ...]
    warnings: tuple[Finding, ...] = ()
    provenance: Provenance | None = None
    entropy: Volume | None = None
    lesions: tuple[LesionAgreement, ...] = ()
    members: tuple[LabelArray, ...] = ()
    corrected_by: str = ""

    def measure(
        self, ct: Volume | None = None, *, diameter: str = DiameterLine.AXIAL
    ) -> "Measurements":
        """Measure kidneys and lesions; with an interval over the members where they are kept.

        Args:
            ct: The scan, for intensities and the renal sinus.
            diameter: The line that scores take: see :func:`renalseg.clinical.measure`.

        Raises:
            VolumeError: If the CT lies on another grid.
        """
        from renalseg.clinical import measure

        return measure(self.labels, ct, self.members, diameter=diameter)

    def volumes_ml(self) -> dict[str, float]:
        """Volume of each class in ml."""
        slice_mm, row_mm, column_mm = self.labels.spacing_mm
        voxel_ml = slice_mm * row_mm * column_mm / 1000
        return {
            label.title: float((self.labels.array == label).sum()) * voxel_ml
            for label in FOREGROUND
        }

    def show(self, ct: Volume | None = None) -> "NiiVue":
        """The label map in a notebook's viewer, over the scan if it is given.

        Raises:
            RenalsegError: ipyniivue is not installed.
            VolumeError: The scan lies on another grid.
        """
        from renalseg.report.notebook import notebook_view

        return notebook_view(self.labels, ct)

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, object]:
        """What a notebook shows: the viewer where it is installed, and the volumes as text."""
        from renalseg.report.notebook import is_available

        parts = ", ".join(f"{name} {ml:.1f} ml" for name, ml in self.volumes_ml().items())
        text = {"text/plain": f"Segmentation of {self.labels.shape}: {parts}"}
        if not is_available():
            return dict(text)
        shown, _ = self.show()._repr_mimebundle_(**kwargs)
        return {**shown, **text}

    def save(self, path: Path | str) -> None:
        """Write the label map on the grid of the scan, and before it the record next to it.

        So every mask has its record.

        Args:
            path: The mask's file, in any format that ``Volume.save`` writes.

        Raises:
            VolumeError: It cannot be written.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.provenance is not None:
            self.provenance.write(sidecar_path(path))
        self.labels.save(path)
