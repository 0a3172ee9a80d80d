"""Attacks on the server: each is refused, in one line, and leaves nothing behind."""

import gzip
import logging
import struct
import zipfile
from dataclasses import replace

import pytest

from renalseg.web.identity import COOKIE, CSRF_HEADER
from renalseg.web.settings import Limits
from renalseg.web.tokens import Tokens
from web_server import BASE, create, finished, login, nifti, put, running, start, wait, zipped

ALICE, BOB = "alice-has-a-long-token", "bob-has-another-token"
TOKENS = Tokens.of({"alice": ALICE, "bob": BOB})
SMALL = Limits(upload_mb=1, unpacked_mb=2, files=3, studies=100, failures=3, stall_s=0.3)
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """A server for whoever is on this computer, with small limits."""
    with running(tmp_path_factory.mktemp("local") / "data", limits=SMALL) as client:
        yield client


@pytest.fixture
def team(tmp_path):
    """A server for those who have tokens."""
    with running(tmp_path / "data", tokens=TOKENS, limits=replace(SMALL, failures=50)) as client:
        yield client


@pytest.fixture(scope="module")
def study(local):
    return create(local)


def refused(answer, status, text=""):
    """The answer says no in one line that says what to do."""
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert text in detail
    assert "\n" not in detail
    assert "Traceback" not in detail


def kept(client):
    """The files that were kept."""
    root = client.app.state.services.settings.data
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


# Files


@pytest.mark.parametrize(
    "path",
    [
        "../../evil.nii.gz",
        "/etc/cron.d/evil.nii.gz",
        "a/../../evil.nii.gz",
        "..\\evil.nii.gz",
        "C:\\evil.nii.gz",
        "a//b.nii.gz",
        "./a.nii.gz",
        "..",
        "a\x00.nii.gz",
        "a\n.nii.gz",
        "\u202egz.nii",
    ],
)
def test_a_name_that_reaches_out_of_its_folder(local, study, path):
    before = kept(local)
    refused(put(local, study, path), 400, "path: expected a file's name")
    assert kept(local) == before


def test_a_name_without_end(local, study):
    refused(put(local, study, "a" * 5000 + ".nii.gz"), 422)


def test_names_never_become_names_on_the_disk(local):
    evil = "$(reboot) ; DROP TABLE study;--.nii.gz"
    study = create(local, "DROP TABLE study;--")
    assert put(local, study, evil).status_code == 200
    assert not [path for path in kept(local) if "DROP" in path or "reboot" in path]
    assert local.get(f"/api/studies/{study}").json()["name"] == "DROP TABLE study;--"


def test_too_large_a_file_is_refused_before_it_is_sent(local, study):
    answer = local.put(
        f"/api/studies/{study}/files?path=a.nii.gz",
        content=b"x",
        headers={"Content-Length": str(10**9)},
    )
    refused(answer, 413, "more than 1 MB")


def test_too_large_a_file_that_does_not_say_so(local, study):
    def endless():
        for _ in range(100):
            yield b"\x1f\x8b" + bytes(100_000)

    before = kept(local)
    answer = local.put(f"/api/studies/{study}/files?path=a.nii.gz", content=endless())
    refused(answer, 413, "more than 1 MB")
    assert kept(local) == before


def test_too_many_small_files(local):
    study = create(local)
    dicom = bytes(128) + b"DICM" + bytes(100)
    for number in range(3):
        assert put(local, study, f"ct/{number}", dicom).json() == {"kept": True}
    refused(put(local, study, "ct/4", dicom), 413, "more than 3 files")
    big = dicom + bytes(900_000)
    refused(put(local, study, "ct/0", big + big), 413, "more than 1 MB")
    assert put(local, study, "ct/0", big).status_code == 200
    refused(put(local, study, "ct/1", big), 413, "more than 1 MB")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ct.nii.gz", b"\x89PNG\r\n\x1a\n" + bytes(500)),
        ("ct.nii.gz", b"<html>" + bytes(500)),
        ("ct.nii", zipped({"a": b"b"})),
        ("ct.nrrd", b"MZ" + bytes(500)),
        ("ct.mha", b"#!/bin/sh\nreboot\n"),
        ("ct.zip", b"Rar!\x1a\x07" + bytes(500)),
        ("ct.dcm", b"%PDF-1.7" + bytes(500)),
        ("ct.nii.gz", b""),
    ],
)
def test_a_file_that_is_not_what_its_name_says(local, study, name, content):
    before = kept(local)
    refused(put(local, study, name, content), 415, "the file is")
    assert kept(local) == before


@pytest.mark.parametrize("name", ["ct.mhd", "ct.nhdr"])
def test_a_header_that_names_another_file_of_the_server(local, study, name):
    header = b"NRRD0004\ndata file: /etc/passwd\n"
    refused(put(local, study, name, header), 415, "half of an image")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ct.nrrd", b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 9 9 9\nencoding: raw\n"
         b"data file: /etc/passwd\n\n"),
        ("ct.mha", b"ObjectType = Image\nNDims = 3\nDimSize = 9 9 9\nElementType = MET_UCHAR\n"
         b"ElementDataFile = /etc/passwd\n"),
    ],
)  # fmt: skip
def test_an_image_that_takes_its_voxels_from_another_file_of_the_server(local, name, content):
    study = create(local)
    put(local, study, name, content)
    start(local, study)
    assert "expected the name of a file in the" in wait(local, study, "failed")["problem"]


# Archives


def lying(archive, size):
    """The archive with another size in its list of contents."""
    place = archive.index(b"PK\x01\x02")
    return archive[: place + 24] + struct.pack("<I", size) + archive[place + 28 :]


def linked():
    entry = zipfile.ZipInfo("ct.nii.gz")
    entry.external_attr = 0o120777 << 16
    return zipped({entry: b"/etc/passwd"})


def with_password():
    content = bytearray(zipped({"a.dcm": bytes(300)}))
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + place] |= 1
    return bytes(content)


def long_directory():
    """An end that promises a list of contents of gigabytes."""
    content = zipped({"a.dcm": bytes(300)})
    end = content.index(b"PK\x05\x06")
    filler = bytes(5 << 20)
    record = bytearray(content[end:])
    record[12:16] = struct.pack("<I", len(filler))
    record[16:20] = struct.pack("<I", 0)
    return b"PK\x03\x04" + filler[4:] + bytes(record)


@pytest.mark.parametrize(
    ("archive", "status", "text"),
    [
        (zipped({"../../evil.dcm": b"x"}), 422, "names files outside of its folder"),
        (zipped({"/etc/evil.dcm": b"x"}), 422, "names files outside of its folder"),
        (zipped({"a\\..\\..\\evil.dcm": b"x"}), 422, "names files outside of its folder"),
        (zipped({"C:/evil.dcm": b"x"}), 422, "names files outside of its folder"),
        (linked(), 422, "holds links"),
        (with_password(), 422, "has a password"),
        (zipped({"bomb.dcm": bytes(3_000_000)}), 413, "would unpack to 3 MB"),
        (zipped({f"{n}.dcm": b"x" for n in range(4)}), 413, "holds 4 files, at most 3"),
        (lying(zipped({"a.dcm": b"x" * 99}), 3_000_000_000), 413, "would unpack to 3000 MB"),
        (zipped({"a.dcm": b"x"})[:-30], 422, "is damaged"),
        (b"PK\x03\x04" + bytes(100), 422, "is damaged"),
    ],
)
def test_an_archive_that_means_harm(local, study, archive, status, text):
    before = kept(local)
    refused(put(local, study, "ct.zip", archive), status, text)
    assert kept(local) == before


def test_an_archive_with_a_list_of_contents_that_would_fill_the_memory(tmp_path):
    with running(tmp_path) as client:
        answer = put(client, create(client), "ct.zip", long_directory())
        refused(answer, 422, "list of contents is too long")


def test_an_archive_that_holds_more_than_it_says(local):
    """What it says is what is unpacked, and then its checksum is wrong."""
    study = create(local)
    archive = lying(zipped({"a.dcm": bytes(128) + b"DICM" + bytes(900_000)}), 200)
    assert put(local, study, "ct.zip", archive).status_code == 200
    start(local, study)
    assert "the archive is damaged" in wait(local, study, "failed")["problem"]
    assert not [path for path in kept(local) if study in path and ".dcm" in path]


def test_an_image_that_unpacks_to_more_than_its_header_says(local):
    study = create(local)
    content = gzip.compress(gzip.decompress(nifti()) + bytes(60_000_000), 9)
    assert put(local, study, content=content).status_code == 200
    start(local, study)
    assert "far more than its header says" in wait(local, study, "failed")["problem"]


def test_a_mask_that_unpacks_to_gigabytes(local):
    study = finished(local)["id"]
    bomb = gzip.compress(gzip.decompress(nifti())[:352] + bytes(80_000_000), 9)
    answer = local.post(f"/api/studies/{study}/masks?from=1", content=bomb)
    refused(answer, 422, "far more than its header says")
    answer = local.post(f"/api/studies/{study}/masks?from=1", content=bytes(1_100_000))
    refused(answer, 413, "more than 1 MB")


# Requests


def test_a_long_request_does_not_fill_the_memory(local):
    answer = local.post("/api/studies", json={"name": "a" * 10**6})
    refused(answer, 413, "too long")


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "a" * 201},
        {"name": "a", "options": {"profile": "slow"}},
        {"name": "a", "state": "done"},
        {"name": "a", "user": "bob"},
        [],
        "text",
    ],
)
def test_a_request_that_asks_for_something_else(local, body):
    refused(local.post("/api/studies", json=body), 422)


@pytest.mark.parametrize("name", ["a\nb", "\u202eevil", "\x1b[2J", "a\x00b"])
def test_a_name_that_is_more_than_letters(local, name):
    study = create(local, name)
    shown = local.get(f"/api/studies/{study}").json()["name"]
    assert shown.isprintable()
    assert "\ufffd" in shown


def test_too_many_studies(tmp_path):
    with running(tmp_path, limits=replace(SMALL, studies=2)) as client:
        create(client)
        create(client)
        refused(client.post("/api/studies", json={"name": "3"}), 429, "you have 2 studies")


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/../app.py"]
)
def test_files_of_the_package_are_not_served(local, path):
    assert local.get(path).status_code == 404


def test_a_script_as_a_name_stays_text(local):
    study = finished(local, f"{SCRIPT}.nii", path=f"{SCRIPT}.nii.gz".replace("/", "_"))
    answer = local.get(f"/api/studies/{study['id']}")
    assert answer.headers["content-type"] == "application/json"
    page = local.get(f"/api/studies/{study['id']}/download/html")
    assert page.headers["content-disposition"].startswith("attachment; filename=")
    assert not {'"', "<", "/"} & set(page.headers["content-disposition"].split('"')[1])
    assert SCRIPT not in page.text
    assert "<script>alert" not in page.text


def test_every_answer_forbids_foreign_scripts_and_frames(local, study):
    for path in ("/", "/login", "/api/studies", f"/api/studies/{study}", "/nowhere", "/health"):
        headers = local.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers


# Other sites


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_what_another_site_sends(local, headers):
    for method, path in (
        ("POST", "/api/studies"),
        ("POST", "/login"),
        ("DELETE", "/api/studies/a"),
    ):
        refused(local.request(method, path, headers=headers), 403, "another site sent this")


def test_what_another_site_links_to(local, study):
    headers = {"Sec-Fetch-Site": "cross-site"}
    refused(local.get(f"/api/studies/{study}/image.nii.gz", headers=headers), 403)
    assert local.get("/", headers=headers).status_code == 200


def test_our_own_page_may(local):
    headers = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}
    assert local.post("/api/studies", json={"name": "a"}, headers=headers).status_code == 201


@pytest.mark.parametrize("csrf", ["", "0" * 64, "\xff", None])
def test_without_the_sessions_own_word_nothing_changes(local, csrf):
    headers = {} if csrf is None else {CSRF_HEADER: csrf.encode("latin-1")}
    request = local.build_request("POST", "/api/studies", json={"name": "a"}, headers=headers)
    if csrf is None:
        del request.headers[CSRF_HEADER]
    refused(local.send(request), 403, "reload the page")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "localhost.evil.example", ""]
)
def test_a_name_of_another_site_that_was_pointed_to_this_computer(local, host):
    refused(local.get("/api/studies", headers={"Host": host}), 403, "open http://localhost:8765")


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "[::1]:8765", "localhost"])
def test_this_computers_own_names(local, host):
    assert local.get("/api/studies", headers={"Host": host}).status_code == 200


# Other people


PATHS = [
    ("GET", ""),
    ("DELETE", ""),
    ("PUT", "/files?path=a.nii.gz"),
    ("POST", "/start"),
    ("POST", "/cancel"),
    ("POST", "/retry"),
    ("GET", "/thumbnail.webp"),
    ("GET", "/image.nii.gz"),
    ("GET", "/entropy.nii.gz"),
    ("GET", "/masks/1.nii.gz"),
    ("GET", "/masks/raw.nii.gz"),
    ("POST", "/masks?from=1"),
    ("GET", "/measurements"),
    ("GET", "/download/nifti"),
    ("GET", "/download/pdf"),
]


def test_another_users_study_is_as_none(team):
    login(team, ALICE)
    study = finished(team, uncertainty=True)["id"]
    login(team, BOB)
    assert team.get("/api/studies").json() == []
    for method, path in PATHS:
        theirs = team.request(method, f"/api/studies/{study}{path}")
        none = team.request(method, f"/api/studies/{'0' * 32}{path}")
        refused(theirs, 404, "there is no such study")
        assert theirs.content == none.content
    login(team, ALICE)
    assert [one["state"] for one in team.get("/api/studies").json()] == ["done"]


def test_identifiers_cannot_be_guessed(local):
    found = [create(local) for _ in range(5)]
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in found)
    shared = [sum(a == b for a, b in zip(found[0], one, strict=True)) for one in found[1:]]
    assert max(shared) < 16


def test_without_a_token_nobody_comes_in(team):
    for method, path in PATHS:
        refused(team.request(method, f"/api/studies/{'0' * 32}{path}"), 401, "log in first")
    for path in ("/api/session", "/api/studies", "/api/events", "/metrics", "/nowhere"):
        refused(team.get(path), 401)
    assert team.get("/health").status_code == 200
    answer = team.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "login")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {ALICE}x"},
        {"Authorization": f"Bearer {ALICE[:-1]}"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {ALICE}"},
        {"Authorization": ALICE},
        {"Cookie": f"{COOKIE}=alice"},
        {"Cookie": f"{COOKIE}={ALICE}"},
        {"Cookie": f"{COOKIE}=' OR 1=1 --"},
        {"X-Remote-User": "alice"},
        {"X-Forwarded-For": "127.0.0.1", "X-Remote-User": "alice"},
    ],
)
def test_a_forged_token(team, headers):
    refused(team.get("/api/studies", headers=headers), 401)


def test_tokens_cannot_be_tried_out(tmp_path):
    with running(tmp_path, tokens=TOKENS, limits=SMALL) as client:
        for number in range(3):
            refused(client.get("/api/studies", headers={"Authorization": f"Bearer {number}"}), 401)
        refused(client.get("/api/studies", headers={"Authorization": "Bearer 4"}), 429)
        refused(client.post("/login", data={"token": "5"}), 429, "try again in a minute")


def test_a_browser_logs_in_and_out(team):
    answer = team.post("/login", data={"token": ALICE}, follow_redirects=False)
    cookie = answer.headers["set-cookie"].lower()
    assert answer.status_code == 303
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert ALICE not in cookie
    assert team.get("/api/session").json()["user"] == "alice"
    refused(team.post("/api/studies", json={"name": "a"}), 403, "reload the page")
    login(team)
    assert team.post("/api/studies", json={"name": "a"}).status_code == 201
    key = team.cookies[COOKIE]
    assert team.post("/logout").status_code == 204
    refused(team.get("/api/session", headers={"Cookie": f"{COOKIE}={key}"}), 401)


def test_one_sessions_word_is_not_anothers(team):
    words = []
    for token in (ALICE, ALICE, BOB):
        team.cookies.clear()
        team.post("/login", data={"token": token})
        words.append(team.get("/api/session").json()["csrf"])
    assert len(set(words)) == 3


def test_a_link_with_a_token_lets_in_once_and_leaves_no_token_in_the_address(team):
    answer = team.get(f"/?token={ALICE}", follow_redirects=False)
    assert answer.status_code == 200
    assert 'content="0; url=./"' in answer.text
    assert ALICE not in answer.text
    assert team.get("/api/session").json()["user"] == "alice"
    assert team.get("/?token=wrong").status_code == 401


def test_a_wrong_token_at_the_door(team):
    answer = team.post("/login", data={"token": SCRIPT})
    assert answer.status_code == 401
    assert "No such token" in answer.text
    assert SCRIPT not in answer.text


def test_a_token_that_was_taken_away_opens_nothing(tmp_path):
    with running(tmp_path, tokens=TOKENS) as client:
        client.post("/login", data={"token": ALICE})
        key = client.cookies[COOKIE]
    headers = {"Cookie": f"{COOKIE}={key}"}
    with running(tmp_path, tokens=TOKENS) as client:
        assert client.get("/api/session", headers=headers).status_code == 200
    with running(tmp_path, tokens=Tokens.of({"alice": "another-token-of-alice"})) as client:
        refused(client.get("/api/session", headers=headers), 401)


def test_a_proxy_says_who_it_is_and_nobody_else(tmp_path):
    named = {"user_header": "X-Remote-User", "trusted_proxies": ("10.0.0.0/8",)}
    with running(tmp_path, **named) as client:
        headers = {"X-Remote-User": "alice"}
        refused(client.get("/api/session", headers=headers), 403, "come through the proxy")
    with running(tmp_path, user_header="X-Remote-User", trusted_proxies=("127.0.0.1",)) as client:
        session = client.get("/api/session", headers=headers)
        assert session.json()["user"] == "alice"
        refused(client.get("/api/session"), 401)
        twice = [("X-Remote-User", "alice"), ("X-Remote-User", "bob")]
        refused(client.get("/api/session", headers=twice), 400, "came twice")
        csrf = {CSRF_HEADER: session.json()["csrf"], "X-Remote-User": "bob"}
        refused(client.post("/api/studies", json={"name": "a"}, headers=csrf), 403)


# What stays behind


def test_the_log_names_nobody(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with running(tmp_path, tokens=TOKENS) as client:
        login(client, ALICE)
        study = finished(client, "DOE^JANE", path="DOE^JANE.nii.gz")
        client.get(f"/api/studies/{study['id']}/download/html")
        bad = create(client, "DOE^JANE")
        put(client, bad, "DOE^JANE.nii.gz", nifti()[:-2000])
        start(client, bad)
        wait(client, bad, "failed")
        client.app.state.services.data = None
        refused(client.get(f"/api/studies/{study['id']}/image.nii.gz"), 500, "its log says where")
    ours = [r for r in caplog.records if not r.name.startswith(("httpx", "asyncio"))]
    text = "\n".join(logging.Formatter().format(record) for record in ours)
    assert "done after" in text
    assert "AttributeError at" in text
    assert "DOE" not in text
    assert ALICE not in text
    assert study["id"] not in text


def test_the_data_folder_is_its_owners_alone(local, study):
    data = local.app.state.services.settings.data
    assert data.stat().st_mode & 0o077 == 0
    assert (data / "studies" / study).stat().st_mode & 0o077 == 0
    assert (data / "secret").stat().st_mode & 0o077 == 0
