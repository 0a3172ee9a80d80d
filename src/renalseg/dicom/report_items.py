"""What is measured of one kidney or lesion, as items of a structured report: numbers and texts."""

from typing import TYPE_CHECKING, Any

from renalseg.dicom import report_codes as terms
from renalseg.dicom.instance import code
from renalseg.labels import Concept

if TYPE_CHECKING:
    from renalseg.clinical.records import (
        Component,
        Intensity,
        Interval,
        KidneyRecord,
        LesionRecord,
        Score,
    )

#: More digits than this are noise.
_DECIMALS = 3


def text(concept: Concept, words: str) -> Any:
    """A text item, contained in the group that it is appended to."""
    from highdicom.sr import TextContentItem

    return TextContentItem(code(concept), words, relationship_type="CONTAINS")


def kidney_items(record: "KidneyRecord") -> tuple[list[Any], list[Any]]:
    """Numbers and texts of a kidney; its own volume is that of its segment, lesions left out."""
    numbers = [
        _number(terms.VOLUME, record.parenchyma_ml, terms.ML, method=terms.VOXEL_SUM),
        _number(terms.WITH_LESIONS, record.volume_ml, terms.ML, method=terms.VOXEL_SUM),
        _number(terms.LENGTH, record.length_mm, terms.MM),
        *_intensity(record.intensity),
    ]
    return numbers, _intervals(record.intervals)


def lesion_items(record: "LesionRecord") -> tuple[list[Any], list[Any]]:
    """Numbers and texts of a lesion, its scores among them."""
    numbers = [
        _number(terms.VOLUME, record.volume_ml, terms.ML, method=terms.VOXEL_SUM),
        _number(terms.LONG_AXIS, record.largest_axial_diameter_mm, terms.MM),
        _number(terms.SHORT_AXIS, record.short_axis_mm, terms.MM),
        _number(terms.DIAMETER, record.largest_3d_diameter_mm, terms.MM, derivation=terms.MAXIMUM),
        _number(terms.CONTACT, record.contact_mm2, terms.MM2),
    ]
    if record.sinus_distance_mm is not None:
        numbers.append(_number(terms.SINUS_DISTANCE, record.sinus_distance_mm, terms.MM))
    numbers += _intensity(record.intensity)
    words = _intervals(record.intervals)
    for score in record.scores:
        scored, said = _score(score)
        numbers += scored
        words += said
    return numbers, words


def _number(
    concept: Concept,
    value: float,
    unit: Concept,
    *,
    method: Concept | None = None,
    derivation: Concept | None = None,
) -> Any:
    from highdicom.sr import Measurement

    return Measurement(
        code(concept),
        round(value, _DECIMALS),
        code(unit),
        method=None if method is None else code(method),
        derivation=None if derivation is None else code(derivation),
    )


def _intensity(intensity: "Intensity | None") -> list[Any]:
    if intensity is None:
        return []
    return [
        _number(terms.ATTENUATION, getattr(intensity, name), terms.HU, derivation=derivation)
        for name, derivation in terms.DERIVATIONS.items()
    ]


def _intervals(intervals: "dict[str, Interval]") -> list[Any]:
    """How the members differ; in words, for as numbers they could be taken for the measured."""
    said = "; ".join(
        f"{name} {one.low:.1f} to {one.high:.1f} ({one.members} members)"
        for name, one in intervals.items()
    )
    return [text(terms.INTERVALS, said)] if said else []


def _score(score: "Score") -> tuple[list[Any], list[Any]]:
    """Points as numbers, where they are known; all else in words."""
    whole = terms.score_concept(score.system)
    is_index = score.system == "C-index"
    numbers = []
    if score.total is not None:
        unit = terms.NO_UNITS if is_index else terms.POINTS
        numbers.append(_number(whole, score.total, unit))
    risk = f"; {score.risk} complexity" if score.risk else ""
    sinus = f"; renal sinus from {score.sinus_from}" if score.sinus_from else ""
    words = [text(whole, f"{score.text}{risk}{sinus}")]
    for component in score.components:
        concept = terms.component_concept(score.system, component.name)
        if component.points is not None:
            numbers.append(_number(concept, component.points, terms.POINTS))
        words.append(text(concept, _in_words(component)))
    return numbers, words


def _in_words(component: "Component") -> str:
    unit = f" {component.unit}" if component.unit else ""
    parts = [component.finding] if component.finding else []
    if component.value is not None:
        parts.insert(0, f"{component.value:.1f}{unit}")
    if component.points is not None:
        parts.append(f"points: {component.points}")
    if component.margin is not None:
        parts.append(f"{component.margin:.1f}{unit} from a threshold")
    return f"{component.title}: {'; '.join(parts)}"
