import numpy as np
import pytest

from renalseg.inference.body import body_box
from renalseg.volume import Volume, read_image

SPACING_MM = (4.0, 2.0, 2.0)
SHAPE = (40, 200, 200)  # 160 x 400 x 400 mm
BODY = (slice(0, 40), slice(50, 151), slice(25, 176))


def volume(array, spacing_mm=SPACING_MM):
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = [-mm for mm in spacing_mm]
    affine[3, 3] = 1
    return Volume(array, affine)


def patient(*, outside=-1000, noise=20, seed=0):
    """An ellipse of soft tissue with lungs and bowel gas, as noisy as CT is."""
    rows, columns = np.ogrid[: SHAPE[1], : SHAPE[2]]
    array = np.full(SHAPE, outside, float)
    array[:, ((rows - 100) / 50) ** 2 + ((columns - 100) / 75) ** 2 <= 1] = 40
    for middle in (65, 135):
        lung = ((rows - 100) / 32) ** 2 + ((columns - middle) / 25) ** 2 <= 1
        array[:15, lung] = -850
    array += np.random.default_rng(seed).normal(0, noise, SHAPE)
    return array.astype(np.int16)


def holds(box, inner):
    return all(b.start <= i.start and i.stop <= b.stop for b, i in zip(box, inner, strict=True))


def too_large_mm(box, inner):
    return max(
        max(i.start - b.start, b.stop - i.stop) * mm
        for b, i, mm in zip(box, inner, SPACING_MM, strict=True)
    )


def test_the_box_holds_the_body_and_little_else():
    box = body_box(volume(patient()))
    assert holds(box, BODY)
    assert too_large_mm(box, BODY) <= 32


def test_table_and_clothes_are_not_the_body():
    array = patient()
    array[:, 165:168, 10:190] = 150  # a table's shell
    array[:, 185:188, 10:190] = 150
    array[:, 165:188, [10, 11, 188, 189]] = 150
    array[:, 20:22, 40:160] = -200  # a blanket
    box = body_box(volume(array))
    assert holds(box, BODY)
    assert too_large_mm(box, BODY) <= 32


@pytest.mark.parametrize("padding", [-3024, -2048, 0, 50])
def test_padding_around_a_round_field_is_outside(padding):
    array = patient()
    rows, columns = np.ogrid[: SHAPE[1], : SHAPE[2]]
    array[:, (rows - 100) ** 2 + (columns - 100) ** 2 > 95**2] = padding
    box = body_box(volume(array))
    assert holds(box, BODY)
    assert too_large_mm(box, BODY) <= 32


def test_arms_that_touch_the_body_belong_to_it():
    array = patient()
    array[:, 90:115, 5:30] = 40
    assert body_box(volume(array))[2].start <= 5


def test_a_body_larger_than_the_field_of_view_takes_all_of_it():
    cropped = patient()[:, 70:130, 50:150]
    assert body_box(volume(cropped)) == tuple(slice(0, size) for size in cropped.shape)


def test_empty_slices_above_the_body_are_outside():
    array = patient()
    array[:20] = -1024
    slices, _, _ = body_box(volume(array))
    assert 12 <= slices.start <= 20
    assert slices.stop == 40


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_without_a_body_the_box_is_the_whole_scan(dtype):
    assert body_box(volume(np.full(SHAPE, -1000, dtype))) == tuple(slice(0, n) for n in SHAPE)


def test_noise_as_of_a_thin_low_dose_scan_changes_little():
    box = body_box(volume(patient(noise=150)))
    assert holds(box, BODY)
    assert too_large_mm(box, BODY) <= 32


@pytest.mark.parametrize("spacing_mm", [(0.5, 2.0, 2.0), (10.0, 2.0, 2.0), (4.0, 9.0, 9.0)])
def test_any_voxel_size_will_do(spacing_mm):
    assert holds(body_box(volume(patient(), spacing_mm)), BODY)


def test_a_few_slices_and_one_are_enough():
    for count in (1, 3):
        assert holds(body_box(volume(patient()[20 : 20 + count], (5, 2, 2)))[1:], BODY[1:])


def test_the_body_of_a_real_scan_is_found_on_a_table(real_data):
    scan = read_image(real_data / "ct" / "abdomen_3mm.nii.gz")
    ahead = np.full((scan.shape[0], 60, scan.shape[2]), -1000, np.int16)
    slices, rows, columns = body_box(volume(np.concatenate([ahead, scan.array], 1), (3, 3, 3)))
    assert (slices, columns) == (slice(0, 112), slice(0, 122))
    assert 60 - 9 <= rows.start <= 60 + 5


def test_real_arms_at_the_side_stay_and_the_table_goes(real_data):
    import SimpleITK

    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(
        str(real_data / "ct" / "dicom_series")
    )
    array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(names))[::-1]
    _, rows, columns = body_box(volume(array, (2, 0.977, 0.977)))
    assert rows.start <= 165  # the skin
    assert 412 <= rows.stop <= 440  # the back; the table's lower shell ends at 488
    assert columns == slice(0, 512)  # both arms reach the edge of the field
