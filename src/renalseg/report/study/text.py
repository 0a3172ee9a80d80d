"""What a study's report says beside its tables: facts, what to look at, what made it."""

from collections.abc import Iterator

from renalseg.provenance import NOTICE
from renalseg.report.study.record import Study, name_of
from renalseg.report.study.score_table import NEAR, is_near
from renalseg.report.study.settings import settings_text
from renalseg.report.study.words import NONE

HEADLINE = "Not for diagnostic use"
HASH_LETTERS = 12

Facts = tuple[tuple[str, str], ...]


def facts(study: Study) -> Facts:
    """What a reader wants to know first."""
    found = study.measurements
    kidneys = ", ".join(f"{one.side} {one.volume_ml:.0f} ml" for one in found.kidneys)
    rows = [
        ("Kidneys, with lesions", kidneys or "none found"),
        ("Tumors", str(len(study.tumors))),
        ("Cysts", str(len(study.cysts))),
    ]
    if study.tumors:
        largest = study.tumors[0]
        rows.append(
            (
                f"Largest tumor, {largest.side}",
                f"{largest.largest_axial_diameter_mm:.0f} × {largest.short_axis_mm:.0f} mm, "
                f"{largest.volume_ml:.1f} ml",
            )
        )
        for score in largest.scores:
            rows.append((f"{score.system}, {name_of(largest).lower()}", score.text))
    return tuple(rows)


def notices(study: Study) -> tuple[str, ...]:
    """What the numbers must not be used for, each sentence once."""
    made = study.provenance
    said = (study.measurements.notice, NOTICE, made.model.notice if made else "")
    return tuple(text for text in dict.fromkeys(said) if text)


def flags(study: Study) -> tuple[str, ...]:
    """What a person should look at, the gravest first; empty where nothing is."""
    return tuple(dict.fromkeys(_flags(study)))


def made_by(study: Study) -> Facts:
    """What made mask and numbers."""
    found = study.measurements
    spacing = _sizes(found.spacing_mm)
    grid = ("Grid", f"{_shape(study.labels.shape)} voxels of {spacing} mm (slice, row, column)")
    measured = ("Measured by", f"renalseg {found.renalseg}")
    made = study.provenance
    if made is None:
        return (measured, grid, ("Segmented by", "not known: no record came with the label map"))
    timings = ", ".join(
        f"{step.replace('_', ' ')} {seconds:.1f} s" for step, seconds in made.timings_s.items()
    )
    versions = ", ".join(f"{name} {version}" for name, version in made.versions.items())
    files = ", ".join(f"{name} {_short(digest)}" for name, digest in made.model.files.items())
    # its file's name is left out: it often is the patient's
    scan = f"{_short(made.input.hash)}, {_shape(made.input.shape)} voxels"
    rows = (
        ("Segmented by", f"renalseg {made.renalseg}, {made.time}"),
        ("Model", f"{made.model.name} {made.model.version}".strip()),
        ("Licence of the weights", made.model.licence),
        ("Members", ", ".join(made.model.members)),
        ("Model's files (SHA-256)", files),
        ("Scan (SHA-256)", scan),
        grid,
        ("Settings", settings_text(made.settings)),
        ("Ran on", f"{made.device}, {made.backend}"),
        ("Versions", versions),
        ("Time taken", timings),
        measured,
    )
    return tuple((name, text) for name, text in rows if text)


def score_legend() -> str:
    """How to read the tables of scores."""
    return (
        "To threshold: how far the value lies from the nearest value at which its points change. "
        f"Near means less than {NEAR['mm']:.0f} mm or {NEAR['%']:.0f} percentage points. "
        f"{NONE} means that there is nothing to report, open that the labels cannot tell."
    )


def _flags(study: Study) -> Iterator[str]:
    found = study.measurements
    if study.provenance is not None:
        for warned in study.provenance.warnings:
            yield warned.text
    yield from found.notes
    for lesion in found.lesions:
        near = [
            f"{score.system} {one.name} ({one.margin:.1f} {one.unit})"
            for score in lesion.scores
            for one in score.components
            if is_near(one)
        ]
        if near:
            yield f"{name_of(lesion)} is near a threshold between points: {', '.join(near)}."
    if study.ct is None and (found.kidneys or found.lesions):
        yield "No CT was given: the pictures show labels alone, and densities are unknown."


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:HASH_LETTERS]


def _shape(shape: tuple[int, int, int]) -> str:
    return " × ".join(str(n) for n in shape)


def _sizes(sizes: tuple[float, float, float]) -> str:
    return " × ".join(f"{size:.2f}" for size in sizes)
