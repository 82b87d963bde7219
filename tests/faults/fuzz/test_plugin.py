"""Whatever a runtime hands the plugin, it ends as CNI demands, and what it refuses takes nothing."""

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.cni.executable import Finished, Plugin, executables
from tests.cni.node import Node
from tests.faults.fuzz.conftest import Target
from tests.faults.fuzz.strange import nearly_json, texts
from tests.service import scratch_folder

CONFIG: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "pods",
    "type": "bridge",
    "ipam": {
        "type": "ipamd-ipam",
        "pools": [["pods"], ["pods-v6"]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "timeout": 5,
    },
    "runtimeConfig": {"ips": ["10.0.0.77"]},
    "args": {"cni": {"ips": ["10.0.0.77"]}},
    "prevResult": {"cniVersion": "1.1.0", "ips": [{"address": "10.0.0.77/12"}]},
    "cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}],
}
PLAIN: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "ipam": {"type": "ipamd-ipam", "pools": ["pods"]},
}
VARIABLES = [
    "CNI_COMMAND",
    "CNI_CONTAINERID",
    "CNI_NETNS",
    "CNI_IFNAME",
    "CNI_ARGS",
    "CNI_PATH",
    "NODE_NAME",
    "TRACEPARENT",
    "TRACESTATE",
    "BAGGAGE",
    "CNI_NETNS_OVERRIDE",
    "PYTHONPATH",
    "HTTP_PROXY",
    "http_proxy",
    "LANG",
]

# A variable holds any bytes but NUL; surrogates stand for those that are no UTF-8.
given_values = (some.binary(max_size=40) | texts.map(lambda text: text.encode(errors="replace"))).map(
    lambda raw: os.fsdecode(raw.replace(b"\0", b""))
)


@pytest.fixture(scope="module", params=list(executables().values()), ids=list(executables()))
def plugin(request: pytest.FixtureRequest, target: Target) -> Iterator[Plugin]:
    """The plugin on a node of which node.json says whom to ask, and without a network."""
    with scratch_folder() as folder:
        node = Node(folder / "etc")
        node.set_node_json(
            {"endpoint": target.service.endpoint, "node": "node-a", "stateDir": str(folder / "state")}
        )
        yield Plugin(request.param, folder / "state", "", before=(*node.before, "unshare", "--net"))
        assert not list((folder / "state" / "spool").glob("[!.]*.json"))


def end_as_cni_demands(finished: Finished) -> None:
    """Raise unless a call ended with nothing, a result, or an error object."""
    assert b"Traceback" not in finished.stderr, finished
    assert finished.code in (0, 1), finished
    if finished.code == 1:
        assert isinstance(finished.error["code"], int), finished
    elif finished.stdout:
        assert isinstance(finished.json, dict), finished


@given(
    verb=some.sampled_from(["ADD", "ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"]),
    stdin=nearly_json(CONFIG) | nearly_json(PLAIN) | some.just(json.dumps(PLAIN).encode()),
    variables=some.dictionaries(some.sampled_from(VARIABLES), some.none() | given_values, max_size=2),
)
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_call_ends_as_cni_demands_and_takes_nothing_where_it_is_refused(
    target: Target, plugin: Plugin, verb: str, stdin: bytes, variables: dict[str, str | None]
) -> None:
    before = target.given_away()

    finished = plugin.call(verb, stdin, **variables)

    end_as_cni_demands(finished)
    if finished.code == 1:
        assert target.given_away() == before, finished
