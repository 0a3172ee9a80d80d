"""Slicer's segmentations: names, values and layers become our labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from renalseg.cli.main import app
from renalseg.errors import VolumeError
from renalseg.labels import Label, label_named, says_nothing
from renalseg.volume import UnusualImageWarning, read_grid, read_image, read_labels

SHAPE = (6, 5, 4)
NAMED = {"Left Kidney": 4, "right kidney": 7, "renal tumor": 9, "Cyst": 2}


def segments(path, layers, described, extra=""):
    """A file as Slicer writes it.

    Args:
        path: The file.
        layers: Arrays with axes i, j, k.
        described: For each segment its keys without the number.
        extra: Further lines of the header.
    """
    dimension, kinds, none, sizes = "3", "", "", " ".join(map(str, layers[0].shape))
    if len(layers) > 1:
        dimension, kinds, none, sizes = "4", "list ", "none ", f"{len(layers)} {sizes}"
    keys = "".join(
        f"Segment{number}_{key}:={value}\n"
        for number, values in enumerate(described)
        for key, value in values.items()
    )
    header = (
        f"NRRD0004\ntype: unsigned char\ndimension: {dimension}\nspace: left-posterior-superior\n"
        f"sizes: {sizes}\nspace directions: {none}(1.5,0,0) (0,1.5,0) (0,0,3)\n"
        f"kinds: {kinds}domain domain domain\nencoding: raw\nspace origin: (0,0,0)\n{keys}{extra}\n"
    )
    voxels = np.stack(layers).astype(np.uint8)
    path.write_bytes(header.encode() + voxels.tobytes(order="F"))
    return path


def one(name, value, layer=0):
    return {"ID": "x", "Name": name, "LabelValue": value, "Layer": layer, "Color": "1 0 0"}


def stored(volume):
    return volume.source.way.backward(volume.array)


def refused(match, path, read=read_labels):
    with pytest.raises(VolumeError, match=match) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("label", "names"),
    [
        (Label.KIDNEY, ("kidney", "Kidneys", "LEFT KIDNEY", "kidney_right", "RightKidney_2")),
        (Label.TUMOR, ("tumor", "Renal Tumour", "kidney tumors", "tumor of the left kidney 2")),
        (Label.TUMOR, ("Neoplasm", "L renal tumor", "Segment tumor")),
        (Label.CYST, ("cyst", "Renal cysts", "kidney_cyst_left", "cyst in right kidney")),
        (None, ("liver cyst", "mass", "lesion", "kidney and tumor", "tumor cyst", "pseudocyst")),
        (None, ("Segment_1", "", "renal", "left", "not kidney", "adrenal tumor", "Niere")),
    ],
)
def test_names(label, names):
    assert [label_named(name) for name in names] == [label] * len(names)


def test_names_that_say_nothing():
    assert all(map(says_nothing, ["Segment_1", "7", "", "Label 3", "mask", "ROI-2"]))
    assert not any(map(says_nothing, ["liver", "Segment kidney", "x", "tumor 1"]))


def test_segments_are_taken_by_name_whatever_their_values(tmp_path):
    values = np.array([0, *NAMED.values()])
    array = values[np.arange(np.prod(SHAPE)).reshape(SHAPE) % 5]
    path = segments(tmp_path / "a.seg.nrrd", [array], [one(*item) for item in NAMED.items()])
    expected = np.select([np.isin(array, [4, 7]), array == 9, array == 2], [1, 2, 3], 0)
    labels = read_labels(path)
    np.testing.assert_array_equal(stored(labels), expected)
    assert labels.array.dtype == np.uint8
    assert labels.same_grid(read_grid(path))


@settings(max_examples=40, deadline=None)
@given(
    st.permutations(["kidney", "tumor", "cyst", "left kidney"]), st.integers(0, 99), st.booleans()
)
def test_layers_are_merged_kidney_then_cyst_then_tumor(tmp_path_factory, names, seed, explicit):
    path = tmp_path_factory.mktemp("layers") / "a.seg.nrrd"
    masks = np.random.default_rng(seed).integers(0, 2, (4, *SHAPE)).astype(bool)
    described = [
        one(name, 1, layer) if explicit else {"Name": name} for layer, name in enumerate(names)
    ]
    labels = read_labels(segments(path, list(masks), described))
    of = {name: masks[names.index(name)] for name in names}
    kidney = of["kidney"] | of["left kidney"]
    expected = np.select([of["tumor"], of["cyst"], kidney], [2, 3, 1], 0)
    np.testing.assert_array_equal(stored(labels), expected)
    assert read_grid(path).same_grid(labels)


def test_segments_share_layers(tmp_path):
    first, second = np.zeros(SHAPE, int), np.zeros(SHAPE, int)
    first[0], first[1], second[1] = 1, 2, 2
    described = [one("kidney", 1), one("cyst", 2), one("tumor", 2, 1), one("background", 0)]
    path = segments(tmp_path / "a.seg.nrrd", [first, second], described)
    assert [int(stored(read_labels(path))[x, 0, 0]) for x in range(3)] == [1, 2, 0]


def test_values_are_taken_where_names_say_nothing(tmp_path):
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE) % 3
    path = segments(tmp_path / "a.seg.nrrd", [array], [one("Segment_1", 1), one("Segment_2", 2)])
    with pytest.warns(
        UnusualImageWarning, match="'Segment_1', 'Segment_2'.* say nothing, so their"
    ):
        np.testing.assert_array_equal(stored(read_labels(path)), array)


@pytest.mark.parametrize(
    ("match", "described"),
    [
        ("segments named kidney, cyst, tumor, got 'mass'", [one("kidney", 1), one("mass", 2)]),
        ("got 'Segment_2'; rename", [one("kidney", 1), one("Segment_2", 2)]),
        ("got 'liver', 'spleen'; rename", [one("liver", 1), one("spleen", 2)]),
        ("'1', '2' have one value", [one("1", 1), one("2", 1)]),
        ("voxels of 2 belong to no segment", [one("kidney", 1)]),
        ("should lie in layer 3, but there are 1", [one("kidney", 1), one("cyst", 2, 3)]),
        ("whole number as Segment0_LabelValue, got 'x'", [one("kidney", "x")]),
    ],
)
def test_segments_that_are_not_plain_are_refused(tmp_path, match, described):
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE) % 3
    refused(match, segments(tmp_path / "a.seg.nrrd", [array], described))


def test_values_that_are_no_labels_are_refused_by_name(tmp_path):
    array = np.where(np.arange(np.prod(SHAPE)).reshape(SHAPE) % 2, 117, 0)
    path = segments(tmp_path / "a.seg.nrrd", [array], [one("Segment_1", 117)])
    refused("'Segment_1' are none by name, and their values 117 none of 1 kidney", path)


def test_empty_segments_need_no_name(tmp_path):
    path = segments(tmp_path / "a.seg.nrrd", [np.ones(SHAPE)], [one("kidney", 1), one("liver", 2)])
    assert (read_labels(path).array == 1).all()


def test_fractions_are_refused(tmp_path):
    extra = "Segmentation_SourceRepresentation:=Fractional labelmap\n"
    path = segments(tmp_path / "a.seg.nrrd", [np.ones(SHAPE)], [one("kidney", 1)], extra)
    refused("its segments are fractional", path)


def test_layers_are_no_ct(tmp_path):
    layers = [np.ones(SHAPE), np.ones(SHAPE)]
    path = segments(tmp_path / "a.nrrd", layers, [one("kidney", 1), one("cyst", 1, 1)])
    refused("expected a CT, got layers of segments", path, read_image)


@pytest.fixture
def kidneys(tmp_path):
    """Two kidneys with a tumor, in layers and with odd values; and as a plain label map."""
    shape = (80, 80, 40)
    x, y, z = np.mgrid[:80, :80, :40]
    ball = (y - 40) ** 2 + (2 * (z - 20)) ** 2
    kidney = np.where((x - 22) ** 2 + ball < 144, 5, 0) + np.where((x - 58) ** 2 + ball < 144, 8, 0)
    tumor = (x - 58) ** 2 + ball < 36
    path = tmp_path / "a.seg.nrrd"
    described = [one("kidney left", 5), one("kidney right", 8), one("kidney tumor", 1, 1)]
    segments(path, [kidney, tumor.astype(int)], described)
    plain = read_labels(path)
    assert plain.shape == shape[::-1]
    plain.save(tmp_path / "plain.nii.gz")
    return path, tmp_path / "plain.nii.gz"


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_commands_take_segmentations(kidneys, tmp_path):
    path, plain = kidneys
    outputs = [run("measure", mask, "--json") for mask in (path, plain)]
    assert [output.exit_code for output in outputs] == [0, 0]
    assert outputs[0].stdout.replace(path.name, plain.name) == outputs[1].stdout
    cleaned = [tmp_path / f"{number}.nii.gz" for number in range(2)]
    for mask, target in zip((path, plain), cleaned, strict=True):
        assert run("postprocess", mask, target).exit_code == 0
    first, second = map(read_labels, cleaned)
    np.testing.assert_array_equal(first.array, second.array)
