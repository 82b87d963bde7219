"""ipamd-veth gives out its node's leases in its own process: nobody answers at ipamd's sockets."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from ipam_plugin.leases import layout
from tests.lease_store import NODE, LeaseStore, key_of
from tests.network.namespace import Host, Namespace
from tests.veth.executable import MainPlugin


@dataclass(frozen=True)
class OnRun:
    """A host that has a folder in the place of /run; names of network namespaces stay."""

    host: Host
    run: Path

    def prefix(self) -> list[str]:
        run = shlex.quote(str(self.run))
        mount = f'mount --rbind /run/netns {run}/netns && mount --rbind {run} /run && exec "$@"'
        return [*self.host.prefix(), "unshare", "--mount", "sh", "-c", mount, "sh"]


@pytest.fixture
def plugin(plugin: MainPlugin, scratch: Path) -> MainPlugin:
    """The plugin of a node with a folder for leases."""
    (scratch / "run" / "netns").mkdir(parents=True)
    section = {"type": "ipamd-ipam", "node": NODE, "stateDir": str(scratch / "state"), "timeout": 1}
    plugin.network["ipam"] = section
    plugin.node = OnRun(plugin.node, scratch / "run")
    return plugin


@pytest.fixture
def store(plugin: MainPlugin, scratch: Path) -> LeaseStore:
    """A store with the seats 7 and 8."""
    made = LeaseStore(scratch / "run" / "ipamd" / "leases" / "store")
    made.fill(key_of(plugin.network), [7, 8])
    return made


def test_a_container_gets_the_addresses_of_a_seat_and_gives_them_back(
    plugin: MainPlugin, store: LeaseStore, container: Namespace
) -> None:
    result = plugin.add()

    assert [entry["address"].partition("/")[0] for entry in result["ips"]] == ["10.9.0.7"]
    assert {address.partition("/")[0] for address in container.addresses("eth0")} == {"10.9.0.7"}
    checked = plugin.call("CHECK", plugin.config(prevResult=result))
    assert checked.code == 0, checked
    ended = plugin.call("DEL")
    assert (ended.code, ended.stderr) == (0, b"")
    assert store.states() == {7: layout.FREE, 8: layout.FREE}
    assert store.kinds() == [("begin", 7), ("end", 7)]


def test_a_seat_is_free_again_if_the_interface_cannot_be_set_up(
    plugin: MainPlugin, scratch: Path, container: Namespace
) -> None:
    store = LeaseStore(scratch / "run" / "ipamd" / "leases" / "store")
    gateway = "fe80::1"  # of another family than the route: no kernel takes it
    answer = {
        "cniVersion": "1.0.0",
        "ips": [{"address": "10.9.0.7/24", "gateway": "10.9.0.1"}],
        "routes": [{"dst": "10.20.0.0/16", "gw": gateway}],
    }
    store.fill_with(key_of(plugin.network), {7: json.dumps(answer).encode()})

    ended = plugin.call("ADD")

    assert ended.code == 1, ended
    assert not container.has_interface("eth0")
    assert store.states() == {7: layout.FREE}
    assert [event.get("ending") for event in store.events()] == [None, "released"]
    assert not [*scratch.glob("state/spool/*.json")]
