"""How a server is set up and started, and what it tells those who listen."""

import json
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import httpx
import pytest
import typer
from typer.testing import CliRunner

from models import write_model
from renalseg.cli.serve import command
from renalseg.errors import RenalsegError
from renalseg.models.default_model import default_model
from renalseg.models.ensemble import World, write_ensemble
from renalseg.web import machine
from renalseg.web.engine import loader
from renalseg.web.identity import CSRF_HEADER
from renalseg.web.services import Services
from renalseg.web.settings import ServeError, Settings, is_loopback
from renalseg.web.tokens import Tokens, token_hash
from web_server import create, finished, process, put, read_nifti, running, start, wait

TOKENS = Tokens.of({"alice": "a-token-that-is-long"})


def settings(tmp_path, **more):
    return Settings(model=tmp_path / "model", data=tmp_path / "data", **more)


def run(monkeypatch, *arguments):
    """The command, stopped when it would begin to serve; gives its result and settings."""
    found = []
    monkeypatch.setattr("renalseg.web.serve.serve", lambda *given, **_: found.append(given[0]))
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    return result, (found or [None])[0]


# Doors


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "ward.hospital.example"])
def test_other_addresses_need_tokens(tmp_path, host):
    with pytest.raises(ServeError, match="others could come in; give --tokens"):
        settings(tmp_path, host=host)
    assert not settings(tmp_path, host=host, tokens=TOKENS).is_open
    proxied = {"user_header": "X-Remote-User", "trusted_proxies": ("10.0.0.1",)}
    assert not settings(tmp_path, host=host, **proxied).is_open


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"user_header": "X-User"}, "anybody could send it; name the proxy"),
        ({"trusted_proxies": ("10.0.0.1",)}, "also name the header"),
        (
            {"user_header": "X-User", "trusted_proxies": ("10.0.0.1",), "tokens": TOKENS},
            "not both",
        ),
    ],
)
def test_half_a_lock_is_none(tmp_path, more, text):
    with pytest.raises(ServeError, match=text):
        settings(tmp_path, **more)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("[::1]", True),
        ("localhost.evil.example", False),
        ("0.0.0.0", False),
        ("", False),
    ],
)
def test_what_is_this_computer(host, expected):
    assert is_loopback(host) is expected


def test_tokens_from_a_file(tmp_path):
    path = tmp_path / "tokens"
    hashed = token_hash("bobs-token-that-is-long")
    path.write_text(f"# who\n\nalice: a-token-that-is-long\nbob : sha256:{hashed}\n")
    tokens = Tokens.read(path)
    assert tokens.user_of("a-token-that-is-long") == "alice"
    assert tokens.user_of("bobs-token-that-is-long") == "bob"
    assert tokens.user_of(hashed) is None
    assert tokens.user_of("") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("alice a-token-that-is-long", "line 1: expected 'name: token'"),
        ("alice: short", "line 1: the token of alice is too short"),
        ("a b: a-token-that-is-long", "line 1: expected a name"),
        ("a: a-token-that-is-long\na: a-token-that-is-long2", "line 2: a second token of a"),
        ("# nobody\n", "no tokens in it"),
        ("a: sha256:123", "too short"),
    ],
)
def test_bad_tokens_are_said_by_line(tmp_path, text, problem):
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(RenalsegError, match=problem):
        Tokens.read(path)


def test_no_such_file_of_tokens(tmp_path):
    with pytest.raises(RenalsegError, match="cannot be read"):
        Tokens.read(tmp_path / "tokens")


def test_two_servers_do_not_share_a_folder(tmp_path):
    with (
        running(tmp_path),
        pytest.raises(ServeError, match="another renalseg serve uses this folder"),
    ):
        Services(Settings(model=tmp_path, data=tmp_path), None)


def test_memory_is_three_quarters_of_the_machines_or_containers(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1 << 22}.get)
    monkeypatch.setattr(machine, "_CONTAINER", tmp_path / "max")
    assert machine.memory_gb() == 12.9
    (tmp_path / "max").write_text("max\n")
    assert machine.memory_gb() == 12.9
    (tmp_path / "max").write_text("8000000000\n")
    assert machine.memory_gb() == 6.0

    def unknown(_):
        raise OSError

    monkeypatch.setattr(machine.os, "sysconf", unknown)
    assert machine.memory_gb() is None


# The command


def test_the_command_sets_up_a_server(tmp_path, monkeypatch):
    monkeypatch.delenv("RENALSEG_TOKEN", raising=False)
    model = write_model(tmp_path / "model", folds=(0,))
    monkeypatch.setenv("RENALSEG_SERVE_DATA", str(tmp_path / "here"))
    result, found = run(monkeypatch, "-m", model, "--days", 3, "--upload-mb", 7, "--memory", 2)
    assert result.exit_code == 0, result.output
    assert (found.host, found.port, found.days_kept) == ("127.0.0.1", 8765, 3)
    assert (found.data, found.limits.upload_mb) == (tmp_path / "here", 7)
    assert found.memory_gb == 2
    assert found.is_open
    monkeypatch.setenv("RENALSEG_TOKEN", "one-person-with-a-token")
    result, found = run(monkeypatch, "-m", model, "--host", "0.0.0.0")
    assert found.tokens.user_of("one-person-with-a-token") == "user"


def test_without_a_model_the_command_serves_the_one_that_comes_along(tmp_path, monkeypatch):
    monkeypatch.setenv("RENALSEG_SERVE_DATA", str(tmp_path))
    result, found = run(monkeypatch)
    assert result.exit_code == 0, result.output
    assert found.model == default_model()


def test_the_engine_knows_the_models_world(tmp_path):
    world = World(pixel_mm=(0.5, 3.0), contrast="any")
    one = write_model(tmp_path / "one", folds=(0,))
    write_ensemble(tmp_path / "model", {"one": [one]}, [0], world=world)
    assert loader(settings(tmp_path, device="cpu"))("fast").world == world


def test_a_model_that_is_none_is_said_at_once(tmp_path, monkeypatch):
    result, found = run(monkeypatch, "-m", tmp_path)
    assert "no ensemble.json" in str(result.exception)
    assert found is None


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "renalseg.web.serve", raising=False)
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, ["-m", str(tmp_path)])
    assert "pip install 'renalseg[serve]'" in str(result.exception)


def test_the_interface_is_known_without_anything_heavy():
    code = (
        "import sys, renalseg.web.app;"
        "print([name for name in ('torch', 'SimpleITK', 'matplotlib', 'nnunetv2', 'highdicom')"
        " if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_a_real_ensemble_gives_what_the_library_gives(tmp_path, monkeypatch):
    from renalseg.batch import Options

    model = write_model(tmp_path / "model", folds=(0,))
    served = Settings(model=model, data=tmp_path, device="cpu")
    monkeypatch.setattr("web_server.Engine", lambda *_, **__: loader(served)("fast"))
    with running(tmp_path / "data") as client:
        study = finished(client, profile="fast", uncertainty=True)
        place = f"/api/studies/{study['id']}"
        mask, _ = read_nifti(client.get(f"{place}/masks/1.nii.gz"))
        assert not study["has_raw"]  # a model folder is not post-processed
        assert client.get(f"{place}/masks/raw.nii.gz").status_code == 404
        sent = next((tmp_path / "data" / "studies").glob("*/upload/*"))
        found = Options(model, device="cpu", profile="fast").load().predict(sent)
        assert (mask == found.labels.array).all()
        made = json.loads((sent.parents[1] / "mask-1.json").read_text())
        assert made["input"]["name"] == "scan.nii.gz"
        assert made["input"]["hash"] == found.provenance.input.hash
        assert made["settings"]["profile"] == "fast"


# What a running server tells


@contextmanager
def listening(url):
    """Studies as a page is told of them, each as soon as it comes."""
    found = []
    with httpx.stream("GET", f"{url}api/events", timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()

        def read():
            event = ""
            for line in lines:
                if line.startswith("event:"):
                    event = line.partition(":")[2].strip()
                elif line.startswith("data:"):
                    found.append((event, json.loads(line.partition(":")[2])))
                    if found[-1][1]["state"] == "deleted":
                        return

        yield found, read


def test_events_tell_of_each_change(tmp_path):
    with (
        process(tmp_path / "data", seconds=1.0) as (_, url),
        httpx.Client(base_url=url, timeout=20) as client,
    ):
        client.headers[CSRF_HEADER] = client.get("api/session").json()["csrf"]
        before = create(client, "before")
        with listening(url) as (found, read):
            listener = threading.Thread(target=read)
            listener.start()
            study = create(client, "after")
            put(client, study)
            start(client, study)
            wait(client, study)
            client.delete(f"api/studies/{study}")
            listener.join(10)
        assert {event for event, _ in found} == {"study"}
        assert found[0][1]["id"] == before
        mine = [one for _, one in found if one["id"] == study]
        states = list(dict.fromkeys(one["state"] for one in mine))
        order = ["uploading", "queued", "running", "done", "deleted"]
        assert states == [one for one in order if one in states]  # a short one may go unseen
        assert {"running", "deleted"} <= set(states)
        assert len({one["progress"] for one in mine if one["state"] == "running"}) > 1
        assert mine[-1] == {"id": study, "state": "deleted"}
        assert {one["position"] for one in mine if one["state"] == "queued"} <= {0}


def test_a_slow_upload_is_given_up(tmp_path):
    """A body of which nothing comes any more holds nobody's connection for ever."""
    from renalseg.web.settings import Limits

    with running(tmp_path, limits=Limits(stall_s=0.2)) as client:
        study = create(client)
        services = client.app.state.services

        async def halting():
            import asyncio

            yield b"\x1f\x8b"
            await asyncio.sleep(60)

        with pytest.raises(RenalsegError, match="nothing came for a while"):
            client.portal.call(services.uploads.receive, study, "scan.nii.gz", halting(), None)
        assert not list((tmp_path / "studies" / study / "upload").iterdir())


def test_a_broken_connection_leaves_nothing(tmp_path):
    with process(tmp_path / "data") as (_, url):
        with httpx.Client(base_url=url) as client:
            client.headers[CSRF_HEADER] = csrf = client.get("api/session").json()["csrf"]
            study = create(client)
        address = httpx.URL(url)
        with socket.create_connection((address.host, address.port)) as connection:
            request = (
                f"PUT /api/studies/{study}/files?path=scan.nii.gz HTTP/1.1\r\n"
                f"Host: localhost\r\n{CSRF_HEADER}: {csrf}\r\nContent-Length: 9999999\r\n\r\n"
            )
            connection.sendall(request.encode() + b"\x1f\x8b" + bytes(300_000))
        folder = tmp_path / "data" / "studies" / study / "upload"
        for _ in range(100):
            if not list(folder.iterdir()):
                break
            threading.Event().wait(0.05)
        assert not list(folder.iterdir())
