"""DEL goes on as soon as both ends of a pair are gone. If nobody removes them for it, it does so itself."""

from pathlib import Path

import pytest

from tests.network.namespace import Namespace
from tests.veth.beyond import everything
from tests.veth.executable import MainPlugin
from tests.veth.injecting import Injecting
from tests.veth.ipam import ThirdParty

FORKS = "fork,vfork,clone,clone3"


@pytest.fixture
def injecting(plugin: MainPlugin, third_party: ThirdParty, scratch: Path) -> Injecting:
    plugin.add()
    plugin.call("DEL")  # what the first container brings for all: the bridge
    return Injecting(plugin, scratch, follows=True)


def test_both_ends_are_gone_before_the_addresses_are_given_back(
    plugin: MainPlugin, third_party: ThirdParty, node: Namespace, container: Namespace, scratch: Path
) -> None:
    result = plugin.add()
    [host_side] = [one["name"] for one in result["interfaces"] if one["name"].startswith("ipamd")]
    seen = scratch / "seen"
    shows = "ip -o link show"
    third_party.runs("DEL", f"{shows} > {seen}; {' '.join(container.prefix())} {shows} >> {seen}")

    assert plugin.call("DEL").code == 0

    assert "lo:" in seen.read_text()
    assert host_side not in seen.read_text()
    assert "eth0" not in seen.read_text()


def test_del_does_not_wait_until_the_kernel_has_answered(plugin: MainPlugin, injecting: Injecting) -> None:
    plugin.add()
    injecting.at("sendto", "delay_exit=1000000", 1)  # of each process

    assert plugin.call("DEL").code == 0

    calls = [line.split(maxsplit=1) for line in injecting.log.splitlines()]
    own = calls[0][0]
    [other] = {process for process, call in calls if call.startswith("sendto(")} - {own}
    ends = [process for process, call in calls if call.startswith("exit_group") and process in (own, other)]
    assert ends == [own, other]


@pytest.mark.parametrize(
    ("call", "what"),
    [
        pytest.param(FORKS, "error=EAGAIN", id="no process can be made"),
        pytest.param("close_range", "signal=KILL", id="the process is killed before it asks"),
    ],
)
def test_del_removes_the_pair_itself_where_no_other_process_does(
    plugin: MainPlugin,
    injecting: Injecting,
    node: Namespace,
    container: Namespace,
    call: str,
    what: str,
) -> None:
    before = everything(node), everything(container)
    plugin.add()
    injecting.at(call, what, 1)

    ended = plugin.call("DEL", plugin.config(ipam=None))  # which would be another process

    assert ended.code == 0, ended
    assert (everything(node), everything(container)) == before
