import hashlib
import shutil
from types import SimpleNamespace

import pytest

from renalseg.download import PAUSES_S, fetch
from renalseg.errors import DownloadError
from servers import serving

CONTENT = bytes(range(256)) * 2000


@pytest.fixture
def site():
    with serving() as site:
        site.files["/model.zip"] = CONTENT
        yield site


def get(site, tmp_path, path="/model.zip", **options):
    pauses = []
    fetch(site.url + path, tmp_path / "model.zip", pause=pauses.append, **options)
    return pauses


def left_over(tmp_path):
    return sorted(path.name for path in tmp_path.iterdir())


def test_a_file_arrives_whole(site, tmp_path):
    seen = []
    get(site, tmp_path, on_bytes=lambda done, total: seen.append((done, total)))
    assert (tmp_path / "model.zip").read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert left_over(tmp_path) == ["model.zip"]


def test_a_dropped_connection_goes_on_where_it_was(site, tmp_path):
    site.faults["/model.zip"] = [("cut", 100_000), ("cut", 50_000)]
    pauses = get(site, tmp_path)
    assert (tmp_path / "model.zip").read_bytes() == CONTENT
    assert [wanted for _, wanted in site.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert pauses == [PAUSES_S[0]] * 2  # bytes arrived: the count begins anew


def test_a_busy_server_is_asked_again_and_again_later(site, tmp_path):
    site.faults["/model.zip"] = [("status", 503), ("status", 429)]
    assert get(site, tmp_path) == list(PAUSES_S[:2])
    assert (tmp_path / "model.zip").read_bytes() == CONTENT


def test_an_interrupted_download_goes_on_in_the_next_run(site, tmp_path):
    site.faults["/model.zip"] = [("cut", 100_000)] + [("status", 503)] * 9
    with pytest.raises(DownloadError, match="HTTP 503"):
        get(site, tmp_path)
    assert not (tmp_path / "model.zip").exists()
    site.faults.clear()
    site.asked.clear()
    get(site, tmp_path)
    assert site.asked == [("/model.zip", "bytes=100000-")]
    assert (tmp_path / "model.zip").read_bytes() == CONTENT


def test_another_file_by_then_is_fetched_from_its_beginning(site, tmp_path):
    site.faults["/model.zip"] = [("cut", 100_000)] + [("status", 503)] * 9
    with pytest.raises(DownloadError):
        get(site, tmp_path)
    site.faults.clear()
    site.files["/model.zip"] = CONTENT[::-1]
    get(site, tmp_path)
    assert (tmp_path / "model.zip").read_bytes() == CONTENT[::-1]


def test_a_file_that_is_there_is_not_fetched(site, tmp_path):
    (tmp_path / "model.zip").write_bytes(b"mine")
    get(site, tmp_path)
    assert site.asked == []


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_the_checksum_is_looked_at(site, tmp_path, kind):
    digest = hashlib.new(kind, CONTENT).hexdigest()
    get(site, tmp_path, checksum=f"{kind}:{digest}")
    (tmp_path / "model.zip").unlink()
    with pytest.raises(DownloadError, match=f"expected {kind}:0000, got {kind}:{digest}"):
        get(site, tmp_path, checksum=f"{kind}:0000")
    assert left_over(tmp_path) == []


def test_what_is_not_there_is_one_line_at_once(site, tmp_path):
    with pytest.raises(DownloadError, match=r"/none\.zip: no such file there \(HTTP 404\)"):
        get(site, tmp_path, "/none.zip")
    assert len(site.asked) == 1


def test_no_server_is_one_line(site, tmp_path):
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch("http://127.0.0.1:9/x", tmp_path / "x", pause=lambda _: None)


def test_a_server_without_a_name_is_not_waited_for(tmp_path):
    pauses = []
    with pytest.raises(DownloadError, match="see to the network"):
        fetch("http://nowhere.invalid/x", tmp_path / "x", pause=pauses.append)
    assert pauses == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b", "model.zip"])
def test_only_the_web_is_asked(tmp_path, url):
    with pytest.raises(DownloadError, match="begins with https"):
        fetch(url, tmp_path / "x")


def test_a_full_disk_is_said_before(site, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(DownloadError, match="make room"):
        get(site, tmp_path)
    assert left_over(tmp_path) == []
