"""A hundred scans sent at once by ten users, to a server that is killed in the middle.

Every scan must be queued, finished and right, users must take turns, and the server's memory must
stay below the bound that docs/serve.md states. Scans are small in long files and the model is tiny
and untrained: this measures the server, not the network. Runs on Linux.

    python benchmarks/bench_serve.py [--scans 100] [--users 10] [--json FILE]
"""

import argparse
import asyncio
import gzip
import json
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import nibabel
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

AFFINE = np.array([[0, 0, -3.0, 60], [0, -3.0, 0, 50], [-4.0, 0, 0, 40], [0, 0, 0, 1.0]])
SHAPE = (12, 20, 22)
#: Each file is so long that all of them would not fit the bound.
FILLER_BYTES = 5_000_000
SERVE = "import typer; from renalseg.cli.serve import command; typer.run(command)"
DONE = {"done", "failed"}
#: What the server takes beside its predictions, in 10^9 bytes: see docs/serve.md.
OWN_GB = 0.3


def main() -> None:
    """Send, kill, start again, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=100)
    parser.add_argument("--users", type=int, default=10)
    parser.add_argument("--json", type=Path, metavar="FILE", help="Also write the figures here.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), arguments.scans, arguments.users)
    for name, value in found.items():
        print(f"{name:24} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    if found["wrong"] or found["peak_gb"] > found["bound_gb"]:
        sys.exit("a scan was lost or wrong, or the memory exceeded its bound")


def run(folder: Path, scans: int, users: int) -> dict:
    """The whole story; gives its figures."""
    from models import write_model
    from renalseg.batch import Options
    from renalseg.volume import read_image

    model = write_model(folder / "model", folds=(0,))
    tokens = {f"user{n}": f"a-token-for-user-number-{n}" for n in range(users)}
    (folder / "tokens").write_text("".join(f"{u}: {t}\n" for u, t in tokens.items()))
    bodies = [scan(number) for number in range(scans)]
    peaks = []
    began = time.perf_counter()
    with server(folder, model) as (process, url):
        studies = asyncio.run(send_all(url, tokens, bodies))
        sent_s = time.perf_counter() - began
        before = wait(url, tokens, studies, scans // 2)
        peaks.append(peak_gb(process))
        process.send_signal(signal.SIGKILL)
        process.wait()
    restarted = time.perf_counter()
    with server(folder, model) as (process, url):
        wait(url, tokens, studies, scans)
        all_s = time.perf_counter() - began
        peaks.append(peak_gb(process))
        segmenter = Options(model, clean=False).load()
        (folder / "scan.nii").write_bytes(bodies[0])
        volume = read_image(folder / "scan.nii")
        wrong = 0
        for number, (user, study) in enumerate(studies):
            (folder / "scan.nii").write_bytes(bodies[number])
            expected = segmenter.predict(folder / "scan.nii").labels.array
            answer = get(url, tokens[user], f"studies/{study}/masks/1.nii.gz")
            image = nibabel.Nifti1Image.from_bytes(gzip.decompress(answer.content))
            wrong += not np.array_equal(np.asarray(image.dataobj), expected)
    return {
        "scans": scans,
        "users": users,
        "sent_s": round(sent_s, 1),
        "done_before_the_kill": before,
        "all_s": round(all_s, 1),
        "after_the_kill_s": round(all_s - (restarted - began), 1),
        "wrong": wrong,
        "peak_gb": max(peaks),
        "bound_gb": round(segmenter.expected_gb(volume) + OWN_GB, 2),
    }


def scan(seed: int) -> bytes:
    """A scan's file; no two are alike."""
    array = np.random.RandomState(seed).normal(40, 150, SHAPE).astype(np.int16)
    array[0] = -1000
    image = nibabel.Nifti1Image(array, AFFINE)
    filler = np.random.RandomState(seed).bytes(FILLER_BYTES)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", filler))
    return image.to_bytes()


@contextmanager
def server(folder: Path, model: Path):
    """A server in a process of its own, and its address."""
    command = [sys.executable, "-c", SERVE, "-m", model, "--data", folder / "data", "--port", "0"]
    command += ["--tokens", folder / "tokens", "--device", "cpu"]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


async def send_all(url: str, tokens: dict[str, str], bodies: list[bytes]) -> list[tuple[str, str]]:
    """Send every scan at the same time, in turn for each user; gives users and studies."""
    users = list(tokens)
    limits = httpx.Limits(max_connections=len(bodies))

    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=300) as client:

        async def send(number: int) -> tuple[str, str]:
            user = users[number % len(users)]
            headers = {"Authorization": f"Bearer {tokens[user]}"}
            study = (
                await client.post("api/studies", json={"name": f"scan {number}"}, headers=headers)
            ).json()["id"]
            place = f"api/studies/{study}"
            sent = await client.put(
                f"{place}/files?path=scan.nii", content=bodies[number], headers=headers
            )
            sent.raise_for_status()
            (await client.post(f"{place}/start", headers=headers)).raise_for_status()
            return user, study

        return await asyncio.gather(*(send(number) for number in range(len(bodies))))


def wait(url: str, tokens: dict[str, str], studies: list[tuple[str, str]], least: int) -> int:
    """Wait until so many are done; none may fail, and none may be lost."""
    while True:
        found = {}
        for token in tokens.values():
            found |= {one["id"]: one["state"] for one in get(url, token, "studies").json()}
        states = [found[study] for _, study in studies]
        if "failed" in states:
            sys.exit("a study failed")
        if states.count("done") >= least:
            return states.count("done")
        time.sleep(0.1)


def get(url: str, token: str, path: str) -> httpx.Response:
    """Ask the server."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{url}api/{path}", headers=headers, timeout=60).raise_for_status()


def peak_gb(process: subprocess.Popen) -> float:
    """The most memory that a process has held, in 10^9 bytes."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return round(int(line.split()[1]) * 1024 / 1e9, 2)
    return 0.0


if __name__ == "__main__":
    main()
