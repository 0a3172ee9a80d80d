"""The files of single annotations: ``{kidney,tumor,cyst}_instance-N_annotation-M.nii.gz``."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from renalseg.labels import FOREGROUND, Label

_NAME = re.compile(r"(kidney|tumor|cyst)_instance-(\d+)_annotation-(\d+)\.nii\.gz")
_LABELS = {label.title: label for label in FOREGROUND}


@dataclass(frozen=True)
class Annotation:
    """One annotator's delineation of one instance.

    Attributes:
        number: The annotation's number in its file's name.
        path: The file.
    """

    number: int
    path: Path


@dataclass(frozen=True)
class Instance:
    """One kidney, tumor or cyst of a case.

    Attributes:
        label: Its class.
        number: Its number among the class's instances.
        annotations: By number.
    """

    label: Label
    number: int
    annotations: tuple[Annotation, ...]


def find_instances(folder: Path) -> tuple[Instance, ...]:
    """The instances annotated in a folder: kidneys, then tumors, then cysts, by number.

    Files of other names are left alone. A folder that does not stand has none.
    """
    found: dict[tuple[Label, int], list[Annotation]] = defaultdict(list)
    for path in folder.glob("*.nii.gz"):
        match = _NAME.fullmatch(path.name)
        if match:
            key = (_LABELS[match[1]], int(match[2]))
            found[key].append(Annotation(int(match[3]), path))
    return tuple(
        Instance(label, number, tuple(sorted(found[label, number], key=lambda a: a.number)))
        for label, number in sorted(found)
    )
