"""Models that nnU-Net v2 makes and renalseg does not run: refused as that, not as damaged copies.

nnU-Net looks at no orientation. Which axis of a scan a network sees first depends on what read its
training scans: SimpleITK gives a file's axes in reverse, nibabel as they are, and the readers that
reorient bring them to RAS first. The same network behind another reader sees another patient.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from renalseg.errors import ModelError
from renalseg.labels import Label
from renalseg.models.dataset import ModelDataset
from renalseg.models.documents import shown
from renalseg.models.manifest import KITS_LABELS

READER = "SimpleITKIO"
#: What to do with any of these models.
INSTEAD = "segment with nnU-Net itself (nnUNetv2_predict), or give another model"

#: Names that say nothing but a number: ``class_1``, ``label 1``, ``channel_0``, ``1``.
_NUMBERED = re.compile(r"(?:[a-z]+[ _-]?)?(\d+)")
#: Words for the classes of KiTS; of several in a name the last one here counts.
_WORDS = {
    Label.KIDNEY: ("kidney", "renal", "parenchyma"),
    Label.TUMOR: ("tumor", "tumour", "mass", "lesion", "cancer", "carcinoma", "rcc"),
    Label.CYST: ("cyst",),
}
#: CT by its own name, and nnU-Net's channel names that only say how intensities are normalized.
_CT = frozenset({"ct", "ncct", "cect", "cta", "ldct"})
_NORMALIZATIONS = frozenset({"nonorm", "zscore", "rescale_to_0_1"})


def check_supported(plans: Mapping[str, Any], dataset: Mapping[str, Any], folder: Path) -> None:
    """Refuse a model whose networks see scans, or answer, in another way than renalseg's.

    Args:
        plans: Content of ``plans.json``.
        dataset: Content of ``dataset.json``.
        folder: The model's.

    Raises:
        ModelError: If another reader than SimpleITK's read its training scans, or its labels are
            regions that overlap.
    """
    if plans.get("image_reader_writer") is None:
        raise ModelError(
            f"{folder / 'plans.json'}: no image_reader_writer; expected {READER}; copy the model "
            "again"
        )
    # a data set names one only where it does not leave the choice to nnU-Net
    wanted = dataset.get("overwrite_image_reader_writer")
    _check_reader(plans["image_reader_writer"], folder / "plans.json", "image_reader_writer")
    if wanted not in (None, "None"):
        _check_reader(wanted, folder / "dataset.json", "overwrite_image_reader_writer")
    labels = dataset.get("labels")
    for name, value in labels.items() if isinstance(labels, dict) else ():
        if isinstance(value, list | tuple):
            raise ModelError(
                f"{folder / 'dataset.json'}: labels.{shown(name)}: expected one integer, got "
                f"{shown(value)}: the model predicts regions that overlap; {INSTEAD}"
            )
    if dataset.get("regions_class_order") is not None:
        raise ModelError(
            f"{folder / 'dataset.json'}: expected plain labels, got regions_class_order "
            f"{shown(dataset['regions_class_order'])}: the model predicts regions that overlap; "
            f"{INSTEAD}"
        )


def _check_reader(reader: object, path: Path, entry: str) -> None:
    if reader != READER:
        raise ModelError(
            f"{path}: expected {entry} {READER}, got {shown(reader)}, with which the network "
            f"learned from axes in another order; {INSTEAD}"
        )


def check_kits(dataset: ModelDataset, path: Path, *, exactly: bool) -> None:
    """Refuse a model that was not trained on one CT channel and the classes of KiTS.

    Args:
        dataset: What it was trained on.
        path: The file, named in errors.
        exactly: Whether names must be those of KiTS too, as where a manifest says so; else they
            may be numbers, or other words for the same.

    Raises:
        ModelError: If it was not.
    """
    if dataset.channels != 1:
        raise ModelError(
            f"{path}: expected a model of one channel, CT, got {dataset.channels}; give another"
        )
    channel = dataset.channel_names["0"]
    if not _is_ct(str(channel)):
        raise ModelError(
            f"{path}: expected a model of CT, got channel {shown(repr(channel))}; give a model "
            "that was trained on CT"
        )
    labels = dataset.class_labels
    is_kits = labels == KITS_LABELS or (
        not exactly
        and dataset.classes == len(KITS_LABELS)
        and all(_means(name) == value for name, value in labels.items() if value)
    )
    if not is_kits:
        raise ModelError(
            f"{path}: expected the labels of KiTS, {KITS_LABELS}, got {shown(labels)}; give a "
            "model that was trained on KiTS, or name the labels so if that is what they are"
        )


def _is_ct(channel: str) -> bool:
    name = channel.strip().lower()
    words = set(re.split(r"[^a-z]+", name))
    return bool(words & _CT) or name in _NORMALIZATIONS or bool(_NUMBERED.fullmatch(name))


def _means(name: str) -> int | None:
    """The voxel value of KiTS that a class's name stands for; None where it stands for none."""
    lower = name.strip().lower()
    numbered = _NUMBERED.fullmatch(lower)
    if numbered:
        return int(numbered[1])
    meant = [label for label, words in _WORDS.items() if any(word in lower for word in words)]
    return int(meant[-1]) if meant else None
