"""A node with a lease: a service, an agent that keeps it, the plugin, and the store."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import uuid4

from tests.agent.process import AgentProcess
from tests.lease_store import LeaseStore
from tests.service import IpamdProcess, running_service, scratch_folder
from tests.waiting import eventually

MEMORY: Final = "/dev/shm"  # a store lies on tmpfs


class Leased:
    """A service, an agent that keeps a lease, the node's plugin, and its store."""

    def __init__(self, service: IpamdProcess, agent: AgentProcess, run: Path) -> None:
        self.service = service
        self.agent = agent
        self.plugin = agent.plugin()
        self.store = LeaseStore.at(run / "ipamd" / "leases" / "store")

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.agent.ask("GET", "/status").json()["leases"]
        return found

    def is_open(self) -> bool:
        status = self.status()
        return bool(status["open"] and status["seats"]["free"])

    def is_reported(self) -> bool:
        return not self.store.events()

    def add(self, container: str) -> str:
        ended = self.plugin.call("ADD", CNI_CONTAINERID=container)
        assert ended.code == 0, ended
        address: str = ended.json["ips"][0]["address"]
        return address.partition("/")[0]

    def delete(self, container: str) -> None:
        assert self.plugin.call("DEL", CNI_CONTAINERID=container).code == 0

    def cut_the_power(self) -> None:
        """End the agent, and all that is in memory; what starts then is in another boot."""
        self.agent.kill()
        rmtree(self.store.path.parent)
        self.agent.boot_id = self.agent.folder / "boot_id"
        self.agent.boot_id.write_text(f"{uuid4()}\n")

    def held(self) -> dict[str, str]:
        """Who has which address, as ipamd says it."""
        items = self.service.http.get("/v1/allocations", params={"limit": 500}).json()["items"]
        return {
            item["container_id"]: item["address"].partition("/")[0] for item in items if item["container_id"]
        }

    def seats(self, state: int) -> int:
        return list(self.store.states().values()).count(state)


@contextmanager
def leased_node(seats: int | None, subnet: str = "10.9.0.0/24") -> Iterator[Leased]:
    """A node whose first container was given its address by ipamd, and which holds seats since."""
    with (
        running_service() as service,
        scratch_folder() as folder,
        TemporaryDirectory(dir=MEMORY, prefix="ipamd-") as run,
    ):
        service.create_pool("pods", subnet, cooldown=0)
        agent = AgentProcess(folder, service.endpoint, leases=seats)
        agent.run = Path(run)
        agent.start()
        try:
            made = Leased(service, agent, Path(run))
            made.add("first")
            eventually(made.is_open)
            yield made
        finally:
            agent.kill()
