"""The plugin, both executables of it, and ipamd: tokens, TLS and client certificates from end to end."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.api.access.conftest import Caller, token_file
from tests.cni.authority import Authority
from tests.cni.executable import Plugin
from tests.node_executable import plugins
from tests.service import IpamdProcess
from tests.tls_service import ADMIN, serving_tls

NODE = "node-a"  # whom the plugin of these tests calls itself


@pytest.fixture(scope="module")
def lasting_ipamd(authority: Authority) -> Iterator[IpamdProcess]:
    """A service with TLS, client certificates and an admin token of its own."""
    with serving_tls(authority, "10.0.0.0/24") as process:
        yield process


@pytest.fixture
def admin(lasting_ipamd: IpamdProcess) -> Iterator[Caller]:
    caller = Caller(lasting_ipamd, ADMIN)
    yield caller
    for item in caller.get("/v1/allocations").json()["items"]:
        caller.ask("DELETE", f"/v1/allocations/{item['id']}")


@pytest.fixture(params=list(plugins().values()), ids=list(plugins()))
def plugin(request: pytest.FixtureRequest, scratch: Path, lasting_ipamd: IpamdProcess) -> Plugin:
    return Plugin((str(request.param),), scratch / "state", f"https://127.0.0.1:{lasting_ipamd.port}")


def takes_and_frees(plugin: Plugin, admin: Caller, config: dict[str, Any]) -> bool:
    """Whether an ADD, a CHECK and a DEL do what they are for; every one of them is answered."""
    added = plugin.call("ADD", config)
    if added.code != 0:
        assert added.error["code"] == 105
        return False
    checked = plugin.call("CHECK", {**config, "prevResult": added.json})
    between = admin.get("/v1/allocations").json()["items"]
    deleted = plugin.call("DEL", config)
    assert [item["node"] for item in between] == [NODE]
    assert admin.get("/v1/allocations").json()["items"] == []
    assert plugin.waiting() == []
    return (checked.code, deleted.code) == (0, 0)


def test_a_token_of_its_node_over_tls(
    plugin: Plugin, admin: Caller, authority: Authority, scratch: Path
) -> None:
    _, text = admin.token_for("node", cluster="default", node=NODE)
    config = plugin.config(tokenFile=str(token_file(scratch, text)), caFile=str(authority.ca))

    assert takes_and_frees(plugin, admin, config)


def test_a_token_of_its_node_over_the_socket(
    plugin: Plugin, admin: Caller, lasting_ipamd: IpamdProcess, scratch: Path
) -> None:
    _, text = admin.token_for("node", cluster="default", node=NODE)
    config = plugin.config(tokenFile=str(token_file(scratch, text)), endpoint=lasting_ipamd.endpoint)

    assert takes_and_frees(plugin, admin, config)


def test_a_client_certificate_of_its_node(plugin: Plugin, admin: Caller, authority: Authority) -> None:
    certificate, key = authority.issue("own", f"/O=default/CN={NODE}", f"DNS:{NODE}")
    config = plugin.config(caFile=str(authority.ca), certFile=str(certificate), keyFile=str(key))

    assert takes_and_frees(plugin, admin, config)


def test_what_proves_another_node_is_refused_with_code_105(
    plugin: Plugin, admin: Caller, authority: Authority, scratch: Path
) -> None:
    certificate, key = authority.issue("other", "/O=default/CN=node-b", "DNS:node-b")
    _, of_another = admin.token_for("node", cluster="default", node="node-b")
    _, of_a_reader = admin.token_for("reader")

    for credentials in (
        {},
        {"certFile": str(certificate), "keyFile": str(key)},
        {"tokenFile": str(token_file(scratch, of_another, "another"))},
        {"tokenFile": str(token_file(scratch, of_a_reader, "reader"))},
        {"tokenFile": str(token_file(scratch, "ipamd_" + "B" * 43, "unknown"))},
    ):
        config = plugin.config(caFile=str(authority.ca), **credentials)
        assert not takes_and_frees(plugin, admin, config), credentials

    assert admin.get("/v1/history", params={"node": NODE, "cluster": "nowhere"}).json()["items"] == []
    assert admin.get("/v1/allocations").json()["items"] == []


def test_a_release_that_was_refused_waits_until_the_node_has_its_token(
    plugin: Plugin, admin: Caller, authority: Authority, scratch: Path
) -> None:
    number, text = admin.token_for("node", cluster="default", node=NODE)
    file = token_file(scratch, text)
    config = plugin.config(tokenFile=str(file), caFile=str(authority.ca))
    assert plugin.call("ADD", config).code == 0
    admin.ask("DELETE", f"/v1/tokens/{number}")

    deleted = plugin.call("DEL", config)
    waited = len(plugin.waiting())
    file.write_text(admin.token_for("node", cluster="default", node=NODE)[1])
    for _ in range(50):  # a call gives its spool a fifth of a second, which a busy machine may not have
        plugin.call("STATUS", {**config, "cniVersion": "1.1.0"})
        if not plugin.waiting():
            break

    assert (deleted.code, deleted.stdout, waited) == (0, b"", 1)
    assert plugin.waiting() == []
    assert admin.get("/v1/allocations").json()["items"] == []


def test_a_node_that_joined_serves_its_pods_with_the_token_it_got(
    plugin: Plugin, admin: Caller, authority: Authority, scratch: Path
) -> None:
    admin.ask("DELETE", f"/v1/nodes/default/{NODE}")
    joiner = Caller(admin.service, admin.token_for("join", cluster="default")[1])
    body = {"node": NODE, "proof": sha256(b"the node's secret").hexdigest()}

    made = joiner.post("/v1/nodes/join", body)
    config = plugin.config(tokenFile=str(token_file(scratch, made.json()["token"])), caFile=str(authority.ca))

    assert made.status_code == 201
    assert takes_and_frees(plugin, admin, config)
