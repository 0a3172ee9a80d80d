"""What the page takes from npm is taken whole, checked, or left out with a word."""

import base64
import hashlib
import importlib.util
import io
import json
import re
import stat
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]
LOCK = json.loads((ROOT / "web" / "package-lock.json").read_text())


@pytest.fixture
def build(tmp_path):
    """The script, with a lock file that pins one small package."""
    spec = importlib.util.spec_from_file_location("page_build", ROOT / "web" / "build.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["page_build"] = module
    spec.loader.exec_module(module)
    module.HERE = tmp_path
    yield module
    del sys.modules["page_build"]


def archive(content=b"viewer"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        member = tarfile.TarInfo("package/dist/index.js")
        member.size = len(content)
        packed.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def pinned(build, tmp_path, monkeypatch):
    """A package that is pinned, and an npm that brings it; gives what is wanted, and its way."""
    content = archive()
    digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
    packages = {"node_modules/small": {"version": "1.2.3", "integrity": f"sha512-{digest}"}}
    (tmp_path / "package-lock.json").write_text(json.dumps({"packages": packages}))
    sent = tmp_path / "small-1.2.3.tgz"
    sent.write_bytes(content)
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(f'#!/bin/sh\nfor folder; do :; done\ncp "{sent}" "$folder"\n')
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
    return build.Taken("small", "dist/index.js", tmp_path / "vendor" / "small.js"), sent


def test_a_file_is_taken_once(build, pinned):
    taken, sent = pinned
    build.build(taken)
    assert taken.path.read_bytes() == b"viewer"
    assert build.is_there(taken)
    sent.unlink()
    build.build(taken)  # it stands: nobody is asked


def test_another_archive_than_the_pinned_one_is_refused(build, pinned):
    taken, sent = pinned
    sent.write_bytes(archive(b"other"))
    with pytest.raises(build.BuildError, match=r"another small 1\.2\.3 than package-lock\.json"):
        build.build(taken)
    assert not taken.path.exists()


def test_a_package_without_the_file_is_refused(build, pinned):
    taken, _ = pinned
    with pytest.raises(build.BuildError, match=r"small holds no dist/none\.js"):
        build.build(replace(taken, member="dist/none.js"))
    assert not taken.path.parent.exists() or not list(taken.path.parent.iterdir())


def test_a_registry_that_does_not_answer_is_said(build, pinned):
    taken, sent = pinned
    sent.unlink()
    with pytest.raises(build.BuildError, match=r"npm did not get small@1\.2\.3"):
        build.build(taken)


class Hook:
    """What hatchling gives to a hook."""

    def __init__(self, root):
        self.root, self.app, self.said = str(root), self, []

    def display_warning(self, text):
        self.said.append(text)


def test_without_npm_the_installation_goes_on_and_says_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "web").mkdir()
    for name in ("build.py", "package-lock.json"):
        (tmp_path / "web" / name).write_text((ROOT / "web" / name).read_text())
    interface = "hatchling.builders.hooks.plugin.interface"
    monkeypatch.setitem(sys.modules, interface, SimpleNamespace(BuildHookInterface=Hook))
    monkeypatch.setenv("PATH", "/nowhere")
    spec = importlib.util.spec_from_file_location("page_hook", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    hook = module.PageHook(tmp_path)
    hook.initialize("standard", {})
    (text,) = hook.said
    assert "npm is not installed" in text
    assert "install renalseg again" in text


def test_the_lock_file_pins_every_package_and_names_no_host():
    text = (ROOT / "web" / "package-lock.json").read_text()
    assert not re.search(r"https?://registry|\"resolved\"", text)
    packages = {name: each for name, each in LOCK["packages"].items() if name}
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
    wanted = json.loads((ROOT / "web" / "package.json").read_text())
    for name, version in {**wanted["dependencies"], **wanted["devDependencies"]}.items():
        assert packages[f"node_modules/{name}"]["version"] == version
