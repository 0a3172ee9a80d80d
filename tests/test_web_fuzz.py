"""The interface against its own description: made-up requests, each answered as it says."""

import itertools
import json

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from renalseg.web.api import router
from renalseg.web.identity import CSRF_HEADER
from soak import rounds
from web_server import create, finished, process

ENDLESS = "/api/events"
#: Those that take nothing have nothing that could be wrong.
PLAIN = [("/health", "GET"), ("/metrics", "GET"), ("/api/session", "GET"), ("/api/studies", "GET")]
OTHERS = [
    (route.path, method)
    for route in router.routes
    for method in sorted(route.methods)
    if route.path != ENDLESS and (route.path, method) not in PLAIN
]
OTHERS.sort(key=lambda one: one[1] == "DELETE")  # studies are needed until then
RIGHT, WRONG = GenerationMode.POSITIVE, GenerationMode.NEGATIVE


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Its description, a client, and two studies: one that was begun and one that is done."""
    with (
        process(tmp_path_factory.mktemp("fuzz") / "data") as (_, url),
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        client.headers[CSRF_HEADER] = client.get("api/session").json()["csrf"]
        studies = [create(client), finished(client, uncertainty=True)["id"]]
        yield schemathesis.openapi.from_url(f"{url}openapi.json"), client, studies


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [(*one, RIGHT) for one in PLAIN + OTHERS] + [(*one, WRONG) for one in OTHERS],
)
def test_every_answer_is_one_that_is_described(server, path, method, mode):
    schema, client, studies = server
    operation = schema[path][method]
    turn = itertools.count()
    seen = set()

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=rounds(12, 4),
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def answers(case):
        now = next(turn)
        if "{identifier}" in path and now % 3 and mode is RIGHT:
            case.path_parameters["identifier"] = studies[now % 2]
        answer = case.call_and_validate(
            headers={CSRF_HEADER: client.headers[CSRF_HEADER]},
            excluded_checks=[positive_data_acceptance] if method in ("PUT", "POST") else [],
        )
        seen.add(answer.status_code)
        if answer.status_code >= 400:
            detail = json.loads(answer.content)["detail"]
            assert detail
            assert "\n" not in detail

    answers()
    assert seen
