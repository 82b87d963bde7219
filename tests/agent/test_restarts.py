"""A thousand pods come while the agent is restarted ten times under them."""

from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_interface

import pytest

from tests.agent.process import AgentProcess
from tests.api.access.conftest import Caller
from tests.cni.executable import Finished
from tests.waiting import eventually

PODS, RESTARTS, AT_ONCE = 1000, 10, 8


@pytest.mark.faults
def test_each_of_a_thousand_adds_ends_with_an_address_or_code_11_and_nothing_leaks(
    agent: AgentProcess, admin: Caller
) -> None:
    plugin = agent.plugin()
    config = plugin.config(timeout=3)

    def add(number: int) -> Finished:
        return plugin.call("ADD", config, CNI_CONTAINERID=f"c{number}")

    with ThreadPoolExecutor(AT_ONCE) as runtimes:
        calls = [runtimes.submit(add, number) for number in range(PODS)]
        for turn in range(1, RESTARTS + 1):
            calls[turn * PODS // (RESTARTS + 1)].result()
            agent.kill() if turn % 2 else agent.stop()
            agent.start()
        ended = [call.result() for call in calls]
    eventually(lambda: plugin.waiting() == [])

    given = {number: done.json for number, done in enumerate(ended) if done.code == 0}
    assert [done.error["code"] for done in ended if done.code != 0] == [11] * (PODS - len(given))
    told = {f"c{number}": result["ips"][0]["address"] for number, result in given.items()}
    assert len(set(told.values())) == len(told)
    assert held_by(admin) == {container: str(ip_interface(text).ip) for container, text in told.items()}
    assert len(given) > PODS // 2


def held_by(admin: Caller) -> dict[str, str]:
    """Who holds what, over all pages."""
    found: dict[str, str] = {}
    cursor = None
    while True:
        query = {"limit": 500} if cursor is None else {"limit": 500, "cursor": cursor}
        page = admin.get("/v1/allocations", params=query).json()
        found |= {item["container_id"]: item["address"].partition("/")[0] for item in page["items"]}
        cursor = page["next"]
        if cursor is None:
            return found
