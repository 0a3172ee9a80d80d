"""Segmentations as 3D Slicer stores them: named segments in the layers of a NRRD file.

Each segment has a name, the value of its voxels, and the layer it lies in; segments that overlap
lie in several layers (https://slicer.readthedocs.io, "Segmentations", file format).
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from renalseg.errors import VolumeError
from renalseg.labels import MERGE_ORDER, Label, label_named, says_nothing
from renalseg.types import AnyArray

_KEY = re.compile(r"Segment([0-9]{1,6})_(Name|LabelValue|Layer)")
_REPRESENTATIONS = ("Segmentation_SourceRepresentation", "Segmentation_MasterRepresentation")
_SHOWN = 40
_MOST_SHOWN = 8


@dataclass(frozen=True)
class Segment:
    """A structure of a segmentation.

    Attributes:
        name: What its author called it.
        value: The value of its voxels; None if the file does not say.
        layer: The layer it lies in; None if the file does not say.
    """

    name: str
    value: int | None = None
    layer: int | None = None


def read_segments(path: Path, keys: dict[str, str]) -> tuple[Segment, ...]:
    """Read the segments that a file's keys describe; none if it is no segmentation.

    Raises:
        VolumeError: A value or layer is no number, or voxels are fractions.
    """
    found: dict[int, dict[str, str]] = {}
    for key, text in keys.items():
        if match := _KEY.fullmatch(key):
            found.setdefault(int(match[1]), {})[match[2]] = text
    if not found:
        return ()
    if any("fractional" in keys.get(name, "").lower() for name in _REPRESENTATIONS):
        raise VolumeError(f"{path}: its segments are fractional; export them as a binary label map")
    return tuple(
        Segment(
            values.get("Name", ""),
            _whole(path, number, "LabelValue", values),
            _whole(path, number, "Layer", values),
        )
        for number, values in sorted(found.items())
    )


def _whole(path: Path, number: int, what: str, values: dict[str, str]) -> int | None:
    if what not in values:
        return None
    text = values[what].strip()
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise VolumeError(
            f"{path}: expected a whole number as Segment{number}_{what}, got {text[:_SHOWN]!r}; "
            "export it again"
        )
    return int(text)


def merged(path: Path, array: AnyArray, segments: tuple[Segment, ...]) -> tuple[AnyArray, str]:
    """One label map of named segments: kidney, then cyst, then tumor, a later one on top.

    Segments are taken by their names. If all names are like "Segment_1", their values are taken as
    labels.

    Args:
        path: Named in errors.
        array: Voxels, three axes, or four with the layers first.
        segments: What they hold.

    Returns:
        The label map, and what a person should know of it.

    Raises:
        VolumeError: A name is none that is known, or voxels belong to no segment.
    """
    layers = array if array.ndim == 4 else array[None]
    placed = [_placed(path, layers, segment, number) for number, segment in enumerate(segments)]
    _check_owned(path, layers, placed)
    filled = [s for s in placed if s.value and np.any(layers[s.layer or 0] == s.value)]
    labels = {segment: label_named(segment.name) for segment in filled}
    if not any(labels.values()) and all(says_nothing(segment.name) for segment in filled):
        return _by_value(path, layers, filled)
    unknown = [segment for segment, label in labels.items() if label is None]
    if unknown:
        known = ", ".join(label.title for label in MERGE_ORDER)
        raise VolumeError(
            f"{path}: expected segments named {known}, got {_named(unknown)}; rename or remove them"
        )
    result = np.zeros(layers.shape[1:], np.uint8)
    for label in MERGE_ORDER:
        for segment in (s for s in filled if labels[s] is label):
            result[layers[segment.layer or 0] == segment.value] = label
    return result, ""


def _placed(path: Path, layers: AnyArray, segment: Segment, number: int) -> Segment:
    """A segment with value and layer: old files have one layer for each, and 1 in it."""
    layer = segment.layer
    if layer is None:
        layer = number if len(layers) > 1 else 0
    if layer >= len(layers):
        raise VolumeError(
            f"{path}: segment {segment.name[:_SHOWN]!r} should lie in layer {layer}, but there are "
            f"{len(layers)}; export it again"
        )
    return Segment(segment.name, 1 if segment.value is None else segment.value, layer)


def _check_owned(path: Path, layers: AnyArray, segments: list[Segment]) -> None:
    """Refuse voxels of no segment, and of two."""
    for layer, voxels in enumerate(layers):
        here = [segment for segment in segments if segment.layer == layer]
        values = [segment.value or 0 for segment in here]
        shared = [segment for segment in here if values.count(segment.value or 0) > 1]
        if shared:
            raise VolumeError(
                f"{path}: segments {_named(shared)} have one value; export them again"
            )
        odd = voxels[~np.isin(voxels, [0, *values])]
        if odd.size:
            raise VolumeError(
                f"{path}: voxels of {odd.flat[0]:g} belong to no segment; export it again"
            )


def _by_value(path: Path, layers: AnyArray, segments: list[Segment]) -> tuple[AnyArray, str]:
    """A label map of segments whose names say nothing."""
    values = [segment.value for segment in segments]
    if len(set(values)) < len(values) or not set(values) <= set(Label):
        known = ", ".join(f"{label} {label.title}" for label in MERGE_ORDER)
        raise VolumeError(
            f"{path}: segments {_named(segments)} are none by name, and their values "
            f"{', '.join(map(str, values))} none of {known}; rename them"
        )
    result = np.zeros(layers.shape[1:], np.uint8)
    for label in MERGE_ORDER:
        for segment in segments:
            if segment.value == label:
                result[layers[segment.layer or 0] == label] = label
    told = f"the names of its segments ({_named(segments)}) say nothing, so their values are taken"
    return result, told if segments else ""


def _named(segments: list[Segment]) -> str:
    names = [repr(segment.name[:_SHOWN]) for segment in segments]
    more = len(names) - _MOST_SHOWN
    return ", ".join(names[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
