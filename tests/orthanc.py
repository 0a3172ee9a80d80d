"""A real archive: Orthanc on free ports of this machine, with a folder of its own."""

import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAM = Path("/usr/sbin/Orthanc")
PLUGINS = (
    Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
    Path("/usr/lib/orthanc/libOrthancDicomWeb.so"),
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Orthanc:
    """An Orthanc that can be killed and started again; it keeps what it has.

    Attributes:
        port: For DIMSE.
        url: Of its own HTTP interface.
        dicomweb: Of its DICOMweb interface.
    """

    def __init__(self, folder, plugin, modalities, ports=None):
        self.port, http = ports or (free_port(), free_port())
        self.url = f"http://127.0.0.1:{http}"
        self.dicomweb = f"{self.url}/dicom-web"
        self.folder = folder
        self.process = None
        self.settings = {
            "Name": "test",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "Plugins": [str(plugin)],
            "HttpPort": http,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomPort": self.port,
            "DicomAet": "ORTHANC",
            "DicomCheckCalledAet": True,
            "DicomModalities": modalities,
            "DicomAlwaysAllowStore": True,
            "StableAge": 1,
            "ConcurrentJobs": 4,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }

    def start(self):
        (self.folder / "storage").mkdir(exist_ok=True)
        (self.folder / "orthanc.json").write_text(json.dumps(self.settings))
        with (self.folder / "orthanc.log").open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, self.folder / "orthanc.json"], stdout=log, stderr=log, cwd=self.folder
            )
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self.get("/system")
            except urllib.error.URLError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError((self.folder / "orthanc.log").read_text()[-2000:])

    def kill(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return json.load(answer)

    def post(self, path, content):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        request = urllib.request.Request(self.url + path, data, method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def instances(self, study_uid, modality=None):
        """SOP Instance UIDs of a study, of one modality if it is given."""
        query = {"StudyInstanceUID": study_uid}
        if modality:
            query["Modality"] = modality
        wanted = {"Level": "Instance", "Expand": True, "Query": query}
        found = self.post("/tools/find", wanted)
        return {one["MainDicomTags"]["SOPInstanceUID"] for one in found}

    def send(self, study_uid, modality, **more):
        """Send a study to a configured modality, as a person would."""
        query = {"Level": "Study", "Query": {"StudyInstanceUID": study_uid}}
        resources = self.post("/tools/find", query)
        return self.post(f"/modalities/{modality}/store", {"Resources": resources, **more})


@contextmanager
def running(folder, modalities, ports=None):
    """Run Orthanc with its DICOMweb plugin, or skip where they are not installed.

    Args:
        folder: For its files.
        modalities: Those that it knows.
        ports: For DIMSE and HTTP; free ones unless they are given.
    """
    plugin = next((path for path in PLUGINS if path.exists()), None)
    if not PROGRAM.exists() or plugin is None:
        pytest.skip("no Orthanc here (Debian: apt install orthanc orthanc-dicomweb)")
    archive = Orthanc(folder, plugin, modalities, ports)
    archive.start()
    try:
        yield archive
    finally:
        archive.kill()
