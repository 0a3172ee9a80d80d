"""A server within the test's process, and scans to send to it."""

import gzip
import io
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
from fastapi.testclient import TestClient

from renalseg.postprocess import Cleaning
from renalseg.segmentation import Segmentation
from renalseg.web.app import create_app
from renalseg.web.identity import CSRF_HEADER
from renalseg.web.job import Engine
from renalseg.web.settings import Limits, Settings

IPL = np.array([[0, 0, -3.0, 60], [0, -3.0, 0, 50], [-4.0, 0, 0, 40], [0, 0, 0, 1.0]])
SHAPE = (24, 40, 60)
BASE = "http://localhost:8765"


class Fake:
    """Finds two kidneys, one with a tumor, in whatever is bright; and takes its time."""

    def __init__(self, seconds=0.0, tiles=4):
        self.seconds, self.tiles = seconds, tiles
        self.seen = []

    def segment(self, volume, source, *, on_tile, cancel, uncertainty):
        from renalseg.errors import CancelledError

        self.seen.append(source)
        for done in range(self.tiles):
            if cancel.is_set():
                raise CancelledError("cancelled")
            on_tile(done, self.tiles)
            time.sleep(self.seconds / self.tiles)
        labels = found_in(volume.array)
        entropy = volume.like((labels > 0).astype(np.float32) / 2) if uncertainty else None
        return Segmentation(volume.like(labels), ("fake",), entropy=entropy)


def found_in(array):
    """What ``Fake`` finds: brightness says the label."""
    return np.select([array > 250, array > 150], [2, 1], 0).astype(np.uint8)


def make_ct(seed=0):
    """Two bright kidneys with a brighter tumor, and one speck far from any kidney."""
    array = np.random.RandomState(seed).normal(0, 10, SHAPE).astype(np.int16)
    array[:, 0] = -1000
    array[4:20, 10:28, 6:18] = 200
    array[4:20, 10:28, 42:54] = 200
    array[8:13, 12:18, 8:13] = 300
    array[1:3, 34:37, 28:31] = 300
    return array


def nifti(array=None, affine=IPL, seed=0, filler=b"", packed=True):
    """A NIfTI file's bytes; filler makes it longer."""
    image = nibabel.Nifti1Image(make_ct(seed) if array is None else array, affine)
    if filler:
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", filler))
    return gzip.compress(image.to_bytes(), 1) if packed else image.to_bytes()


def zipped(files, **more):
    """A zip's bytes; files by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **more) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@contextmanager
def running(data, fake=None, *, cleaning=None, **more):
    """A server's client; the server begins with it and ends with it."""
    fake = fake or Fake()
    settings = Settings(model=Path("model"), data=data, **more)
    settings = replace(settings, limits=replace(settings.limits, reserve_mb=0))
    cleaning, diameter = cleaning or Cleaning(), settings.diameter
    app = create_app(settings, lambda profile: Engine(fake, cleaning, diameter=diameter))
    with TestClient(app, base_url=BASE, client=("127.0.0.1", 50000)) as client:
        client.fake = fake
        if settings.is_open:
            login(client)
        yield client


def login(client, token=None):
    """Let a client in; it then sends what its requests need."""
    if token is not None:
        client.headers["Authorization"] = f"Bearer {token}"
    client.headers[CSRF_HEADER] = client.get("/api/session").json()["csrf"]
    return client


def create(client, name="scan", **options):
    answer = client.post("/api/studies", json={"name": name, "options": options})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def put(client, study, path="scan.nii.gz", content=None):
    content = nifti() if content is None else content
    return client.put(f"/api/studies/{study}/files", params={"path": path}, content=content)


def start(client, study):
    return client.post(f"/api/studies/{study}/start")


def wait(client, study, *states, seconds=20):
    """Wait until a study is in one of the states; done unless they are given."""
    states = states or ("done",)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = client.get(f"/api/studies/{study}").json()
        if found["state"] in states:
            return found
        if found["state"] == "failed":
            raise AssertionError(found["problem"])
        time.sleep(0.02)
    raise AssertionError(f"still {found['state']} after {seconds} s, expected {states}")


def finished(client, name="scan", path="scan.nii.gz", content=None, **options):
    """Send a scan and wait until it is done."""
    study = create(client, name, **options)
    assert put(client, study, path, content).status_code == 200
    assert start(client, study).status_code == 202
    return wait(client, study)


def read_nifti(answer):
    """The voxels of an answer, as the file stores them."""
    assert answer.status_code == 200, answer.text
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(answer.content))
    return np.asarray(image.dataobj), image.affine


@contextmanager
def process(data, *, seconds=0.0, tokens=None):
    """A server in a process of its own, whose model is ``Fake``; gives it and its address."""
    command = [sys.executable, __file__, str(data), str(seconds), str(tokens or "")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child, child.stdout.readline().strip()
        finally:
            child.kill()


def main(data, seconds, tokens):
    from renalseg.web.serve import serve
    from renalseg.web.tokens import Tokens

    settings = Settings(
        model=Path("model"),
        data=Path(data),
        port=0,
        tokens=Tokens.read(Path(tokens)) if tokens else Tokens(),
        limits=Limits(reserve_mb=0),
    )
    engine = Engine(Fake(float(seconds), tiles=4 + int(float(seconds) * 20)), Cleaning())
    serve(settings, lambda url: print(url, flush=True), load=lambda profile: engine)


if __name__ == "__main__":
    main(*sys.argv[1:])
