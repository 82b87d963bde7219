"""Censuses over REST: what a node's agent says is dead, and what ipamd frees of it."""

import itertools
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.lease_holder import LeaseHolder
from tests.api.plugin_call import BOOT, call, issued
from tests.service import IpamdProcess, running_service

GRACE = 1

_nodes = itertools.count(1)


@pytest.fixture(scope="module")
def service() -> Iterator[IpamdProcess]:
    """A service that frees what is reported twice within a second."""
    with running_service(None, "--leak-grace", str(GRACE)) as service:
        service.create_pool("pods", "10.0.0.0/16", cooldown=0)
        yield service


class Agent:
    """A node with its containers, as its agent speaks for it."""

    def __init__(self, http: httpx.Client, containers: int = 0, name: str | None = None) -> None:
        self.http = http
        self.node = name or f"node-{next(_nodes)}"
        self.uptime = 100
        self.timeline: str | None = None
        self.told = 0
        self.receipt: str | None = None
        for number in range(containers):
            self.add(f"c{number}")

    def add(self, container_id: str, **changes: Any) -> str:
        """A container begins; its address."""
        self.uptime += 1
        body = call(container_id, node=self.node, **{"issued": issued(self.uptime), **changes})
        answer = self.http.post("/v1/cni/add", json=body)
        assert answer.status_code == httpx.codes.OK, answer.text
        address: str = answer.json()["ips"][0]["address"]
        return address.partition("/")[0]

    def delete(self, container_id: str) -> None:
        self.uptime += 1
        body = call(container_id, node=self.node, issued=issued(self.uptime))
        assert self.http.post("/v1/cni/del", json=body).status_code == httpx.codes.NO_CONTENT

    def held(self, **query: Any) -> list[dict[str, Any]]:
        """What its containers hold, as an agent reads it."""
        answer = self.http.get("/v1/census", params={"cluster": "default", "node": self.node, **query})
        rows: list[dict[str, Any]] = answer.json()["rows"]
        if self.timeline != answer.json()["timeline"]:
            self.timeline, self.told = answer.json()["timeline"], 0
        self.told = max([self.told, *(row["id"] for row in rows)])
        return rows

    def containers(self) -> set[str]:
        return {row["container_id"] for row in self.held()}

    def dead(self, *containers: str) -> list[dict[str, Any]]:
        """These containers as an agent says that they are dead."""
        rows = [row for row in self.held() if row["container_id"] in containers]
        return [{key: row[key] for key in ("id", "generation", "taken")} for row in rows]

    def post(
        self, dead: list[dict[str, Any]], boot: str = BOOT, machine: str = "m", **more: Any
    ) -> httpx.Response:
        self.uptime += 1
        body = {"cluster": "default", "node": self.node, "machine": machine, "dead": dead, **more}
        moment = {"boot": boot, "uptime_ns": self.uptime}
        known = {"timeline": self.timeline, "told": self.told, "receipt": self.receipt, "is_whole": True}
        answer = self.http.post("/v1/census", json={**known, **body, "issued": moment})
        if answer.status_code == httpx.codes.OK:
            self.receipt = answer.json()["receipt"]
        return answer

    def say(self, dead: list[dict[str, Any]]) -> dict[str, Any]:
        answer = self.post(dead)
        assert answer.status_code == httpx.codes.OK, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def lives(self, **interfaces: str) -> dict[str, Any]:
        """Say that containers live that are not in the tables."""
        living = [
            {
                "network": "pods",
                "container_id": container,
                "ifname": "eth0",
                "addresses": [address],
                "netns": [4, 4026532888],
                "name": "web",
                "namespace": "shop",
            }
            for container, address in interfaces.items()
        ]
        answer = self.post([], living=living)
        assert answer.status_code == httpx.codes.OK, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def speaks(self) -> None:
        """Read what it holds, then say that nothing is dead, as an agent does."""
        self.held()
        self.say([])

    def say_twice(self, dead: list[dict[str, Any]]) -> dict[str, Any]:
        self.say(dead)
        time.sleep(GRACE)  # this is the time that the service is told to let pass
        return self.say(dead)


@pytest.fixture
def agent(service: IpamdProcess) -> Agent:
    """A node with four containers."""
    return Agent(service.http, containers=4)


def test_what_is_reported_dead_twice_is_freed_and_history_says_why(
    service: IpamdProcess, agent: Agent
) -> None:
    dead = agent.dead("c1")

    first = agent.say(dead)
    time.sleep(GRACE)
    second = agent.say(dead)

    assert (first["freed"], second["freed"]) == (0, 1)
    assert agent.containers() == {"c0", "c2", "c3"}
    ended = service.http.get(f"/v1/allocations/{dead[0]['id']}").json()
    assert (ended["ending"], ended["reason"]) == (
        "dead",
        "its node said twice that its network namespace is gone",
    )
    assert service.contradictions() == []
    assert agent.say(dead)["gone"] == [dead[0]["id"]]
    assert "outcome=dead" in "".join(service.logged(ended["address"])).replace('"', "")
    assert 'ipamd_dead_addresses_total{cause="namespace"}' in service.http.get("/metrics").text


def test_a_container_that_starts_again_between_two_reports_lives(agent: Agent) -> None:
    """A runtime that sends no DEL: the ADD comes again, and the address is the same."""
    dead = agent.dead("c1")
    agent.say(dead)
    agent.add("c1", netns_id=[4, 4026532999])
    time.sleep(GRACE)

    said = agent.say(dead)

    assert (said["freed"], said["changed"]) == (0, [dead[0]["id"]])
    assert "c1" in agent.containers()
    [row] = [row for row in agent.held() if row["container_id"] == "c1"]
    assert (row["netns"], row["generation"]) == ([4, 4026532999], 2)


def test_an_address_that_went_through_del_and_a_new_add_meanwhile_is_the_new_containers(agent: Agent) -> None:
    dead = agent.dead("c1")
    agent.say(dead)
    agent.delete("c1")
    again = agent.add("c1")
    time.sleep(GRACE)

    said = agent.say(dead)

    assert (said["freed"], said["gone"]) == (0, [dead[0]["id"]])
    assert again in {row["address"] for row in agent.held()}


def test_an_address_that_moved_to_another_node_stays_there(service: IpamdProcess, agent: Agent) -> None:
    dead = agent.dead("c1")
    [address] = [row["address"] for row in agent.held() if row["container_id"] == "c1"]
    agent.say(dead)
    agent.delete("c1")
    other = Agent(service.http)
    moved = other.add("moved", args=f"IP={address}")
    time.sleep(GRACE)

    said = agent.say([*dead, *other.dead("moved")])

    assert (said["freed"], moved) == (0, address)
    assert other.containers() == {"moved"}


def test_a_nodes_rows_are_read_in_parts_and_from_the_last_one_that_is_known(agent: Agent) -> None:
    rows = agent.held()
    agent.add("c9")

    assert agent.held(after=rows[1]["id"], limit=1) == [rows[2]]
    assert [row["container_id"] for row in agent.held(after=rows[-1]["id"])] == ["c9"]


@pytest.mark.parametrize("names", ["another node's", "an owner's", "nobody's"])
def test_an_agent_touches_nothing_but_its_own_nodes(service: IpamdProcess, names: str) -> None:
    victim, liar = Agent(service.http, containers=3), Agent(service.http, containers=3)
    given = service.http.post("/v1/allocations", json={"owner": "vm", "node": liar.node}).json()
    lies = {
        "another node's": victim.dead("c0"),
        "an owner's": [{"id": given["id"], "generation": 1, "taken": 0}],
        "nobody's": [{"id": number, "generation": 1, "taken": 1} for number in range(10**12, 10**12 + 50)],
    }[names]

    said = liar.say_twice(lies)

    assert (said["freed"], said["gone"]) == (0, [each["id"] for each in lies])
    assert victim.containers() == {"c0", "c1", "c2"}
    assert service.http.get(f"/v1/allocations/{given['id']}").json()["until"] is None


def test_an_agent_that_says_all_is_dead_empties_nothing_until_an_admin_says_so(
    service: IpamdProcess, agent: Agent
) -> None:
    everything = agent.dead("c0", "c1", "c2", "c3")

    said = agent.say_twice(everything)

    assert (said["freed"], said["waiting"]) == (0, 4)
    assert len(agent.containers()) == 4
    assert service.logged("too many dead")
    assert "ipamd_dead_waiting_addresses 4.0" in service.http.get("/metrics").text
    freed = service.http.post(f"/v1/nodes/default/{agent.node}/free-dead", json={"why": "it is a lab"})
    assert freed.json()["released"] == 4
    assert agent.containers() == set()
    agent.say([])
    assert "ipamd_dead_waiting_addresses 0.0" in service.http.get("/metrics").text


def test_after_a_reboot_the_old_boots_are_free_and_those_of_the_new_one_live(agent: Agent) -> None:
    agent.say([])
    after = BOOT.replace("a", "c")
    agent.add("early", issued=issued(5, after))
    old = agent.dead("c0", "c1", "c2", "c3")
    agent.uptime = 10

    settling = agent.post(old, boot=after)
    time.sleep(GRACE)
    counts = agent.post(old, boot=after)

    assert (settling.status_code, settling.json()["code"]) == (409, "census-settling")
    assert settling.headers["retry-after"] == str(GRACE)
    assert counts.json()["freed"] == 4
    assert agent.containers() == {"early"}


def test_another_machine_is_heard_when_an_admin_has_released_the_node(
    service: IpamdProcess, agent: Agent
) -> None:
    agent.say([])
    refused = agent.post(agent.dead("c0"), machine="other")
    release = {"why": "it burnt", "even_if_alive": True}
    service.http.post(f"/v1/nodes/default/{agent.node}/release", json=release)

    assert (refused.status_code, refused.json()["code"]) == (409, "census-superseded")
    assert agent.post([], machine="other").status_code == httpx.codes.OK


def test_a_dead_container_gives_its_seat_back_to_its_nodes_lease(service: IpamdProcess) -> None:
    holder = LeaseHolder(service.http, "pods")
    holder.ask()
    agent = Agent(service.http, containers=3, name=holder.node)
    seat = min(holder.states)
    holder.begin(seat, "leased", 50)
    holder.report()

    assert agent.say_twice(agent.dead("leased"))["freed"] == 1

    told = holder.ask()
    assert [(each["seat"], each["container_id"]) for each in told["ended"]] == [(seat, "leased")]
    assert service.contradictions() == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"dead": [{"id": -1, "generation": 1, "taken": 1}]}, "dead"),
        ({"dead": [{"id": 1, "generation": 1, "taken": 1}] * 5001}, "dead"),
        ({"issued": {"boot": "", "uptime_ns": 1}}, "issued"),
        ({"what": 1}, "what"),
    ],
)
def test_a_census_that_is_not_one_is_refused(agent: Agent, change: dict[str, Any], what: str) -> None:
    body = {"cluster": "default", "node": agent.node, "machine": "m", "issued": {"boot": "b", "uptime_ns": 1}}

    answer = agent.http.post("/v1/census", json={**body, **change})

    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert what in answer.json()["detail"]


def test_what_lives_and_is_not_in_the_tables_is_adopted_and_ends_like_any_other(agent: Agent) -> None:
    said = agent.lives(lost="10.0.200.1")

    assert (said["adopted"], said["conflicts"]) == (1, [])
    [row] = [row for row in agent.held() if row["container_id"] == "lost"]
    assert (row["address"], row["boot"], row["netns"]) == ("10.0.200.1", BOOT, [4, 4026532888])
    assert agent.lives(lost="10.0.200.1")["adopted"] == 0
    assert agent.say_twice(agent.dead("lost"))["freed"] == 1
    agent.lives(lost="10.0.200.1")
    agent.delete("lost")
    assert "lost" not in agent.containers()


def test_what_lives_with_anothers_address_is_named_by_the_check_until_it_ends(
    service: IpamdProcess, agent: Agent
) -> None:
    [address] = [row["address"] for row in agent.held() if row["container_id"] == "c1"]
    other = Agent(service.http)

    said = other.lives(twin=address)

    assert [(each["container_id"], each["address"]) for each in said["conflicts"]] == [("twin", address)]
    [finding] = service.contradictions()
    assert finding["kind"] == "living-conflict"
    assert "twin" in finding["what"]
    assert agent.node in finding["what"]
    assert other.post([], is_whole=False).status_code == httpx.codes.OK
    assert service.contradictions() == [finding], "who does not see all does not see that it has ended"
    agent.delete("c1")
    assert other.lives(twin=address)["adopted"] == 1
    assert service.contradictions() == []


def test_a_container_of_which_a_del_was_carried_out_is_not_adopted_by_a_late_word(agent: Agent) -> None:
    [address] = [row["address"] for row in agent.held() if row["container_id"] == "c1"]
    agent.delete("c1")

    assert agent.lives(c1=address)["adopted"] == 0
    assert "c1" not in agent.containers()
