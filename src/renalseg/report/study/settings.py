"""The settings of a record in words: names as people say them, units, places, nested values."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

_NAMES = {
    "roi": "region of interest",
    "step": "step of tiles",
    "mirror": "mirrored copies",
    "fold_average": "folds averaged by",
    "large_ml": "looked at twice above",
    "postprocess": "post-processing",
    "least_ml": "findings removed below",
    "least_tumor_ml": "tumors kept from",
    "boxes": "full resolution in",
}
_UNITS = {"ml": "ml", "mm": "mm", "gb": "GB", "hu": "HU", "s": "s", "percent": "%"}
_AXES = ("slices", "rows", "columns")


def settings_text(settings: Mapping[str, Any]) -> str:
    """All settings in one line: ``profile: balanced; mirrored copies: no; ...``."""
    return "; ".join(": ".join(_named(name, value)) for name, value in settings.items())


def _named(name: str, value: object) -> tuple[str, str]:
    """A setting's name and value as people say them."""
    words, _, last = name.rpartition("_")
    unit = _UNITS.get(last, "") if words else ""
    said = _NAMES.get(name) or (words if unit else name).replace("_", " ")
    text = "nothing" if name == "boxes" and not value else _plain(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return said, f"{text} {unit}" if unit and is_number else text


def _plain(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case dict():
            return f"({', '.join(' '.join(_named(name, one)) for name, one in value.items())})"
        case list() | tuple():
            return _box(value) if _is_box(value) else _listed(value)
    return str(value)


def _listed(values: Sequence[object]) -> str:
    """Boxes joined by "and", else the values, those that nest in parentheses."""
    if values and all(_is_box(one) for one in values):
        return " and ".join(_plain(one) for one in values)
    nests = [isinstance(one, list | tuple) and not _is_box(one) for one in values]
    inner = [
        f"({_plain(one)})" if nest else _plain(one) for one, nest in zip(values, nests, strict=True)
    ]
    return ", ".join(inner) or "none"


def _is_box(value: object) -> TypeGuard[list[list[int]] | tuple[tuple[int, int], ...]]:
    """Whether it is a box of voxels: first and last but one along three axes."""
    return (
        isinstance(value, list | tuple)
        and len(value) == len(_AXES)
        and all(
            isinstance(side, list | tuple)
            and len(side) == 2
            and all(isinstance(end, int) and not isinstance(end, bool) for end in side)
            for side in value
        )
    )


def _box(box: list[list[int]] | tuple[tuple[int, int], ...]) -> str:
    """Voxels counted from 1, as slices are elsewhere in a report."""
    sides = zip(_AXES, box, strict=True)
    return ", ".join(f"{axis} {first + 1}–{stop}" for axis, (first, stop) in sides)
