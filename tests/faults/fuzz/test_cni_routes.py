"""Whatever comes to the plugin's routes is carried out or refused in words; what is refused takes nothing."""

import json
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from ipamd.cni.version import VERSIONS
from tests.api.plugin_call import call, issued
from tests.faults.fuzz.conftest import Target
from tests.faults.fuzz.strange import nearly_json

RIGHT = call(
    ipam={"pools": [["pods"], ["pods-v6"]], "routes": [{"dst": "0.0.0.0/0"}]},
    config={
        "runtimeConfig": {"ips": ["10.0.0.77"]},
        "args": {"cni": {"ips": ["10.0.0.77"]}},
        "prevResult": {"cniVersion": "1.1.0", "ips": [{"address": "10.0.0.77/12"}]},
        "cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}],
    },
    args="IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0",
    issued=issued(7),
    delivered=issued(9),
    undo=False,
    spooled=0,
)
PLAIN = call("c2", ipam={"pools": ["pods"]})
ANSWERS = {"add": httpx.codes.OK}  # where it is a yes: the other verbs say nothing


@given(
    verb=some.sampled_from(["add", "add", "del", "check", "gc", "status"]),
    body=nearly_json(RIGHT) | nearly_json(PLAIN),
)
@settings(max_examples=250, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_call_is_carried_out_or_refused_in_words_and_takes_nothing(
    target: Target, verb: str, body: bytes
) -> None:
    before = target.given_away()

    answer = target.service.http.post(
        f"/v1/cni/{verb}", content=body, headers={"Content-Type": "application/json"}
    )

    if answer.is_success:
        assert answer.status_code == ANSWERS.get(verb, httpx.codes.NO_CONTENT)
        return
    assert answer.status_code < 500 or answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    error: dict[str, Any] = json.loads(answer.content)
    assert isinstance(error["code"], int)
    assert error["code"] not in (0, 999)
    assert error["msg"]
    assert error["cniVersion"] in VERSIONS
    assert target.given_away() == before
