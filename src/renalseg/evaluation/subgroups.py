"""Cases grouped by what is known of the patient: size of the tumor, sex, histologic subtype."""

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from renalseg.errors import EvaluationError

#: The names under which the KiTS data sets keep what is known of their patients.
CLINICAL_FILES = ("kits23.json", "kits.json")
UNKNOWN = "unknown"
#: Sizes at which TNM (UICC, 8th edition) parts T1a, T1b, T2a and T2b; each belongs to the lower.
BOUNDS_CM = (4, 7, 10)
SIZES = ("up to 4 cm", "4-7 cm", "7-10 cm", "over 10 cm")


@dataclass(frozen=True)
class Subgroup:
    """Cases that have something in common.

    Attributes:
        kind: By what they are grouped: ``size``, ``sex`` or ``subtype``.
        name: Their common value, ``unknown`` where the file has none.
        case_ids: The cases, sorted.
    """

    kind: str
    name: str
    case_ids: tuple[str, ...]


def find_clinical(folder: Path) -> Path | None:
    """The clinical file of a cohort: in its folder or the one above; None where there is none."""
    candidates = [place / name for place in (folder, folder.parent) for name in CLINICAL_FILES]
    return next((path for path in candidates if path.is_file()), None)


def read_clinical(path: Path) -> dict[str, Mapping[str, Any]]:
    """Read the records of a clinical file by case.

    Raises:
        EvaluationError: If the file is no list of records with a ``case_id``.
    """
    expected = f"{path}: expected a JSON list of records with case_id, as in kits23.json"
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{expected}; {' '.join(str(error).split())}") from error
    if not isinstance(records, list):
        raise EvaluationError(f"{expected}; got {type(records).__name__}")
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict) or not isinstance(record.get("case_id"), str):
            raise EvaluationError(f"{expected}; record {number} has none")
    return {record["case_id"]: record for record in records}


def subgroups(
    clinical: Mapping[str, Mapping[str, Any]], case_ids: Iterable[str]
) -> tuple[Subgroup, ...]:
    """Group cases by size of the tumor, by sex and by histologic subtype.

    Sizes come in their own order, sexes and subtypes by their number of cases, and what is not
    known comes last. Only groups with cases are made.

    Args:
        clinical: Records by case; a case without one is unknown in every way.
        case_ids: The cases to group.
    """
    records = {case: clinical.get(case, {}) for case in sorted(set(case_ids))}
    return (
        *_group("size", {case: _size(record) for case, record in records.items()}, SIZES),
        *_group("sex", {case: _text(record, "gender") for case, record in records.items()}),
        *_group(
            "subtype",
            {case: _text(record, "tumor_histologic_subtype") for case, record in records.items()},
        ),
    )


def _size(record: Mapping[str, Any]) -> str:
    size = record.get("radiographic_size")
    if isinstance(size, bool) or not isinstance(size, int | float) or not size > 0:
        return UNKNOWN
    return SIZES[bisect_left(BOUNDS_CM, size)]


def _text(record: Mapping[str, Any], field: str) -> str:
    value = record.get(field)
    return value.strip() or UNKNOWN if isinstance(value, str) else UNKNOWN


def _group(kind: str, names: Mapping[str, str], order: Iterable[str] = ()) -> list[Subgroup]:
    by_count = [name for name, _ in Counter(sorted(names.values())).most_common()]
    known = [name for name in order or by_count if name != UNKNOWN]
    members = {name: tuple(c for c in names if names[c] == name) for name in (*known, UNKNOWN)}
    return [Subgroup(kind, name, cases) for name, cases in members.items() if cases]
