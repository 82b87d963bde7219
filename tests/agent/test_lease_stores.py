"""Where a store cannot be made, filled or trusted, the node says so, and ipamd serves its pods."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from node_agent.leasing.making import filesystem_of
from tests.agent.leased import Leased, leased_node
from tests.agent.process import AgentProcess
from tests.cni.executable import CPYTHON
from tests.lease_store import LeaseStore
from tests.service import IpamdProcess
from tests.waiting import eventually


@pytest.fixture
def run(scratch: Path) -> Path:
    """What is /run of the node: on the disk, until a test mounts something there."""
    made = scratch / "run"
    made.mkdir()
    return made


@pytest.fixture
def agent(scratch: Path, run: Path, ipamd_process: IpamdProcess) -> Iterator[AgentProcess]:
    """An agent that may hold addresses in advance, and was not started yet."""
    ipamd_process.create_pool("pods", "10.9.0.0/24", cooldown=0)
    made = AgentProcess(scratch, ipamd_process.endpoint, leases=4)
    made.run = run
    yield made
    made.kill()


@contextmanager
def memory(folder: Path, size: str) -> Iterator[None]:
    """A file system in memory that is no larger."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def add(agent: AgentProcess, container: str) -> int:
    return agent.plugin().call("ADD", CNI_CONTAINERID=container).code


def says(agent: AgentProcess, why: str) -> bool:
    return why in agent.status().out


def is_open(agent: AgentProcess) -> bool:
    return bool(agent.ask("GET", "/status").json()["leases"]["open"])


def test_a_folder_on_a_disk_gets_no_store(agent: AgentProcess, run: Path) -> None:
    if filesystem_of(run) == "tmpfs":
        pytest.skip("the folders of these tests are in memory")
    agent.start()

    assert add(agent, "c1") == 0

    eventually(lambda: says(agent, "not on tmpfs: this node has no leases"))
    assert add(agent, "c2") == 0
    assert not (run / "ipamd" / "leases" / "store").exists()


def test_a_store_that_does_not_fit_is_made_when_there_is_room(agent: AgentProcess, run: Path) -> None:
    with memory(run, "1m"):
        agent.start()
        assert add(agent, "c1") == 0
        eventually(lambda: says(agent, "no store of leases can be made: [Errno 28]"))
        assert add(agent, "c2") == 0

        subprocess.run(["mount", "-o", "remount,size=16m", run], check=True)

        eventually(lambda: is_open(agent))
        agent.kill()


def test_in_a_full_memory_what_is_there_is_given_and_ends(
    agent: AgentProcess, run: Path, ipamd_process: IpamdProcess
) -> None:
    with memory(run, "16m"):
        agent.start()
        assert add(agent, "c1") == 0
        eventually(lambda: is_open(agent))
        store = LeaseStore.at(run / "ipamd" / "leases" / "store")
        with (run / "filling").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(bytes(4096))

        ipamd_process.kill()  # so that nobody but the node gives
        for container in ("c2", "c3", "c4"):
            assert add(agent, container) == 0
        assert agent.plugin().call("DEL", CNI_CONTAINERID="c3").code == 0
        ipamd_process.start()

        eventually(lambda: not store.events())
        (run / "filling").unlink()
        eventually(lambda: is_open(agent) and len(store.states()) >= 6)
        agent.kill()


def test_the_store_of_another_machine_is_set_aside(agent: AgentProcess, run: Path) -> None:
    with memory(run, "32m"):
        foreign = LeaseStore(run / "ipamd" / "leases" / "store")
        foreign.fill(b"k" * 16, [1, 2])

        agent.start()

        eventually(lambda: "store.set-aside" in foreign.names())
        assert "it is of another machine" in agent.log.read_text()
        assert add(agent, "c1") == 0
        eventually(lambda: is_open(agent))
        agent.kill()


@pytest.fixture
def leased() -> Iterator[Leased]:
    with leased_node(8) as node:
        yield node


def test_history_has_the_right_times_whatever_the_nodes_clock_is_set_to(leased: Leased) -> None:
    begun = {}
    for container, seconds in (("a1", 5), ("a2", 4_102_444_800)):  # in 1970 and 2100
        clock = f"import time; time.time_ns = lambda: {seconds * 10**9}\n"
        leased.plugin.command = (sys.executable, "-I", "-S", "-c", clock + CPYTHON[-1])
        leased.add(container)
        begun[container] = time.time()
    leased.delete("a1")

    eventually(leased.is_reported)
    for item in leased.service.http.get("/v1/history", params={"node": "node-a"}).json()["items"]:
        if item["container_id"] in begun:
            since = datetime.fromisoformat(item["since"]).timestamp()
            assert abs(since - begun[item["container_id"]]) < 5
    assert set(leased.held()) == {"first", "a2"}
