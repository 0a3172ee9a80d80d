"""One patient's folder."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from renalseg.cohort.annotations import Instance, find_instances
from renalseg.cohort.layout import Layout


@dataclass(frozen=True)
class Case:
    """One patient's folder: imaging, annotations, reference.

    Attributes:
        case_id: The folder's name, such as ``case_00042``.
        folder: The folder.
        layout: How its data set lays it out.
    """

    case_id: str
    folder: Path
    layout: Layout

    @property
    def number(self) -> int:
        """The number in the case's name: the seed of its plausible maps."""
        return int(self.case_id.removeprefix("case_"))

    @property
    def image_path(self) -> Path:
        """Where the CT is, or would be."""
        return self.folder / "imaging.nii.gz"

    @property
    def segmentation_path(self) -> Path:
        """Where the data set's own label map is, or would be."""
        return self.folder / self.layout.segmentation

    @property
    def samples_folder(self) -> Path:
        """Where KiTS21 keeps the plausible maps, in ``group_G``."""
        return self.folder / "segmentation_samples"

    @cached_property
    def instances(self) -> tuple[Instance, ...]:
        """The annotated instances: kidneys, then tumors, then cysts, by number."""
        if self.layout.annotations is None:
            return ()
        return find_instances(self.folder / self.layout.annotations)

    @property
    def annotators(self) -> int:
        """The greatest number of annotations that an instance has; 0 without instances."""
        return max((len(instance.annotations) for instance in self.instances), default=0)

    def problems(self) -> list[str]:
        """What the case lacks or contradicts itself in, one line each; reads every file of it."""
        from renalseg.cohort.check import case_problems

        return case_problems(self)
