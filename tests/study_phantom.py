"""Studies whose labels and measurements are made by hand, for the tests of reports."""

import numpy as np

from renalseg.clinical.records import (
    Component,
    Diameter,
    Intensity,
    Interval,
    KidneyRecord,
    LesionRecord,
    Measurements,
    Point,
    Score,
)
from renalseg.labels import Label
from renalseg.provenance import NOTICE, InputRecord, ModelRecord, Provenance, Warned
from renalseg.report.study import Study
from renalseg.volume import Volume

SHAPE = (40, 60, 100)
SPACING = (3.0, 1.5, 1.5)
AFFINE = np.array([[0, 0, -1.5, 70], [0, -1.5, 0, 20], [-3, 0, 0, 400], [0, 0, 0, 1]], float)
CENTRES = {"right": (20, 30, 25), "left": (20, 30, 75)}


def point(*index):
    place = AFFINE @ np.array([*index, 1.0])
    return Point(mm=tuple(place[:3].tolist()), index=tuple(float(i) for i in index))


def ball(centre, radius_mm):
    grid = np.indices(SHAPE)
    steps = [(g - c) * s for g, c, s in zip(grid, centre, SPACING, strict=True)]
    return sum(step**2 for step in steps) <= radius_mm**2


def kidney(side, **more):
    return KidneyRecord(
        side=side,
        volume_ml=112.34,
        parenchyma_ml=101.2,
        length_mm=66.0,
        centroid=point(*CENTRES[side]),
        orientation=(0.0, 0.0, 1.0),
        components=1,
        **more,
    )


def score(margin=0.7):
    near = Component(
        name="N", title="distance to the sinus", value=6.3, unit="mm", finding="between",
        points=2, margin=margin,
    )  # fmt: skip
    hilar = Component(name="h", title="touches a main vessel", finding="open: not in the labels")
    return Score(
        system="R.E.N.A.L.",
        components=(near, hilar),
        total=2.0,
        text="2x (h open)",
        risk="low",
        sinus_from="geometry",
    )


def lesion(number, label, side, centre, diameter_mm, **more):
    slices, row, column = centre
    rows, columns = (diameter_mm / 2 / size for size in SPACING[1:])
    across = (point(slices, row, column - columns), point(slices, row, column + columns))
    short = (point(slices, row - 0.8 * rows, column), point(slices, row + 0.8 * rows, column))
    return LesionRecord(
        number=number,
        label=label,
        side=side,
        volume_ml=diameter_mm**3 * 0.0005236,
        largest_axial_diameter_mm=diameter_mm,
        axial_diameter=Diameter(length_mm=diameter_mm, ends=across),
        short_axis_mm=0.8 * diameter_mm,
        short_axis=Diameter(length_mm=0.8 * diameter_mm, ends=short),
        largest_3d_diameter_mm=diameter_mm,
        diameter_3d=Diameter(length_mm=diameter_mm, ends=across),
        orientation=(0.0, 0.0, 1.0),
        centroid=point(*centre),
        components=1,
        contact_mm2=310.0,
        **more,
    )


def provenance():
    return Provenance(
        time="2026-01-02T03:04:05+00:00",
        model=ModelRecord(
            name="kits21", members=("seed-0", "seed-1"), files={"a.pth": "sha256:" + "ab12" * 16}
        ),
        input=InputRecord(
            name="Doe_Jane.nii.gz", hash="sha256:" + "cd34" * 16, shape=SHAPE, spacing_mm=SPACING
        ),
        settings={"profile": "balanced", "clean": True, "memory_gb": None},
        timings_s={"segment": 12.34},
        device="cpu",
        versions={"python": "3.12.0"},
        warnings=(Warned(code="cut", text="A kidney is cut off by the scan's end."),),
    )


def make_study(*, ct=True, sides=("right", "left"), lesions=True, **more):
    """Two kidneys; a tumor and a cyst in the first."""
    labels = np.zeros(SHAPE, np.uint8)
    for side in sides:
        labels[ball(CENTRES[side], 33)] = Label.KIDNEY
    found = []
    if lesions and sides:
        side = sides[0]
        slices, row, column = CENTRES[side]
        for number, (name, place, size_mm) in enumerate(
            (
                ("tumor", (slices + 3, row, column + 12), 30.0),
                ("cyst", (slices, row - 14, column), 6.0),
            ),
            start=1,
        ):
            labels[ball(place, size_mm / 2)] = Label[name.upper()]
            extra = {}
            if name == "tumor":
                extra["scores"] = (score(),)
                extra["intervals"] = {"volume_ml": Interval(low=13.1, high=15.9, members=3)}
                extra["sinus_distance_mm"] = 6.3
                extra["sinus_from"] = "geometry"
                if ct:
                    extra["intensity"] = Intensity(
                        mean_hu=45.2, sd_hu=12.0, median_hu=44, p5_hu=-7, p95_hu=90
                    )
            found.append(lesion(number, name, side, place, size_mm, **extra))
    measurements = Measurements(
        notice=NOTICE,
        renalseg="9.8.7",
        spacing_mm=SPACING,
        kidneys=tuple(kidney(side) for side in sides),
        lesions=tuple(found),
        notes=("One kidney alone was found.",) if len(sides) == 1 else (),
    )
    hu = np.where(labels > 0, 60, -80).astype(np.int16)
    image = Volume(hu, AFFINE) if ct else None
    return Study(image, Volume(labels, AFFINE), measurements, **more)
