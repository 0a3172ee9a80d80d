"""Zips from everywhere: what is read, and what is refused by its name."""

import zipfile
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from renalseg.archive import DamagedZipError, ZipLimits, open_zip, unpack

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate name")


def zipped(path, members, method=zipfile.ZIP_DEFLATED):
    """A zip of names, as they are, and contents."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name
            info.compress_type = method
            archive.writestr(info, content)
    return path


def unpacked(path):
    folder = path.with_name("unpacked")
    unpack(path, folder)
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def refused(path, line):
    with pytest.raises(DamagedZipError, match=line) as caught:
        unpack(path, path.with_name("unpacked"))
    assert str(path) in str(caught.value)
    assert not path.with_name("unpacked").exists()


@pytest.mark.parametrize("method", [0, 8, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_method_that_is_read(tmp_path, method):
    assert unpacked(zipped(tmp_path / "a.zip", [("a/b", b"x" * 999)], method)) == {
        "a/b": b"x" * 999
    }


def test_backslashes_of_windows_are_folders(tmp_path):
    members = [("ct\\", b""), ("ct\\1\\a.dcm", b"1"), ("ct\\1\\b.dcm", b"2")]
    path = zipped(tmp_path / "a.zip", members)
    assert unpacked(path) == {"ct/1/a.dcm": b"1", "ct/1/b.dcm": b"2"}


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/../../x",
        "/x",
        "\\x",
        "..\\x",
        "a\\..\\..\\x",
        "C:\\x",
        "C:x",
        "\\\\host\\share\\x",
    ],
)
def test_names_that_lead_outside(tmp_path, name):
    refused(zipped(tmp_path / "a.zip", [(name, b"x")]), "names files outside of its folder")


@pytest.mark.parametrize(
    ("number", "name"),
    [(9, "Deflate64"), (93, "Zstandard"), (98, "PPMd"), (77, "an unknown method")],
)
def test_a_method_that_is_not_read_is_named(tmp_path, number, name):
    path = zipped(tmp_path / "a.zip", [("a.dcm", b"x" * 99)])
    content = bytearray(path.read_bytes())
    for magic, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        content[content.index(magic) + place] = number
    path.write_bytes(content)
    refused(path, rf"compressed in a way that is not read \({name}, number {number}, for 'a.dcm'")


def test_a_password_is_called_that(tmp_path):
    path = zipped(tmp_path / "a.zip", [("a.dcm", b"x")])
    content = bytearray(path.read_bytes())
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + place] |= 1
    path.write_bytes(content)
    refused(path, "has a password")


def test_twins_by_case_are_both_kept_wherever_it_is_unpacked(tmp_path):
    path = zipped(tmp_path / "a.zip", [("im1.dcm", b"1"), ("IM1.DCM", b"2"), ("Im1.dcm", b"3")])
    found = unpacked(path)
    assert sorted(found.values()) == [b"1", b"2", b"3"]
    assert len({name.casefold() for name in found}) == 3


def test_a_file_twice_is_one_if_it_is_alike(tmp_path):
    path = zipped(tmp_path / "a.zip", [("a", b"1"), ("b", b"2"), ("./a", b"1"), ("a", b"1")])
    assert unpacked(path) == {"a": b"1", "b": b"2"}
    path = zipped(tmp_path / "b.zip", [("a", b"1"), ("a", b"2")])
    with pytest.raises(DamagedZipError, match="holds 'a' twice, and not alike"):
        unpack(path, tmp_path / "other")


def test_a_file_that_is_also_a_folder(tmp_path):
    refused(zipped(tmp_path / "a.zip", [("a", b"1"), ("a/b", b"2")]), "in a folder that is a file")


def test_limits(tmp_path):
    path = zipped(tmp_path / "a.zip", [(f"{n}", bytes(100_000)) for n in range(3)])
    for limits, line in (
        (ZipLimits(files=2), "holds 3 files, at most 2"),
        (ZipLimits(unpacked_bytes=200_000), "would unpack to 0 MB"),
        (ZipLimits(small_bytes=1000), "would unpack to 0 MB"),
        (ZipLimits(contents_bytes=50), "list of contents is too long"),
    ):
        with pytest.raises(DamagedZipError, match=line) as caught, open_zip(path, limits):
            pass
        assert caught.value.is_too_large == ("too long" not in line)
    with open_zip(path, ZipLimits(files=3, unpacked_bytes=300_000)) as archive:
        assert archive.total_bytes == 300_000


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_nothing_is_ever_written_outside(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("zip")
    path = zipped(folder / "a.zip", [(name, name.encode()) for name in names])
    with suppress(DamagedZipError, OSError):
        unpack(path, folder / "deep" / "unpacked")
    outside = {file.name for file in folder.rglob("*") if file.is_file()} - {
        file.name for file in (folder / "deep" / "unpacked").rglob("*")
    }
    assert outside == {"a.zip"}
