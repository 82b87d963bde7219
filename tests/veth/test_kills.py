"""200 ADDs and DELs at once, killed at random moments: what is left is exactly what the living have."""

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.network.conftest import ipam_section
from tests.network.namespace import MakeNamespace, Namespace
from tests.service import IpamdProcess
from tests.veth.beyond import answers, everything, wire
from tests.veth.executable import Document, MainPlugin

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

CALLS, AT_ONCE = 200, 8
KILLED = 0.4
TRIES = 20


@pytest.fixture(params=["routed", "bridge"])
def mode(request: pytest.FixtureRequest) -> Document:
    bridge = {"mode": "bridge", "isDefaultGateway": True, "macspoofchk": True, "hairpinMode": True}
    kinds: dict[str, Document] = {"routed": {}, "bridge": bridge}
    return {**kinds[request.param], "ipMasq": True}


@pytest.fixture
def service(lasting_ipamd: IpamdProcess) -> IpamdProcess:
    lasting_ipamd.empty()
    lasting_ipamd.create_pool("v4", "10.64.0.0/24", routes=[{"dst": "0.0.0.0/0"}], cooldown=0)
    lasting_ipamd.create_pool("v6", "fd00:64::/64", routes=[{"dst": "::/0"}], cooldown=0)
    return lasting_ipamd


@pytest.fixture
def plugin(
    service: IpamdProcess, plugin: MainPlugin, node: Namespace, make_namespace: MakeNamespace, scratch: Path
) -> MainPlugin:
    wire(node, make_namespace("beyond"))
    plugin.network["ipam"] = ipam_section(service, scratch, ["v4", "v6"])
    return plugin


@dataclass
class Runtime:
    """Calls the plugin for one place in which container follows container, and kills it at times."""

    plugin: MainPlugin
    place: Namespace
    chance: random.Random
    longest: float
    calls: int = 0
    names: int = 0
    living: dict[str, Document] = field(default_factory=dict)

    def work(self, calls: int) -> None:
        while self.calls < calls:
            self.names += 1
            name = f"{self.place.name}-{self.names}"
            result = self._call("ADD", name)
            if result is not None:
                self.living[name] = result
                if self.calls >= calls - 1:
                    return
            self.end(name)

    def end(self, name: str) -> None:
        """Call DEL until it succeeds, as a runtime does; after a time it has lost the namespace."""
        for _ in range(TRIES):
            if self._call("DEL", name) is not None:
                self.living.pop(name, None)
                return
        raise AssertionError(f"{name} does not end")

    def _call(self, verb: str, name: str) -> Document | None:
        """The result, None where the plugin was killed or refused."""
        self.calls += 1
        netns = str(self.place.path) if verb == "ADD" or self.chance.random() < 0.5 else ""
        process = self.plugin.start(verb, CNI_CONTAINERID=name, CNI_NETNS=netns)
        if self.chance.random() < KILLED:
            time.sleep(self.chance.random() * self.longest)
            process.kill()
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode in (0, -9), (verb, name, stdout, stderr)
        if process.returncode != 0:
            return None
        result: Document = json.loads(stdout or b"{}")
        return result


def held(results: dict[str, Document]) -> set[str]:
    return {each["address"].split("/")[0] for one in results.values() for each in one["ips"]}


def settled(service: IpamdProcess, plugin: MainPlugin, wanted: set[str]) -> set[str]:
    """What ipamd holds, once what waits on the node is delivered."""
    for _ in range(TRIES):
        if service.addresses() == wanted:
            break
        plugin.call("STATUS", plugin.config(cniVersion="1.1.0"))
    return service.addresses()


def test_calls_that_are_killed_leave_what_the_living_have(
    plugin: MainPlugin,
    service: IpamdProcess,
    node: Namespace,
    container: Namespace,
    make_namespace: MakeNamespace,
) -> None:
    chance = random.Random()
    begin = time.monotonic()
    plugin.add()  # it makes what the node has once
    longest = AT_ONCE * (time.monotonic() - begin)
    empty = make_namespace("empty")
    before, inside = everything(node), everything(empty)
    places = [make_namespace(f"place-{number}") for number in range(AT_ONCE)]
    runtimes = [Runtime(plugin, place, random.Random(chance.random()), longest) for place in places]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda each: each.work(CALLS // AT_ONCE), runtimes))

    living = {name: result for each in runtimes for name, result in each.living.items()}
    own = plugin.container["CNI_CONTAINERID"]
    first = service.addresses(container_id=own)
    assert settled(service, plugin, held(living) | first) == held(living) | first
    sides = {one["name"] for result in living.values() for one in result["interfaces"][-2:-1]}
    there = everything(node)
    assert {name for name, _ in there["links"]} - {name for name, _ in before["links"]} == sides
    led = {dst for dst, device in there["routes"] if device in sides}
    assert led == (set() if "mode" in plugin.network else held(living))
    assert {device for _, device, _ in there["neighbours"]} >= (sides if led else set())
    assert len(there["sets"]["veth_macs"]) == (len(living) + 1 if "mode" in plugin.network else 0)
    for each in runtimes:
        if not each.living:
            assert everything(each.place) == inside
    for address in held(living):
        assert answers(node, address), address

    for each in runtimes:
        each.calls = 0
        for name in list(each.living):
            each.end(name)
    assert everything(node) == before
    assert [everything(place) for place in places] == [inside] * len(places)
    assert settled(service, plugin, first) == first
