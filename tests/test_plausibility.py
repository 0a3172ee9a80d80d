import numpy as np
import pytest

from renalseg.inference.mask_rules import unusual_labels
from renalseg.inference.plausibility import Finding, unusual
from renalseg.inference.scan_rules import unusual_scan
from renalseg.labels import Label
from renalseg.models.manifest import World
from renalseg.volume import Volume, read_image, read_labels

SPACING_MM = (4.0, 1.0, 1.0)
SHAPE = (60, 300, 400)
RIGHT, LEFT = (30, 180, 120), (30, 180, 270)


def ellipsoid(center, radii_mm):
    axes = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    parts = zip(axes, center, SPACING_MM, radii_mm, strict=True)
    return sum(((axis - at) * mm / radius) ** 2 for axis, at, mm, radius in parts) <= 1


def kidneys(*centers, radii_mm=(55, 26, 26)):
    """Kidneys of 156 ml."""
    labels = np.zeros(SHAPE, np.uint8)
    for center in centers:
        labels[ellipsoid(center, radii_mm)] = Label.KIDNEY
    return labels


BOTH = kidneys(RIGHT, LEFT)


def scan(labels=BOTH, *, kidney_hu=150, spacing_mm=SPACING_MM, tilt_degrees=0.0):
    """Fat and muscle in air, kidneys at an intensity."""
    array = np.full(SHAPE, -1000, float)
    array[:, 40:260, 30:370] = -100
    array[:, 70:240, 70:330] = 50
    array[labels > 0] = kidney_hu
    array += np.random.default_rng(0).normal(0, 15, SHAPE)
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = [-mm for mm in spacing_mm]
    affine[3, 3] = 1
    sine, cosine = np.sin(np.radians(tilt_degrees)), np.cos(np.radians(tilt_degrees))
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    affine[:3, :3] = turn @ affine[:3, :3]
    return Volume(array.astype(np.int16), affine)


def codes(volume, labels=BOTH):
    return [finding.code for finding in unusual(volume, labels)]


def mask_codes(labels):
    return [finding.code for finding in unusual_labels(labels, SPACING_MM)]


def test_an_ordinary_segmentation_has_no_finding():
    assert unusual(scan(), BOTH) == []


def test_an_empty_label_map_has_no_kidney():
    (finding,) = unusual(scan(), np.zeros_like(BOTH))
    assert finding.code == "no-kidney"
    assert finding.text.startswith("No kidney was found")


def test_specks_are_no_kidney():
    assert mask_codes(kidneys(RIGHT, radii_mm=(12, 12, 12))) == ["no-kidney"]


def test_one_kidney_is_said():
    assert mask_codes(kidneys(LEFT)) == ["one-kidney"]


def test_two_kidneys_on_one_side_are_said():
    labels = kidneys((20, 180, 120), (46, 180, 130), radii_mm=(50, 26, 26))
    assert mask_codes(labels) == ["kidneys-on-one-side"]


def test_a_third_kidney_is_said():
    labels = BOTH.copy()
    labels[ellipsoid((30, 80, 200), (45, 24, 24))] = Label.KIDNEY
    assert mask_codes(labels) == ["kidney-parts"]


@pytest.mark.parametrize(("radii_mm", "shown"), [((35, 18, 18), "47 ml"), ((85, 42, 42), "ml")])
def test_a_kidney_of_a_child_or_of_a_giant_is_said(radii_mm, shown):
    labels = kidneys(LEFT)
    labels[ellipsoid(RIGHT, radii_mm)] = Label.KIDNEY
    (finding,) = unusual_labels(labels, SPACING_MM)
    assert finding.code == "kidney-volume"
    assert shown in finding.text


def test_a_kidney_eaten_by_a_tumor_is_not_small():
    labels = BOTH.copy()
    labels[ellipsoid(RIGHT, (55, 26, 26)) & (np.arange(SHAPE[0])[:, None, None] < 36)] = Label.TUMOR
    assert mask_codes(labels) == []


def test_a_lesion_of_two_litres_is_said():
    labels = BOTH.copy()
    labels[ellipsoid((30, 150, 110), (100, 95, 85))] = Label.TUMOR
    labels[ellipsoid((52, 180, 40), (20, 26, 26))] = Label.KIDNEY
    assert "lesion-volume" in mask_codes(labels)


def test_many_lesions_are_said():
    labels = BOTH.copy()
    for number in range(13):
        labels[4 * number + 2 : 4 * number + 5, 170:185, 265:280] = Label.CYST
    assert "many-lesions" in mask_codes(labels)


@pytest.mark.parametrize(
    ("axis", "at", "place"),
    [
        (0, 0, "first slice"),
        (0, -1, "last slice"),
        (1, 0, "front edge"),
        (1, -1, "back edge"),
        (2, 0, "right edge"),
        (2, -1, "left edge"),
    ],
)
def test_a_kidney_at_the_edge_is_cut(axis, at, place):
    labels = BOTH.copy()
    edge = [slice(25, 35), slice(175, 185), slice(115, 125)]
    edge[axis] = at
    labels[tuple(edge)] = Label.KIDNEY
    (finding,) = unusual_labels(labels, SPACING_MM)
    assert finding.code == "cut"
    assert place in finding.text


def test_a_kidney_that_reaches_the_padding_is_cut():
    volume = scan()
    volume.array[:, :, :105] = -2048
    assert "cut" in codes(volume)


@pytest.mark.parametrize(
    ("kidney_hu", "expected"),
    [(30, ["non-contrast"]), (110, []), (250, []), (600, ["intensity-range"])],
)
def test_the_phase_shows_in_the_kidneys(kidney_hu, expected):
    assert codes(scan(kidney_hu=kidney_hu)) == expected


def test_excreted_contrast_is_said():
    volume = scan()
    volume.array[28:33, 170:190, 110:130] = 900
    assert codes(volume) == ["excretory"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda hu: hu + 1024, "intensity-range"),
        (lambda hu: hu + 150, "intensity-range"),
        (lambda hu: hu - 100, "intensity-offset"),
        (lambda hu: hu - 1024, "intensity-range"),
        (lambda hu: hu.clip(-200, 300), "intensity-range"),
        (lambda hu: np.where(hu > -500, hu - 60, hu), "intensity-offset"),
    ],
)
def test_intensities_that_are_not_hu_are_said(change, expected):
    volume = scan()
    assert expected in codes(volume.like(change(volume.array)))


@pytest.mark.parametrize(
    ("spacing_mm", "expected"),
    [
        ((5.0, 0.7, 0.7), []),
        ((7.5, 0.7, 0.7), ["slice-thickness"]),
        ((4, 1.5, 1.5), ["pixel-size"]),
    ],
)
def test_voxels_larger_than_in_kits_are_said(spacing_mm, expected):
    found = codes(scan(spacing_mm=spacing_mm))
    assert [code for code in found if code in ("slice-thickness", "pixel-size")] == expected


def test_a_scan_too_small_for_two_kidneys_is_said():
    volume = scan()
    part = Volume(volume.array[:20], volume.affine)
    assert "field-of-view" in codes(part, BOTH[:20])


def test_tilted_slices_are_said():
    assert codes(scan(tilt_degrees=10)) == []
    assert codes(scan(tilt_degrees=25)) == ["tilted"]


def test_a_finding_is_one_sentence():
    labels = kidneys(RIGHT, radii_mm=(35, 18, 18))
    findings = unusual(
        scan(labels, kidney_hu=30, spacing_mm=(7.5, 1.5, 1.5), tilt_degrees=25), labels
    )
    assert len(findings) >= 5
    for finding in findings:
        assert isinstance(finding, Finding)
        assert finding.text.endswith(".")
        assert ". " not in finding.text


def test_a_scan_of_one_voxel_crashes_nothing():
    volume = Volume(np.full((1, 1, 1), 40, np.int16), scan().affine)
    assert "no-kidney" in codes(volume, np.zeros((1, 1, 1), np.uint8))


def test_real_label_maps_are_seldom_unusual(real_data):
    flagged = {}
    for path in sorted((real_data / "kits23").glob("case_*/segmentation.nii.gz")):
        labels = read_labels(path, contiguous=False)
        findings = list(unusual_labels(labels.array, labels.spacing_mm))
        if findings:
            flagged[path.parent.name] = [finding.code for finding in findings]
    assert flagged == {
        "case_00113": ["cut"],
        "case_00148": ["cut"],
        "case_00194": ["one-kidney"],
        "case_00262": ["kidney-parts"],
    }


def test_a_real_scan_without_contrast_is_said(real_data):
    volume = read_image(real_data / "ct" / "abdomen_3mm.nii.gz")
    slices, rows, columns = np.ogrid[:112, :101, :122]
    labels = np.zeros(volume.shape, np.uint8)
    for column in (38, 84):
        near = ((slices - 24) / 14) ** 2 + ((rows - 62) / 9) ** 2 + ((columns - column) / 9) ** 2
        labels[(near <= 1) & (volume.array > 0) & (volume.array < 100)] = Label.KIDNEY
    found = codes(volume, labels)
    assert "non-contrast" in found
    assert not [code for code in found if code.startswith("intensity")]


#: As wide as that of the model that comes with renalseg.
WIDE = World(slice_mm=(0.5, 7.0), pixel_mm=(0.5, 3.0), contrast="any")


def test_voxels_of_a_wider_world_are_not_said():
    assert list(unusual_scan(scan(spacing_mm=(7.0, 3.0, 3.0)), WIDE)) == []
    found = unusual_scan(scan(spacing_mm=(8.0, 3.5, 3.5)), WIDE)
    texts = {finding.code: finding.text for finding in found}
    assert "learned from 0.5 to 7 mm" in texts["slice-thickness"]
    assert "learned from 0.5 to 3 mm" in texts["pixel-size"]


def test_a_model_of_any_phase_still_says_what_lacks_contrast():
    (finding,) = unusual(scan(kidney_hu=30), BOTH, WIDE)
    assert finding.code == "non-contrast"
    assert "guess" in finding.text
    assert "arterial" not in finding.text


def test_a_model_of_any_phase_knows_excreted_contrast():
    volume = scan()
    volume.array[28:33, 170:190, 110:130] = 900
    assert unusual(volume, BOTH, WIDE) == []


def test_a_wider_world_does_not_hide_what_is_no_scan_of_kidneys():
    empty = np.zeros_like(BOTH)
    (finding,) = unusual(scan(), empty, WIDE)
    assert finding.text == "No kidney was found; the networks know CT of adults' abdomens."
    volume = scan()
    shifted = volume.like(volume.array - 1024)
    found = [f.code for f in unusual(shifted, BOTH, WIDE)]
    assert "intensity-range" in found
    assert [f.code for f in unusual(scan(tilt_degrees=25), BOTH, WIDE)] == ["tilted"]
