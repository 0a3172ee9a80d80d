"""A hundred scans sent at once by ten users, to a server that is killed in the middle."""

import asyncio
import signal
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from web_server import found_in, make_ct, nifti, process, read_nifti

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is read from Linux"),
]

SCANS, USERS = 100, 10
TOKENS = {f"user{n}": f"a-token-for-user-number-{n}" for n in range(USERS)}
#: What the server takes without a network. A hundred of these files would be more.
MOST_GB = 0.45
FILE_BYTES = 5_000_000


@pytest.fixture
def tokens(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("".join(f"{user}: {token}\n" for user, token in TOKENS.items()))
    return path


def as_user(user):
    return {"Authorization": f"Bearer {TOKENS[user]}"}


async def send_all(url, bodies):
    """Send all at the same time; gives users and studies."""
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:

        async def send(number, body):
            user = f"user{number % USERS}"

            async def ask(method, path, **more):
                return (
                    await client.request(method, path, headers=as_user(user), **more)
                ).raise_for_status()

            study = (await ask("POST", "api/studies", json={"name": str(number)})).json()["id"]
            await ask("PUT", f"api/studies/{study}/files?path=scan.nii", content=body)
            await ask("POST", f"api/studies/{study}/start")
            return user, study

        return await asyncio.gather(*(send(n, body) for n, body in enumerate(bodies)))


def states(url):
    found = {}
    for user in TOKENS:
        answer = httpx.get(f"{url}api/studies", headers=as_user(user), timeout=60)
        found |= {study["id"]: study["state"] for study in answer.raise_for_status().json()}
    return found


def wait(url, least):
    """Wait until so many are done; gives all states."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        found = states(url)
        assert "failed" not in found.values()
        if list(found.values()).count("done") >= least:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{list(found.values()).count('done')} of {least} done")


def peak_gb(child):
    lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e9 for line in lines if line.startswith("VmHWM"))


def test_a_hundred_scans_of_ten_users_outlive_the_server(tmp_path, tokens):
    filler = np.random.RandomState(0).bytes(FILE_BYTES)
    arrays = [np.minimum(make_ct(number), 200) for number in range(SCANS)]  # no tumor: quick
    bodies = [nifti(array, filler=filler, packed=False) for array in arrays]
    assert sum(map(len, bodies)) / 1e9 > MOST_GB
    with process(tmp_path / "data", tokens=tokens) as (child, url):
        sent = asyncio.run(send_all(url, bodies))
        before = wait(url, SCANS // 4)
        assert len(before) == SCANS
        assert "queued" in before.values()
        assert peak_gb(child) < MOST_GB
        child.send_signal(signal.SIGKILL)
        child.wait()
    with process(tmp_path / "data", tokens=tokens) as (child, url):
        assert set(wait(url, SCANS)) == {study for _, study in sent}
        assert peak_gb(child) < MOST_GB
        for number, (user, study) in enumerate(sent):
            address = f"{url}api/studies/{study}/masks/raw.nii.gz"
            array, _ = read_nifti(httpx.get(address, headers=as_user(user)))
            assert np.array_equal(array, found_in(arrays[number]))


def test_a_stopped_server_ends_at_once_and_goes_on_later(tmp_path, tokens):
    with process(tmp_path / "data", seconds=60, tokens=tokens) as (child, url):
        asyncio.run(send_all(url, [nifti(packed=False)]))
        while "running" not in states(url).values():
            time.sleep(0.05)
        with httpx.stream("GET", f"{url}api/events", headers=as_user("user0")) as events:
            next(events.iter_lines())
            child.send_signal(signal.SIGTERM)
            assert child.wait(10) is not None
    with process(tmp_path / "data", tokens=tokens) as (_, url):
        wait(url, 1)
