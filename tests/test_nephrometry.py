"""Nephrometry on bodies whose numbers are known, and on real label maps."""

import numpy as np
import pytest

import study_phantom as phantom
from nephrometry_bodies import (
    POLAR_LINE,
    SLOT_DEPTH,
    Ball,
    Body,
    cap,
    in_slot,
    inside,
    own_points,
    share,
)
from renalseg.clinical.c_index import c_index
from renalseg.clinical.nephrometry import nephrometry
from renalseg.clinical.padua import padua_score
from renalseg.clinical.points import group
from renalseg.clinical.position import Position, find_position, sinus_distance_mm
from renalseg.clinical.renal import renal_score
from renalseg.clinical.size import points_by_line
from renalseg.labels import DiameterLine, Label
from soak import sampled


def position(**values):
    """A lesion's numbers; those not named lie far from every threshold."""
    line = np.zeros((2, 3))
    usual = {
        "diameter_mm": 30.0,
        "diameter": line,
        "centre": np.zeros(3),
        "exophytic_percent": 70.0,
        "sinus_distance_mm": 20.0,
        "to_sinus": line,
        "front_percent": 100.0,
        "above_percent": 100.0,
        "below_percent": 0.0,
        "over_middle_percent": 0.0,
        "medial_mm": -20.0,
        "off_centre_mm": (30.0, 40.0),
    }
    return Position(**(usual | values))


def component(score, name):
    """One component of a score."""
    return next(part for part in score.components if part.name == name)


@pytest.mark.parametrize(
    ("name", "values", "points"),
    [
        ("R", {"diameter_mm": 40.0}, 1),
        ("R", {"diameter_mm": 40.01}, 2),
        ("R", {"diameter_mm": 69.99}, 2),
        ("R", {"diameter_mm": 70.0}, 3),
        ("E", {"exophytic_percent": 50.0}, 1),
        ("E", {"exophytic_percent": 49.9}, 2),
        ("E", {"exophytic_percent": 1.0}, 2),
        ("E", {"exophytic_percent": 0.9}, 3),
        ("N", {"sinus_distance_mm": 7.0}, 1),
        ("N", {"sinus_distance_mm": 6.99}, 2),
        ("N", {"sinus_distance_mm": 4.01}, 2),
        ("N", {"sinus_distance_mm": 4.0}, 3),
        ("L", {"above_percent": 99.1, "below_percent": 0.0}, 1),
        ("L", {"above_percent": 0.0, "below_percent": 99.1}, 1),
        ("L", {"above_percent": 98.9}, 2),
        ("L", {"above_percent": 50.0}, 2),
        ("L", {"above_percent": 49.9}, 3),
        ("L", {"above_percent": 0.0}, 3),
        ("L", {"above_percent": 60.0, "over_middle_percent": 0.9}, 2),
        ("L", {"above_percent": 60.0, "over_middle_percent": 1.0}, 3),
    ],
)
def test_renal_points_on_both_sides_of_each_threshold(name, values, points):
    # Kutikov and Uzzo 2009, table 1
    assert component(renal_score(position(**values), "ct"), name).points == points


@pytest.mark.parametrize(
    ("name", "values", "points"),
    [
        ("location", {"above_percent": 50.0}, 1),
        ("location", {"above_percent": 49.9}, 2),
        ("exophytic", {"exophytic_percent": 50.0}, 1),
        ("exophytic", {"exophytic_percent": 49.9}, 2),
        ("exophytic", {"exophytic_percent": 0.0}, 3),
        ("rim", {"medial_mm": -0.1}, 1),
        ("rim", {"medial_mm": 0.1}, 2),
        ("sinus", {"sinus_distance_mm": 1.1}, 1),
        ("sinus", {"sinus_distance_mm": 1.0}, 2),
        ("size", {"diameter_mm": 40.0}, 1),
        ("size", {"diameter_mm": 40.01}, 2),
        ("size", {"diameter_mm": 70.0}, 2),
        ("size", {"diameter_mm": 70.01}, 3),
    ],
)
def test_padua_points_on_both_sides_of_each_threshold(name, values, points):
    # Ficarra et al. 2009, table 1
    assert component(padua_score(position(**values), "ct"), name).points == points


@pytest.mark.parametrize(
    ("percent", "suffix"), [(67.0, "a"), (66.0, "x"), (34.0, "x"), (33.0, "p")]
)
def test_a_suffix_tells_front_from_back(percent, suffix):
    values = position(front_percent=percent)
    assert renal_score(values, "ct").text == f"4{suffix} (h open)"
    assert padua_score(values, "ct").text == f"6-7{suffix} (collecting system open)"


def test_renal_adds_its_points():
    worst = position(
        diameter_mm=80.0,
        exophytic_percent=0.0,
        sinus_distance_mm=0.0,
        above_percent=0.0,
        front_percent=0.0,
    )
    score = renal_score(worst, "ct")
    assert (score.total, score.text, score.risk) == (12, "12p (h open)", "high")
    score = renal_score(position(), "ct")
    assert (score.total, score.risk) == (4, "low")


@pytest.mark.parametrize(
    ("total", "risk"),
    [(4, "low"), (6, "low"), (7, "intermediate"), (9, "intermediate"), (10, "high"), (12, "high")],
)
def test_renal_groups(total, risk):
    from renalseg.clinical.renal import GROUPS

    assert group(total, total, GROUPS) == risk


def test_a_group_is_named_only_where_the_open_points_do_not_change_it():
    assert padua_score(position(), "ct").risk == "low"  # 6 or 7
    assert padua_score(position(medial_mm=1.0), "ct").risk is None  # 7 or 8
    worst = position(
        diameter_mm=80.0,
        exophytic_percent=0.0,
        sinus_distance_mm=0.0,
        above_percent=0.0,
        medial_mm=5.0,
    )
    score = padua_score(worst, "geometry")
    assert (score.text, score.risk) == ("13-14a (collecting system open)", "high")


def test_padua_has_no_total_as_the_collecting_system_is_open():
    score = padua_score(position(), "ct")
    assert score.total is None
    assert component(score, "collecting system").finding.startswith("open")


def test_what_needs_the_sinus_is_open_without_one():
    unknown = position(
        sinus_distance_mm=None,
        to_sinus=None,
        front_percent=None,
        above_percent=None,
        below_percent=None,
    )
    score = renal_score(unknown, None)
    assert score.total is None
    assert score.risk is None
    assert score.text == "4-8 (N, L, A, h open)"
    assert component(score, "N").points is None
    text = padua_score(unknown, None).text
    assert text == "6-10 (location, rim, sinus, collecting system, face open)"


def test_margins_are_distances_to_the_nearest_threshold():
    score = renal_score(position(diameter_mm=66.0, sinus_distance_mm=4.5), "ct")
    assert component(score, "R").margin == pytest.approx(4.0)
    assert component(score, "N").margin == pytest.approx(0.5)
    assert component(score, "E").margin == pytest.approx(20.0)
    assert component(score, "L").margin is None  # nothing of it lies across the line


def test_the_c_index_is_the_distance_of_the_centres_over_the_radius():
    score = c_index(position(diameter_mm=40.0, off_centre_mm=(30.0, 40.0), line=DiameterLine.IN_3D))
    assert component(score, "r").title == "half the largest 3D diameter"
    assert score.total == pytest.approx(2.5)  # sqrt(30^2 + 40^2) / 20
    assert score.text == "2.5"


def by_line(**lengths):
    """What the notes say of a tumor with these lengths, the first of them taken."""
    names = {DiameterLine.named(name.removeprefix("in_")): mm for name, mm in lengths.items()}
    line, length = next(iter(names.items()))
    found = position(diameter_mm=length, line=line, lengths_mm=names)
    scores = renal_score(found, "ct"), padua_score(found, "ct"), c_index(found)
    return points_by_line(phantom.lesion(1, "tumor", "right", (20, 30, 25), 30.0, scores=scores))


def test_another_line_is_named_where_it_changes_the_points():
    assert by_line(axial=68.0, in_3d=74.4) == (
        "R.E.N.A.L. R and PADUA size: 2 by the axial diameter (68 mm), 3 by the 3D (74 mm)",
    )
    assert by_line(in_3d=74.4, axial=38.0, coronal=38.2, sagittal=72.0) == (
        "R.E.N.A.L. R and PADUA size: 3 by the 3D diameter (74 mm), 1 by the axial (38 mm) and "
        "the coronal (38 mm)",
    )
    assert by_line(axial=41.0, coronal=50.0, in_3d=69.0) == ()


def test_lengths_are_told_so_that_each_lies_on_its_own_side_of_the_threshold():
    (text,) = by_line(axial=39.96, in_3d=40.04)
    assert text.endswith("1 by the axial diameter (39.96 mm), 2 by the 3D (40.04 mm)")
    (text,) = by_line(axial=69.9, in_3d=77.0)
    assert "2 by the axial diameter (69.9 mm), 3 by the 3D (77.0 mm)" in text


def test_exactly_seven_centimetres_are_another_thing_to_each_score():
    # "7 cm or more" of R.E.N.A.L., "more than 7 cm" of PADUA
    assert by_line(axial=69.0, in_3d=70.0) == (
        "R.E.N.A.L. R: 2 by the axial diameter (69 mm), 3 by the 3D (70 mm)",
    )


# Bodies: every number that a score is made of against the formula, on both sides of a threshold.


def measured(body, **grid):
    """Anatomy, position and scores of a body's first lesion."""
    anatomy, lesions = body.anatomy(**grid)
    return anatomy, find_position(anatomy, lesions[0]), nephrometry(anatomy, lesions[0])


def outside(points):
    return ~inside(points)


@pytest.mark.parametrize(("radius", "points"), [(18.5, 1), (21.5, 2), (33.0, 2), (36.5, 3)])
def test_radius_of_a_ball(radius, points):
    ball = Ball((20.0, -30.0 - 0.6 * radius, 0.0), radius)
    _, found, scores = measured(Body((ball,)))
    assert found.diameter_mm == pytest.approx(2 * radius, abs=1.5)
    assert component(scores[0], "R").points == points
    assert component(scores[1], "size").points == points


@pytest.mark.parametrize(
    ("lateral", "points"), [(34.0, 1), (29.0, 1), (26.0, 2), (18.0, 2), (11.0, 3)]
)
def test_exophytic_part_of_a_ball(lateral, points):
    ball = Ball((20.0, -lateral, 0.0), 12.0)
    _, found, scores = measured(Body((ball,)))
    assert found.exophytic_percent == pytest.approx(share(ball, outside), abs=4)
    assert component(scores[0], "E").points == points
    assert component(scores[1], "exophytic").points == points


@pytest.mark.parametrize(
    ("gap", "points", "involved"), [(9.0, 1, 1), (5.5, 2, 1), (2.5, 3, 1), (-3.0, 3, 2)]
)
def test_distance_of_a_ball_to_the_sinus(gap, points, involved):
    ball = Ball((0.0, SLOT_DEPTH - gap - 8.0, 0.0), 8.0)
    anatomy, found, scores = measured(Body((ball,)), spacing_mm=1.0)
    assert found.sinus_distance_mm == pytest.approx(max(gap, 0), abs=1.0)
    assert component(scores[0], "N").points == points
    assert component(scores[1], "sinus").points == involved
    assert anatomy.sinus.source == "geometry"


@pytest.mark.parametrize(
    ("up", "points", "location"),
    [(32.0, 1, 1), (-32.0, 1, 1), (17.0, 2, 1), (13.0, 3, 2), (4.0, 3, 2)],
)
def test_a_ball_and_the_polar_lines(up, points, location):
    ball = Ball((up, -22.0, 0.0), 12.0)
    anatomy, found, scores = measured(Body((ball,)))
    assert anatomy.polar_lines.upper_mm == pytest.approx(POLAR_LINE, abs=1.5)
    assert anatomy.polar_lines.lower_mm == pytest.approx(-POLAR_LINE, abs=1.5)
    tolerance = 1.5 / 12 * 75  # a voxel's shift of a plane through the ball's middle
    assert found.above_percent == pytest.approx(cap(ball, POLAR_LINE), abs=tolerance)
    assert found.below_percent == pytest.approx(100 - cap(ball, -POLAR_LINE), abs=tolerance)
    over = min(cap(ball, 0), 100 - cap(ball, 0))
    assert found.over_middle_percent == pytest.approx(over, abs=tolerance)
    assert component(scores[0], "L").points == points
    assert component(scores[1], "location").points == location


@pytest.mark.parametrize(("front", "suffix"), [(8.0, "a"), (1.0, "x"), (-1.0, "x"), (-8.0, "p")])
def test_a_ball_in_front_and_behind(front, suffix):
    ball = Ball((30.0, -10.0, front), 9.0)
    _, found, scores = measured(Body((ball,)))
    exact = share(ball, lambda points: points[:, 2] > 0)
    assert found.front_percent == pytest.approx(exact, abs=8)
    assert f"{suffix} (" in scores[0].text


@pytest.mark.parametrize(("medial", "points"), [(-8.0, 1), (-3.0, 1), (3.0, 2), (8.0, 2)])
def test_a_ball_at_the_lateral_and_the_medial_rim(medial, points):
    ball = Ball((36.0, medial, 0.0), 10.0)
    _, found, scores = measured(Body((ball,)))
    assert found.medial_mm == pytest.approx(medial, abs=1.5)
    assert component(scores[1], "rim").points == points


def test_the_c_index_of_a_ball():
    ball = Ball((24.0, -18.0, 0.0), 12.0)
    _, _, scores = measured(Body((ball,)))
    assert scores[2].total == pytest.approx(30 / 12, rel=0.1)


# What must change nothing.


TILTED = Body((Ball((26.0, -24.0, 6.0), 14.0),), tilt=(14.0, 8.0, 10.0))


def numbers(found):
    return np.array(
        [
            found.diameter_mm,
            found.exophytic_percent,
            found.sinus_distance_mm,
            found.front_percent,
            found.above_percent,
            found.medial_mm,
            *found.off_centre_mm,
        ]
    )


@pytest.mark.parametrize(
    "grid",
    sampled(
        [
            {"order": (1, 2, 0), "flips": (-1, 1, -1)},
            {"order": (2, 0, 1), "flips": (-1, -1, 1)},
            {"turn": (25.0, -15.0, 10.0)},
            {"turn": (0.0, 0.0, 40.0), "flips": (1, -1, 1)},
            {"spacing_mm": 1.0},
            {"spacing_mm": 2.0},
            {"spacing_mm": 3.0},
            {"spacing_mm": (0.8, 0.8, 3.0)},
        ],
        4,
    ),
)
def test_the_grid_changes_nothing(grid):
    _, usual, _ = measured(TILTED)
    _, other, _ = measured(TILTED, **grid)
    voxel = max(1.5, np.max(grid.get("spacing_mm", 1.5)))
    # mm within the voxel; a plane shifted by half a voxel through a ball's middle
    percent = 75 * (voxel / 2) / 14 + 1
    tolerance = np.array([voxel, percent, voxel, percent, percent, voxel, voxel, voxel])
    assert np.all(np.abs(numbers(other) - numbers(usual)) <= tolerance)


def test_flips_and_order_change_no_digit():
    # the same voxels in another order of storage
    first = measured(TILTED, spacing_mm=2.0)[1]
    second = measured(TILTED, spacing_mm=2.0, order=(2, 1, 0))[1]
    np.testing.assert_allclose(numbers(second), numbers(first), rtol=0, atol=1e-6)


def test_the_right_kidney_is_the_left_ones_mirror_image():
    ball = Ball((24.0, -20.0, 12.0), 12.0)
    _, left, _ = measured(Body((ball,), side="left"))
    _, right, _ = measured(Body((ball,), side="right"))
    np.testing.assert_allclose(numbers(right), numbers(left), atol=3)


def test_a_tumor_neither_dents_nor_swells_the_outline():
    for ball in (Ball((10.0, -40.0, 0.0), 25.0), Ball((60.0, 0.0, 0.0), 22.0)):
        anatomy, _ = Body((ball,)).anatomy()
        own = (anatomy.outline.surface - Body().centre) @ Body().axes().T
        level = np.sqrt(((own / (55, 30, 27)) ** 2).sum(axis=1))
        off = np.linalg.norm(own, axis=1) * (1 - 1 / level)
        is_off_the_slot = ~((own[:, 1] > 0) & (np.abs(own[:, 0]) < 20) & (np.abs(own[:, 2]) < 14))
        assert np.abs(off[is_off_the_slot]).max() < 2.5


def test_the_outline_starts_at_the_middle_of_its_hull_whatever_lesion_there_is():
    """Its directions would lie unevenly, and a last digit of the grid would change points."""
    for ball in (Ball((10.0, -40.0, 0.0), 25.0), Ball((60.0, 0.0, 0.0), 22.0)):
        anatomy, _ = Body((ball,)).anatomy()
        off = np.linalg.norm(anatomy.outline.origin - Body().centre)
        assert off < 2.0  # the slot of the sinus, and what the tumor hides


def test_a_cyst_is_neither_kidney_nor_tumor():
    ball, cyst = Ball((28.0, -18.0, 14.0), 12.0), Ball((-30.0, -28.0, 0.0), 14.0, Label.CYST)
    _, alone, _ = measured(Body((ball,)))
    _, beside, _ = measured(Body((ball, cyst)))
    np.testing.assert_allclose(numbers(beside), numbers(alone), atol=3)


def test_several_tumors_are_each_scored():
    balls = (Ball((34.0, -16.0, 0.0), 9.0), Ball((-34.0, -12.0, 0.0), 11.0))
    anatomy, lesions = Body(balls).anatomy()
    for ball, lesion in zip(balls, lesions, strict=True):
        found = find_position(anatomy, lesion)
        assert found.diameter_mm == pytest.approx(2 * ball.radius, abs=1.5)
        assert found.medial_mm == pytest.approx(ball.centre[1], abs=1.5)
        assert found.exophytic_percent == pytest.approx(share(ball, outside), abs=4)


# The sinus.


def fat_in_the_slot(body, volume):
    """A CT: fat in the sinus and around the kidney, 100 HU in the kidney."""
    own = own_points(body, volume)
    hu = np.where(inside(own) & ~in_slot(own), 100.0, -100.0)
    for ball in body.lesions:
        hu[((own - ball.centre) ** 2).sum(axis=-1) < ball.radius**2] = 60.0
    return hu


def test_the_ct_shows_a_sinus_that_the_labels_fill():
    ball = Ball((0.0, -12.0, 0.0), 9.0)
    body = Body((ball,), is_filled=True)
    without, lesions = body.anatomy()
    assert without.sinus is None
    assert sinus_distance_mm(without, lesions[0]) is None
    anatomy, lesions = body.anatomy(ct=fat_in_the_slot)
    assert anatomy.sinus.source == "ct"
    exact = SLOT_DEPTH + 12.0 - 9.0
    assert sinus_distance_mm(anatomy, lesions[0]) == pytest.approx(exact, abs=1.5)
    assert {score.sinus_from for score in nephrometry(anatomy, lesions[0])[:2]} == {"ct"}


def test_a_ct_without_fat_leaves_the_sinus_to_geometry():
    def soft(body, volume):
        return np.full(volume.shape, 40.0) + 0 * body.lesions[0].radius

    anatomy, _ = TILTED.anatomy(ct=soft)
    assert anatomy.sinus.source == "geometry"


def test_a_kidney_that_is_mostly_tumor_is_left_open():
    ball = Ball((0.0, -16.0, 0.0), 70.0)
    body = Body((ball,))
    anatomy, lesions = body.anatomy(spacing_mm=2.0)
    assert anatomy is None or renal_score(find_position(anatomy, lesions[0]), None).total is None
