"""Measurements on bodies whose numbers are known, and on real label maps."""

import csv
import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from typer.testing import CliRunner

from renalseg.cli.main import app
from renalseg.clinical import Measurements, measure
from renalseg.clinical.contact import contact_mm2
from renalseg.clinical.diameters import axial_diameter, diameter_3d, largest_diameters
from renalseg.clinical.instances import find_kidneys
from renalseg.clinical.size import renal_points
from renalseg.errors import RenalsegError, VolumeError
from renalseg.labels import DiameterLine, Label
from renalseg.volume import Volume, read_labels
from renalseg.volume.boxes import bounding_box

MM = (3.0, 1.5, 1.5)
SHAPE = (60, 80, 160)


def affine_of(spacing=MM, turn=None):
    """I-P-L, the volume's middle at the origin; ``turn``: a rotation vector in degrees."""
    axes = np.array([[0, 0, -1.0], [0, -1.0, 0], [-1.0, 0, 0]]) * spacing
    if turn is not None:
        axes = Rotation.from_rotvec(turn, degrees=True).as_matrix() @ axes
    affine = np.eye(4)
    affine[:3, :3] = axes
    affine[:3, 3] = -axes @ ((np.array(SHAPE) - 1) / 2)
    return affine


def points_of(affine, shape=SHAPE):
    grid = np.stack(np.indices(shape), axis=-1)
    return grid @ affine[:3, :3].T + affine[:3, 3]


def ellipsoid(points, centre, radii):
    return (((points - centre) / radii) ** 2).sum(axis=-1) < 1


def patient(*lesions, sides=("right", "left"), turn=None):
    """Kidneys of 25 x 25 x 45 mm radii, 60 mm from the middle; lesions: label, centre, radius."""
    affine = affine_of(turn=turn)
    points = points_of(affine)
    labels = np.zeros(SHAPE, np.uint8)
    for side in sides:
        x = 60 if side == "right" else -60
        labels[ellipsoid(points, (x, 0, 0), (25, 25, 45))] = Label.KIDNEY
    for label, centre, radius in lesions:
        labels[ellipsoid(points, centre, radius)] = label
    return Volume(labels, affine)


TUMOR = (Label.TUMOR, (60, -30, 10), 12)
CYST = (Label.CYST, (-60, 0, -20), 8)


@pytest.mark.parametrize("radius", [6.0, 12.5, 20.0])
def test_a_ball_has_its_own_diameter_along_every_line(radius):
    affine = affine_of((1.0, 1.0, 1.0))
    mask = ellipsoid(points_of(affine), (0, 0, 0), radius)
    box = bounding_box(mask)
    axial = axial_diameter(mask[box], box, affine)
    for diameter in (axial.long, axial.short, diameter_3d(mask[box], box, affine)):
        assert diameter.length_mm == pytest.approx(2 * radius, abs=1)


def test_an_ellipsoid_has_its_longest_axes():
    affine = affine_of((1.0, 1.0, 1.0))
    mask = ellipsoid(points_of(affine), (0, 0, 0), (20, 12, 28))
    box = bounding_box(mask)
    axial = axial_diameter(mask[box], box, affine)
    assert axial.long.length_mm == pytest.approx(40, abs=0.8)
    assert axial.short.length_mm == pytest.approx(24, abs=0.8)
    assert diameter_3d(mask[box], box, affine).length_mm == pytest.approx(56, abs=0.8)


def test_the_short_axis_is_perpendicular_and_in_the_same_slice():
    affine = affine_of()
    turned = points_of(affine) @ Rotation.from_rotvec([0, 0, 30], degrees=True).as_matrix()
    mask = ellipsoid(turned, (0, 0, 0), (30, 15, 20))
    box = bounding_box(mask)
    axial = axial_diameter(mask[box], box, affine)
    long, short = (np.subtract(*(end.mm for end in d.ends)) for d in (axial.long, axial.short))
    assert abs(long @ short) < 1e-6
    assert {end.index[0] for d in (axial.long, axial.short) for end in d.ends} == {
        axial.long.ends[0].index[0]
    }
    assert axial.short.length_mm == pytest.approx(30, abs=1.5)


def test_ends_lie_as_far_apart_as_the_diameter_says():
    lesion = measure(patient(TUMOR)).lesions[0]
    for diameter in (lesion.axial_diameter, lesion.short_axis, lesion.diameter_3d):
        apart = np.linalg.norm(np.subtract(diameter.ends[0].mm, diameter.ends[1].mm))
        assert apart == pytest.approx(diameter.length_mm)


def test_one_voxel_has_its_own_size():
    mask = np.ones((1, 1, 1), bool)
    box = (slice(5, 6), slice(7, 8), slice(9, 10))
    axial = axial_diameter(mask, box, affine_of())
    assert axial.long.length_mm == pytest.approx(1.5)
    assert diameter_3d(mask, box, affine_of()).length_mm == pytest.approx(3.0)


def test_contact_of_a_ball_within_another_structure_is_its_surface():
    inside = ellipsoid(points_of(affine_of((1.0, 1.0, 1.0))), (0, 0, 0), 15)
    assert contact_mm2(inside, ~inside, (1.0, 1.0, 1.0)) == pytest.approx(
        4 * np.pi * 15**2, rel=0.12
    )


def test_contact_of_two_halves_is_the_disc_between_them():
    points = points_of(affine_of((1.0, 1.0, 1.0)))
    ball = ellipsoid(points, (0, 0, 0), 15)
    half = points[..., 0] > 0
    assert contact_mm2(ball & half, ball & ~half, (1.0, 1.0, 1.0)) == pytest.approx(
        np.pi * 15**2, rel=0.12
    )


@pytest.mark.parametrize(
    ("radii", "axial", "coronal", "sagittal"),  # right to left, front to back, foot to head
    [((10, 20, 14), 40, 28, 40), ((20, 10, 14), 40, 40, 28), ((10, 14, 20), 28, 40, 40)],
)
def test_each_line_lies_in_its_own_plane(radii, axial, coronal, sagittal):
    affine = affine_of((1.0, 1.0, 1.0))
    mask = ellipsoid(points_of(affine), (0, 0, 0), radii)
    box = bounding_box(mask)
    lines, short = largest_diameters(mask[box], box, affine)
    found = {line.value: round(diameter.length_mm) for line, diameter in lines.items()}
    assert found == {"axial": axial, "coronal": coronal, "sagittal": sagittal, "3d": 40}
    across = {"axial": 0, "coronal": 1, "sagittal": 2}
    for line, axis in across.items():
        first, second = (end.index[axis] for end in lines[DiameterLine(line)].ends)
        assert first == second
    assert short.length_mm == pytest.approx(2 * sorted(radii[:2])[0], abs=1)


TALL = (Label.TUMOR, (60, -30, 10), (14, 12, 24))


@pytest.mark.parametrize(
    ("options", "line", "mm", "points"),
    [
        ({}, "axial", 28, 1),
        ({"diameter": "coronal"}, "coronal", 48, 2),
        ({"diameter": "3d"}, "3d", 48, 2),
        ({"diameter": DiameterLine.SAGITTAL}, "sagittal", 48, 2),
    ],
)
def test_scores_take_the_axial_diameter_and_others_by_choice(options, line, mm, points):
    scores = measure(patient(TALL), **options).lesions[0].scores
    assert [score.diameter for score in scores] == [line] * 3
    parts = {part.name: part for score in scores for part in score.components}
    for name in ("R", "size"):
        assert parts[name].points == points
        assert parts[name].value == pytest.approx(mm, abs=2)
    assert parts["r"].value == pytest.approx(mm / 2, abs=1)


def test_a_line_that_there_is_not_is_said():
    with pytest.raises(
        RenalsegError, match="expected one of axial, coronal, sagittal, 3d, got 'oblique'"
    ):
        measure(patient(), diameter="oblique")


def test_notes_say_where_another_line_changes_the_points():
    (note,) = measure(patient(TALL)).notes
    assert note.startswith("Tumor 1, R.E.N.A.L. R and PADUA size: 1 by the axial diameter (2")
    assert measure(patient(TUMOR)).notes == ()


def test_records_from_before_the_choice_took_the_line_in_3d():
    found = measure(patient(TALL)).model_dump(mode="json")
    del found["lesions"][0]["scores"][0]["diameter"]
    assert Measurements.model_validate(found).lesions[0].scores[0].diameter is DiameterLine.IN_3D


def test_what_lies_apart_has_no_contact():
    first, second = np.zeros((2, 9, 9, 9), bool)
    first[:3], second[6:] = True, True
    assert contact_mm2(first, second, MM) == 0


def test_two_kidneys_right_first_each_with_its_lesions():
    right, left = find_kidneys(patient(TUMOR, CYST))
    assert (right.side, left.side) == ("right", "left")
    assert [one.label for one in right.lesions] == [Label.TUMOR]
    assert [one.label for one in left.lesions] == [Label.CYST]


@pytest.mark.parametrize("side", ["right", "left"])
def test_one_kidney_takes_the_side_that_it_lies_on(side):
    labels = patient(sides=(side,))
    assert [kidney.side for kidney in find_kidneys(labels)] == [side]
    assert f"One kidney only; {side}" in measure(labels).notes[0]


def test_a_lesion_that_touches_nothing_belongs_to_the_nearest_kidney():
    far = (Label.TUMOR, (-60, -60, 0), 10)
    right, left = find_kidneys(patient(far))
    assert not right.lesions
    assert len(left.lesions) == 1
    assert any("mm from the left kidney" in note for note in measure(patient(far)).notes)


def test_joined_kidneys_are_divided_in_the_middle():
    labels = patient(TUMOR, CYST)
    bridge = ellipsoid(points_of(labels.affine), (0, 0, -30), (70, 8, 8))
    labels.array[bridge & (labels.array == 0)] = Label.KIDNEY
    right, left = find_kidneys(labels)
    assert right.is_divided
    assert [len(right.lesions), len(left.lesions)] == [1, 1]
    assert right.mask.sum() == pytest.approx(left.mask.sum(), rel=0.1)


def test_lesions_without_any_kidney_are_measured_and_have_no_scores():
    found = measure(patient(TUMOR, sides=()))
    assert found.kidneys == ()
    assert found.lesions[0].side == "right"
    assert found.lesions[0].scores == ()
    assert "No kidney" in found.notes[0]


def test_a_kidney_may_fill_its_box():
    labels = np.zeros(SHAPE, np.uint8)
    labels[20:40, 30:50, 10:30] = Label.KIDNEY
    (kidney,) = measure(Volume(labels, affine_of())).kidneys
    assert kidney.volume_ml == pytest.approx(20**3 * np.prod(MM) / 1000)


def test_an_empty_map_has_nothing():
    found = measure(patient(sides=()))
    assert (found.kidneys, found.lesions) == ((), ())


def test_specks_are_no_lesions_and_are_said():
    labels = patient()
    labels.array[30, 40, 120] = Label.TUMOR
    found = measure(labels)
    assert found.lesions == ()
    assert "left out: 1" in " ".join(found.notes)


def test_volumes_add_up():
    labels = patient(TUMOR, CYST)
    found = measure(labels)
    voxel_ml = np.prod(MM) / 1000
    assert sum(k.volume_ml for k in found.kidneys) == pytest.approx(
        (labels.array > 0).sum() * voxel_ml
    )
    assert sum(k.parenchyma_ml for k in found.kidneys) == pytest.approx(
        (labels.array == 1).sum() * voxel_ml
    )
    assert found.kidneys[0].length_mm == pytest.approx(90, abs=4)
    assert found.kidneys[0].orientation == pytest.approx((0, 0, 1), abs=0.1)


def test_numbers_do_not_depend_on_how_the_grid_lies():
    straight, oblique = measure(patient(TUMOR)), measure(patient(TUMOR, turn=(0, 0, 12)))
    for one, other in zip(straight.lesions, oblique.lesions, strict=True):
        assert one.largest_axial_diameter_mm == pytest.approx(
            other.largest_axial_diameter_mm, abs=1.5
        )
        assert one.volume_ml == pytest.approx(other.volume_ml, rel=0.05)
        assert one.centroid.mm == pytest.approx(other.centroid.mm, abs=1)
        assert one.side == other.side


def test_intensities_are_those_of_the_ct_within():
    labels = patient(TUMOR, CYST)
    ct = labels.like(np.array([0, 150, 60, 5], np.int16)[labels.array])
    found = measure(labels, ct)
    assert [k.intensity.mean_hu for k in found.kidneys] == [150, 150]
    assert {one.label: one.intensity.median_hu for one in found.lesions} == {"tumor": 60, "cyst": 5}


def test_a_ct_on_another_grid_is_refused():
    labels = patient()
    with pytest.raises(VolumeError, match="different grids"):
        measure(labels, Volume(np.zeros((5, 5, 5), np.int16), labels.affine))


def test_members_give_an_interval_that_holds_their_numbers():
    labels = patient(TUMOR)
    small, large = (patient((*TUMOR[:2], radius)).array for radius in (9, 15))
    (lesion,) = measure(labels, members=[small, large, patient().array]).lesions
    interval = lesion.intervals["volume_ml"]
    assert interval.members == 2
    assert interval.low < lesion.volume_ml < interval.high
    assert interval.high == pytest.approx(4.19 * 1.5**3, rel=0.1)


def test_one_member_alone_gives_no_interval():
    """The bundled model segments with one network: 5.0 to 5.0 ml would say that it is sure."""
    found = measure(patient(TUMOR), members=[patient(TUMOR).array])
    assert [one.intervals for one in (*found.kidneys, *found.lesions)] == [{}, {}, {}]


@pytest.fixture
def files(tmp_path):
    labels = patient(TUMOR, CYST)
    labels.save(tmp_path / "mask.nii.gz")
    hu = np.array([-1000, 150, 60, 5], np.int16)
    labels.like(hu[labels.array]).save(tmp_path / "ct.nii.gz")
    return tmp_path


def invoke(*arguments):
    return CliRunner().invoke(app, ["measure", *map(str, arguments)])


def test_the_command_prints_one_object(files):
    result = invoke(files / "mask.nii.gz", "--ct", files / "ct.nii.gz", "--json")
    found = json.loads(result.stdout)
    assert [one["side"] for one in found["kidneys"]] == ["right", "left"]
    tumor = found["lesions"][0]
    assert (tumor["label"], tumor["side"]) == ("tumor", "right")
    assert tumor["volume_ml"] == pytest.approx(4.19 * 1.2**3, rel=0.1)
    assert tumor["largest_axial_diameter_mm"] == pytest.approx(24, abs=1.5)
    assert tumor["largest_3d_diameter_mm"] == pytest.approx(24, abs=3)
    assert tumor["intensity"]["mean_hu"] == 60


def test_the_command_shows_tables_and_writes_csv(files):
    result = invoke(files / "mask.nii.gz", "--csv", files / "numbers.csv")
    assert result.exit_code == 0
    assert "right tumor" in result.stdout
    with (files / "numbers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["what"] for row in rows] == ["kidney", "kidney", "tumor", "cyst"]
    assert rows[2]["renal"]
    assert rows[3]["renal"] == ""
    assert [row["score_diameter"] for row in rows] == ["", "", "axial", ""]


def test_the_command_takes_another_line(files):
    patient(TALL).save(files / "tall.nii.gz")
    result = invoke(files / "tall.nii.gz", "--diameter", "3d", "--csv", files / "numbers.csv")
    shown = " ".join(result.stdout.split())
    assert "; by the 3D diameter" in shown
    assert "look: Tumor 1, R.E.N.A.L. R and PADUA size: 2 by the 3D diameter" in shown
    row = list(csv.DictReader((files / "numbers.csv").read_text().splitlines()))[2]
    assert row["score_diameter"] == "3d"
    assert "1 by the axial" in row["points_by_diameter"]
    assert invoke(files / "tall.nii.gz", "--diameter", "4d").exit_code == 2


def test_the_command_refuses_a_ct_on_another_grid(files):
    other = Volume(np.linspace(-1000, 500, 125).reshape(5, 5, 5).astype(np.int16), affine_of())
    other.save(files / "other.nii.gz")
    result = invoke(files / "mask.nii.gz", "--ct", files / "other.nii.gz")
    assert isinstance(result.exception, VolumeError)
    assert "expected the grid of" in str(result.exception)


@pytest.mark.parametrize(("case", "kidneys", "tumors"), [("00194", 1, 2), ("00205", 2, 3)])
def test_real_patients_have_their_kidneys_and_tumors(real_data, case, kidneys, tumors):
    labels = read_labels(real_data / "kits23" / f"case_{case}" / "segmentation.nii.gz")
    found = measure(labels)
    assert len(found.kidneys) == kidneys
    assert sum(one.label == "tumor" for one in found.lesions) == tumors
    for lesion in found.lesions:
        assert lesion.short_axis_mm <= lesion.largest_axial_diameter_mm + 1e-9
        assert lesion.largest_axial_diameter_mm <= lesion.largest_3d_diameter_mm + 1e-9


@pytest.mark.parametrize(("case", "read", "points"), [("00171", 2, (2, 3)), ("00285", 1, (1, 2))])
def test_real_tumors_have_the_points_that_radiologists_read_by_the_axial_line(
    real_data, case, read, points
):
    records = json.loads((real_data / "kits23" / "kits23.json").read_text())
    (size_cm,) = (r["radiographic_size"] for r in records if r["case_id"] == f"case_{case}")
    assert renal_points(10 * size_cm)[0] == read
    labels = read_labels(real_data / "kits23" / f"case_{case}" / "segmentation.nii.gz")
    radius = measure(labels).lesions[0].scores[0].components[0]
    by_line = {one.line.value: one.points for one in radius.by_line}
    assert radius.points == read
    assert (by_line["axial"], by_line["3d"]) == points
