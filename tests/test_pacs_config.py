"""The configuration of the node."""

import pytest
import yaml

from renalseg.errors import PacsError
from renalseg.pacs.config import NodeConfig, Peer, load_config

ARCHIVE = {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 4242}


def written(folder, content):
    path = folder / "pacs.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_the_example_of_the_docs_is_read(tmp_path):
    from pathlib import Path

    text = (Path(__file__).parents[1] / "docs" / "pacs.md").read_text()
    config = load_config(written(tmp_path, text.split("```yaml\n")[1].split("```")[0]))
    assert config.peers["archive"].speaks == ("dimse", "dicomweb")
    assert config.caller("ORTHANC", "127.0.0.1") == "archive"
    assert config.caller("CT1", "10.1.7.9") == "scanner"


def test_this_machine_alone_is_served_by_default(tmp_path):
    config = load_config(written(tmp_path, {"peers": {"archive": ARCHIVE}}))
    assert config.host == "127.0.0.1"
    assert config.results_to == ("sender",)
    assert config.queue == tmp_path / "renalseg-queue"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("- 1", "expected a mapping with ae_title, port and peers"),
        ("a: [", "not YAML"),
        ({"ae_title": "x" * 17}, "ae_title: .*1 to 16 plain letters"),
        ({"ae_title": "A\\B"}, "no backslash"),
        ({"port": 0}, "port: .*greater than or equal to 1"),
        ({"quiet": 3}, "quiet: Extra inputs are not permitted"),
        ({"peers": {"a": {"ae_title": "A"}}}, "peers.a: .*belong together; give all three"),
        ({"peers": {"a": {}}}, "peers.a: .*give ae_title, host and port, or dicomweb"),
        ({"peers": {"a": {**ARCHIVE, "addresses": ["10.1.2"]}}}, "peers.a.addresses.0"),
        ({"peers": {"a": {"dicomweb": "http://me:secret@host/"}}}, "peers.a.dicomweb"),
        ({"peers": {"sender": ARCHIVE}}, "no peer can be named 'sender'"),
        ({"peers": {"a/b": ARCHIVE}}, "peers.a/b"),
        ({"results_to": ["b"]}, "results_to names unknown peers: b"),
        (
            {"peers": {"a": ARCHIVE}, "results_to": ["a"], "results_via": "dicomweb"},
            "results_via is dicomweb, which a is not set up for",
        ),
        ({"retry_s": [9, 2]}, "retry_s must be two times"),
    ],
)
def test_what_makes_no_sense_is_one_line(tmp_path, content, message):
    path = written(tmp_path, content)
    with pytest.raises(PacsError, match=message) as caught:
        load_config(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(PacsError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")


def test_a_caller_is_known_by_title_and_address():
    other = {"ae_title": "CT1", "host": "10.9.9.9", "port": 104, "addresses": ["10.1.7.0/24"]}
    config = NodeConfig(peers={"archive": Peer(**ARCHIVE), "scanner": Peer(**other)})
    assert config.caller("ARCHIVE ", "127.0.0.1") == "archive"
    assert config.caller("ARCHIVE", "10.1.7.4") is None
    assert config.caller("CT1", "10.1.7.4") == "scanner"
    assert config.caller("CT1", "10.9.9.9") is None
    assert config.caller("", "127.0.0.1") is None


def test_a_peer_is_chosen_by_name_or_because_there_is_one():
    one = NodeConfig(peers={"archive": Peer(**ARCHIVE)})
    assert one.peer(None) is one.peer("archive")
    with pytest.raises(PacsError, match="no peer 'b' in the configuration; its peers are: archive"):
        one.peer("b")
    two = NodeConfig(peers={"a": Peer(**ARCHIVE), "b": Peer(dicomweb="https://b/dicom-web")})
    with pytest.raises(PacsError, match="name one of the configured peers; they are: a, b"):
        two.peer(None)
    with pytest.raises(PacsError, match="not set up for dimse"):
        two.peer("b").via("dimse")


def test_a_password_is_not_shown():
    peer = Peer(dicomweb="https://b/dicom-web", user="me", password="secret")
    assert "secret" not in repr(peer)
