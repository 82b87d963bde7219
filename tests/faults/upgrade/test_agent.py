"""Today's node agent with the service of the version before, which had none, and under its change."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.process import AgentProcess
from tests.api.access.conftest import Caller
from tests.cni.authority import Authority
from tests.faults.upgrade.version import Version
from tests.service import IpamdProcess
from tests.waiting import eventually

ADMIN = "ipamd_" + "A" * 43


@pytest.fixture
def guarded(service: IpamdProcess, scratch: Path, before: Version) -> IpamdProcess:
    """A service of the version before, with TLS and an admin's token."""
    authority = Authority(scratch / "ours", "ours", "IP:127.0.0.1")
    (scratch / "admin").write_text(ADMIN)
    service.options = (
        *("--admin-token-file", str(scratch / "admin")),
        *("--tls-cert", str(authority.server), "--tls-key", str(authority.server_key)),
    )
    service.executables = before.executables
    service.start()
    pool = {"name": "pods", "subnet": "10.0.0.0/24", "cooldown": 0}
    assert Caller(service, ADMIN).post("/v1/pools", pool).is_success
    return service


@pytest.fixture
def agent(guarded: IpamdProcess, scratch: Path) -> Iterator[AgentProcess]:
    """An agent that joins at the version before."""
    made = AgentProcess(scratch, f"https://127.0.0.1:{guarded.port}", caFile=str(scratch / "ours" / "ca.pem"))
    made.join_with(Caller(guarded, ADMIN).token_for("join", cluster="default")[1])
    made.start()
    yield made
    made.kill()


def test_an_agent_serves_on_while_the_service_becomes_this_version_and_back(
    guarded: IpamdProcess, agent: AgentProcess, before: Version, now: Version
) -> None:
    plugin = agent.plugin()
    admin = Caller(guarded, ADMIN)

    def held() -> list[str]:
        return [item["container_id"] for item in admin.get("/v1/allocations").json()["items"]]

    for number, version in enumerate((before, now, before)):
        guarded.kill()  # told to end, the version before waits 15 s for the agent's idle connection
        assert plugin.call("DEL", CNI_CONTAINERID=f"c{number - 1}").code == 0
        guarded.executables = version.executables
        guarded.start()
        eventually(lambda: plugin.waiting() == [] and held() == [])

        for command in (version.plugin, now.plugin):
            plugin.command = (str(command),)
            added = plugin.call("ADD", CNI_CONTAINERID=f"c{number}")
            checked = plugin.call(
                "CHECK", {**plugin.config(), "prevResult": added.json}, CNI_CONTAINERID=f"c{number}"
            )
            assert (added.code, checked.code) == (0, 0), (added, checked)
        assert held() == [f"c{number}"]
    assert plugin.set_aside() == []
