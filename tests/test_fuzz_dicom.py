"""Broken DICOM: refused in one line, or read where it lies; never elsewhere without a word.

What is read is compared with what was written: each slice is known again by its noise, and its
corners must lie where they were made to lie.
"""

import io
import zipfile
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

from dicom_phantom import CT_IMAGE, make_series, make_volume, uid, write_series
from fuzzing import SECONDS, damage_bytes, limited, noted, seeded
from renalseg.errors import VolumeError
from renalseg.volume.dicom import read_series
from soak import sampled

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

SHAPE = (7, 11, 13)
SPACING_MM = (3.0, 1.5, 0.75)
#: Of a voxel; how far off slices may lie without a word, and with one.
SILENT, TOLD = 0.02, 0.2

KINDS = {
    "explicit": {},
    "implicit": {"syntax": "implicit", "orientation": "reversed"},
    "big endian": {"syntax": "big endian", "orientation": "coronal"},
    "oblique": {"orientation": "oblique", "rescale_each": True},
    "tilted": {"tilt_degrees": 12.0},
    "sagittal": {"orientation": "sagittal"},
    "multi-frame": {"multiframe": True, "orientation": "oblique"},
}
PACKED = {name: {"syntax": name} for name in ("JPEG", "JPEG2000", "JPEG-LS", "RLE")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Each kind of series as it was made, and its files' bytes."""
    folder = tmp_path_factory.mktemp("whole")
    volume = make_volume(SHAPE, SPACING_MM)
    found = {}
    for name, options in (KINDS | PACKED).items():
        made = make_series(volume, **options)
        paths = write_series(made.datasets, folder / name.replace(" ", "-"))
        found[name] = made, {path.name: path.read_bytes() for path in paths}
    return found


def write(files: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def read(path: Path, made, *, allow_gaps: bool = False) -> str:
    """Read it; say what came of it."""
    try:
        with limited(SECONDS):
            series = read_series(path, allow_gaps=allow_gaps)
    except VolumeError as error:
        said = str(error)
        assert said.isprintable(), said
        assert len(said) < 1500, said
        assert str(path) in said or path.suffix == ".zip", said
        return "refused"
    assert_in_place(series, made)
    return "told" if series.notes else "read"


def assert_in_place(series, made):
    """Every slice that is known again lies where it was made to lie.

    Of a series with gaps, which was asked for and told, where its header says.
    """
    stored = series.volume.source.way.backward(series.volume.array).astype(float)
    affine = series.volume.source.affine
    known = 0
    rows, columns = series.pixels
    gaps = any("interpolated" in note for note in series.notes)
    for place, header in zip(series.places, series.headers * len(series.places), strict=False):
        at = tuple(slice(i, i + n) for i, n in zip(place, (1, rows, columns), strict=True))
        number = recognised(stored[at][0], made)
        if number is None:
            continue
        known += 1
        shape = np.array([0, rows - 1, columns - 1])
        for corner in ((0, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)):
            found = affine[:3, :3] @ (place + corner * shape) + affine[:3, 3]
            index = np.array([number, 0, 0]) + corner * shape
            expected = made.affine[:3, :3] @ index + made.affine[:3, 3]
            if gaps:
                first = np.array(header.ImagePositionPatient, float) * (-1, -1, 1)
                expected = first + made.affine[:3, :3] @ (corner * shape)
            off = np.linalg.solve(affine[:3, :3], found - expected)
            resampled = any("resampled" in note or "unevenly" in note for note in series.notes)
            tolerance = 0.51 if resampled else TOLD if series.notes else SILENT
            assert np.abs(off).max() <= tolerance, (number, corner, off, series.notes)
    several = gaps or len(series.headers) == 1  # interpolated, or damaged as one file
    assert several or known >= len(series.places) - 2  # a damaged one, and one of air alone


def recognised(plane, made):
    """The number of a slice by its noise; None of one whose pixels were damaged."""
    best, number = 0.0, None
    if plane.shape != made.array.shape[1:] or plane.std() == 0:
        return None
    for i, truth in enumerate(made.array):
        if truth.std() == 0:
            continue
        like = abs(np.corrcoef(plane.ravel(), truth.ravel())[0, 1])
        if like > max(best, 0.55):
            best, number = like, i
    return number


@pytest.mark.parametrize("kind", [*KINDS, *PACKED])
def test_whole_series_are_read(whole, tmp_path, kind):
    made, files = whole[kind]
    expected = "told" if kind == "tilted" else "read"
    assert read(write(files, tmp_path / "scan"), made) == expected


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "multi-frame"])
@pytest.mark.parametrize("number", sampled(range(20), 5))
def test_damaged_bytes_of_a_file(whole, tmp_path, kind, number):
    made, files = whole[kind]
    seed = seeded(f"bytes {kind}", number)
    files = dict(files)
    name = seed.choice(sorted(files))
    files[name], said = damage_bytes(files[name], seed)
    with noted(f"{name}: {said}"):
        read(write(files, tmp_path / "scan"), made)


#: Half of a single-frame file of this size is header; here bytes are changed there alone.
HEADER_BYTES = 1500


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "multi-frame"])
@pytest.mark.parametrize("number", sampled(range(20), 5))
def test_damaged_headers_of_a_file(whole, tmp_path, kind, number):
    made, files = whole[kind]
    seed = seeded(f"header {kind}", number)
    files = dict(files)
    name = seed.choice(sorted(files))
    content = bytearray(files[name])
    places = [132 + seed.randrange(HEADER_BYTES - 132) for _ in range(seed.choice((1, 1, 2, 5)))]
    for place in places:
        content[place] = seed.choice(
            (content[place] ^ (1 << seed.randrange(8)), seed.randrange(256))
        )
    files[name] = bytes(content)
    with noted(f"{name}: {places}"):
        read(write(files, tmp_path / "scan"), made, allow_gaps=seed.random() < 0.3)


NUMBERS = ("0", "-1", "1", "2.5", "1e9", "1e300", "-3e38", "NaN", "inf", "", "x", "1,5", "0x10")
TAGS = {
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "PixelSpacing": 2,
    "RescaleSlope": 1,
    "RescaleIntercept": 1,
    "SliceThickness": 1,
}
SHORTS = ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
WORDS = ("Modality", "ImageType", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")


def damage_tag(dataset, seed) -> str:
    """Change, or take away, one tag."""
    kind = seed.choice(("numbers", "numbers", "numbers", "short", "word", "delete", "samples"))
    if kind == "numbers":
        name = seed.choice(list(TAGS))
        values = [str(one) for one in np.atleast_1d(dataset.get(name, "1"))]
        values[seed.randrange(len(values))] = seed.choice(NUMBERS)
        if seed.random() < 0.2:
            values = values[:-1] if seed.random() < 0.5 else [*values, "1"]
        dataset.add_new(name, "LO", values)  # LO takes any text; the file says DS in implicit VR
        return f"{name} = {values}"
    if kind == "short":
        name = seed.choice(SHORTS)
        value = seed.choice((0, 1, 2, 7, 8, 9, 10, 12, 15, 32, 64, 512, 40_000, 65_535))
        setattr(dataset, name, value)
        return f"{name} = {value}"
    if kind == "word":
        name = seed.choice(WORDS)
        value = seed.choice(("", "MR", "LOCALIZER", "1.2.3", "é☢", "x" * 64, "\\\\"))
        dataset.add_new(name, "LO", value)
        return f"{name} = {value!r}"
    if kind == "samples":
        dataset.SamplesPerPixel = seed.choice((0, 2, 3, 4))
        return f"samples {dataset.SamplesPerPixel}"
    name = seed.choice((*TAGS, *SHORTS, *WORDS, "PixelData", "SOPClassUID"))
    if name in dataset:
        del dataset[name]
    return f"no {name}"


def saved(dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["explicit", "implicit", "oblique", "tilted"])
@pytest.mark.parametrize("number", sampled(range(25), 6))
def test_damaged_tags_of_a_file(whole, tmp_path, kind, number):
    made, files = whole[kind]
    seed = seeded(f"tags {kind}", number)
    names = list(files)
    hit = seed.randrange(len(names))
    dataset = deepcopy(made.datasets[hit])
    said = damage_tag(dataset, seed)
    files = {**files, names[hit]: saved(dataset)}
    with noted(f"{names[hit]}: {said}"):
        read(write(files, tmp_path / "scan"), made, allow_gaps=seed.random() < 0.3)


@pytest.mark.parametrize("number", sampled(range(40), 10))
def test_damaged_bytes_of_a_multi_frame_file(whole, tmp_path, number):
    made, files = whole["multi-frame"]
    seed = seeded("multi-frame", number)
    ((name, content),) = files.items()
    damaged, said = damage_bytes(content, seed)
    with noted(said):
        # what all frames share is said once, so that a change there cannot be seen
        path = write({name: damaged}, tmp_path / "scan")
        read(path, _as_it_says(path, made))


def _as_it_says(path: Path, made):
    """The truth, with the shared pixel spacing and orientation that a damaged file names."""
    from pydicom import dcmread

    try:
        shared = dcmread(next(path.iterdir())).SharedFunctionalGroupsSequence[0]
        spacing = [float(x) for x in shared.PixelMeasuresSequence[0].PixelSpacing]
        orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        row, column = np.reshape([float(x) for x in orientation], (2, 3))
    except Exception:  # of whatever kind: it names none
        return made
    named = deepcopy(made)
    flip = np.array([-1, -1, 1])
    named.affine[:3, 2] = flip * row * spacing[1]
    named.affine[:3, 1] = flip * column * spacing[0]
    return named


def _drop(files, seed):
    for name in seed.sample(sorted(files), seed.choice((1, 1, 2, 3))):
        del files[name]


def _double(files, seed):
    files["again.dcm"] = files[seed.choice(sorted(files))]


def _swap(files, seed):
    one, other = seed.sample(sorted(files), 2)
    files[one], files[other] = files[other], files[one]


def _empty(files, seed):
    files[seed.choice(sorted(files))] = b""


def _cut(files, seed):
    name = seed.choice(sorted(files))
    files[name] = files[name][: seed.randrange(len(files[name]))]


def _cut_all(files, seed):
    size = seed.randrange(200, 1800)
    for name in files:
        files[name] = files[name][:size]


def _join(files, seed):
    one, other = seed.sample(sorted(files), 2)
    files[one] += files[other]
    del files[other]


def _junk(files, seed):
    names = ("junk", "junk.dcm", "DICOMDIR", ".hidden.dcm", "junk.nii", "x" * 200, "é☢.dcm")
    files[seed.choice(names)] = seed.choice((b"", b"x", seed.randbytes(999), bytes(128) + b"DICM"))


def _no_preamble(files, seed):
    for name in seed.sample(sorted(files), seed.choice((1, len(files)))):
        files[name] = files[name][seed.choice((128, 132)) :]


FOLDERS = (_drop, _double, _swap, _empty, _cut, _cut_all, _join, _junk, _no_preamble)


@pytest.mark.parametrize("damage", FOLDERS, ids=lambda one: one.__name__.strip("_"))
@pytest.mark.parametrize("number", sampled(range(6), 2))
def test_damaged_folders(whole, tmp_path, damage, number):
    seed = seeded(damage.__name__, number)
    kind = seed.choice([kind for kind in KINDS if kind != "multi-frame"])
    made, files = whole[kind]
    files = dict(files)
    damage(files, seed)
    with noted(f"{kind}: {damage.__name__}"):
        read(write(files, tmp_path / "scan"), made, allow_gaps=seed.random() < 0.5)


@pytest.mark.parametrize("number", sampled(range(24), 6))
def test_damaged_zips(whole, tmp_path, number):
    made, files = whole["explicit"]
    seed = seeded("zip", number)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", seed.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as z:
        for name, content in files.items():
            z.writestr(f"scan/{name}", content)
    damaged, said = damage_bytes(stream.getvalue(), seed)
    path = tmp_path / "scan.zip"
    path.write_bytes(damaged)
    with noted(said):
        read(path, made)
    assert [one.name for one in tmp_path.iterdir()] == ["scan.zip"]


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("number", sampled(range(5), 2))
def test_damaged_compressed_pixels(whole, tmp_path, kind, number):
    made, files = whole[kind]
    seed = seeded(f"packed {kind}", number)
    files = dict(files)
    name = seed.choice(sorted(files))
    header, pixels = files[name][:HEADER_BYTES], files[name][HEADER_BYTES:]
    damaged, said = damage_bytes(pixels, seed)
    files[name] = header + damaged
    with noted(f"{name}: {said}"):
        read(write(files, tmp_path / "scan"), made)


@pytest.mark.parametrize("number", sampled(range(12), 4))
def test_moved_slices(whole, tmp_path, number):
    """A slice that lies a little off is read with a note at most; one further off is refused."""
    made, files = whole["explicit"]
    seed = seeded("moved", number)
    names = list(files)
    hit, axis = seed.randrange(len(names)), seed.randrange(3)
    part = seed.choice((0.004, 0.05, 0.3, 0.5, 0.7, 1.0))
    dataset = deepcopy(made.datasets[hit])
    place = [float(x) for x in dataset.ImagePositionPatient]
    place[axis] += part * (SPACING_MM[2], SPACING_MM[1], SPACING_MM[0])[axis]
    dataset.ImagePositionPatient = [f"{x:.6f}" for x in place]
    came = read(write({**files, names[hit]: saved(dataset)}, tmp_path / "scan"), made)
    assert came == ("read" if part < 0.01 else "told" if part < 0.1 else "refused")


def test_two_series_under_one_uid(whole, tmp_path):
    made, files = whole["explicit"]
    other = make_series(make_volume((5, 11, 13), (2.0, 1.5, 0.75), (60, 50, 400)))
    for number, dataset in enumerate(other.datasets):
        dataset.SOPInstanceUID = uid("other", number)
        assert dataset.SOPClassUID == CT_IMAGE
    write_series(other.datasets, tmp_path / "scan", "OTHER")
    for name, content in files.items():
        (tmp_path / "scan" / name).write_bytes(content)
    assert read(tmp_path / "scan", made) == "refused"
