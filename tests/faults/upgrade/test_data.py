"""What one version wrote stands under the next one, and under the one before again: SQLite and PostgreSQL."""

import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ipamd.backends import migrations
from ipamd.backends.sql.schema import REVISION
from ipamd.backends.sql.version import SchemaVersion
from tests.cni.executable import Document, Plugin
from tests.faults.upgrade.version import Version
from tests.ports import free_port
from tests.postgres import Postgres, migrate
from tests.service import IpamdProcess

DATABASES = [("first", "sqlite"), ("first", "postgresql"), ("before", "sqlite")]
RESERVED = "10.0.0.77"
VM = {"pool": "pods", "owner": "vm-1"}
KEY = {"Idempotency-Key": "one-and-the-same"}

Facts = dict[str, list[dict[str, Any]]]


@pytest.fixture
def url(request: pytest.FixtureRequest, scratch: Path) -> Iterator[str]:
    """The address of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{scratch / 'ipamd.sqlite'}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as name:
        yield server.url(name)


@pytest.fixture
def service(scratch: Path, url: str) -> Iterator[IpamdProcess]:
    """A service that a test starts in the version that it says."""
    process = IpamdProcess(scratch, database_url=url)
    yield process
    process.kill()
    process.http.close()


def upgrade(service: IpamdProcess, version: Version) -> None:
    """Have a later version serve; SQLite is migrated by whoever opens it, PostgreSQL by an operator."""
    service.stop()
    if migrations.is_postgresql(service.database_url):
        migrate(service.database_url, executables=version.executables)
    go_back(service, version)


def go_back(service: IpamdProcess, version: Version) -> None:
    """Have another version serve on the schema that is there."""
    service.stop()
    service.executables = version.executables
    service.start()


def facts(service: IpamdProcess) -> Facts:
    """What admins see of pools, reservations and who had which address."""
    paths = ("/v1/pools", "/v1/reservations", "/v1/history", "/v1/allocations")
    found = {path: service.http.get(path).json()["items"] for path in paths}
    labels = [{"labels": item["labels"]} for item in service.http.get("/v1/nodes").json()["items"]]
    return {**found, "labels": labels}


def unchanged(facts: Facts, later: Facts) -> bool:
    """Whether another version says the same; it may know more fields."""
    known = {
        path: [{key: item.get(key) for key in old} for old, item in zip(items, later[path], strict=True)]
        for path, items in facts.items()
    }
    return known == facts


class Node:
    """A node with containers, each with what it was told."""

    def __init__(self, folder: Path, service: IpamdProcess) -> None:
        self.plugin = Plugin((), folder / "state", service.endpoint)

    def use(self, version: Version) -> None:
        self.plugin.command = (str(version.plugin),)

    def add(self, container: str, pod: str = "web-0", **ipam: Any) -> Document:
        args = f"IgnoreUnknown=1;K8S_POD_NAMESPACE=prod;K8S_POD_NAME={pod}"
        done = self.plugin.call("ADD", self.plugin.config(**ipam), CNI_CONTAINERID=container, CNI_ARGS=args)
        assert done.code == 0, done
        return done.json

    def check(self, container: str, told: Document) -> None:
        done = self.plugin.call(
            "CHECK", {**self.plugin.config(), "prevResult": told}, CNI_CONTAINERID=container
        )
        assert done.code == 0, done

    def delete(self, container: str) -> None:
        done = self.plugin.call("DEL", CNI_CONTAINERID=container)
        assert done.code == 0, done


def fill(service: IpamdProcess, node: Node) -> Document:
    """Pools, a reservation, labels, what lives and what has ended; what container `c1` was told."""
    service.create_pool(
        "pods", "10.0.0.0/24", cooldown=0, exclusions=["10.0.0.9"], routes=[{"dst": "0.0.0.0/0"}]
    )
    service.create_pool("old", "10.1.0.0/24", state="draining")
    http = service.http
    reservation = {"address": RESERVED, "namespace": "prod", "name": "db-0"}
    assert http.post("/v1/reservations", json=reservation).is_success
    assert http.post("/v1/allocations", json=VM, headers=KEY).is_success
    told = node.add("c1")
    for container in ("c2", "c3"):
        node.add(container)
    node.delete("c2")
    assert http.put("/v1/nodes/default/node-a", json={"labels": {"rack": "r1"}}).is_success
    return told


@pytest.mark.parametrize(("earlier", "url"), DATABASES, indirect=True, ids=map("-".join, DATABASES))
def test_what_one_version_wrote_stands_under_the_next_and_under_the_one_before_again(
    service: IpamdProcess, scratch: Path, earlier: Version, now: Version
) -> None:
    node = Node(scratch, service)
    node.use(earlier)
    upgrade(service, earlier)
    told = fill(service, node)
    written = facts(service)
    vm = service.http.post("/v1/allocations", json=VM, headers=KEY).json()["id"]
    service.stop()
    node.delete("c3")
    assert len(node.plugin.waiting()) == 1

    upgrade(service, now)
    node.use(now)

    assert unchanged(written, facts(service))
    assert service.http.post("/v1/allocations", json=VM, headers=KEY).json()["id"] == vm
    node.check("c1", told)
    assert node.add("c1")["ips"] == told["ips"]
    reserved = node.add("c4", pod="db-0")
    assert reserved["ips"][0]["address"] == f"{RESERVED}/24"
    assert node.plugin.waiting() + node.plugin.set_aside() == []
    assert service.addresses(container_id="c3") == set()
    assert service.contradictions() == []
    service.create_pool("next", "10.2.0.0/24", affinity="node", selectors={"node_labels": {"rack": "r1"}})
    written = facts(service)

    go_back(service, earlier)
    node.use(earlier)

    assert unchanged(facts(service), written)
    assert service.http.post("/v1/allocations", json=VM, headers=KEY).json()["id"] == vm
    node.check("c1", told)
    node.check("c4", reserved)
    assert node.add("c5", pools=["next"])["ips"][0]["address"] == "10.2.0.2/24"
    for container in ("c1", "c4", "c5"):
        node.delete(container)
    assert [item["owner"] for item in service.allocations()] == ["vm-1"]


@pytest.mark.parametrize(("earlier", "url"), DATABASES[1:], indirect=True, ids=map("-".join, DATABASES[1:]))
def test_where_there_is_no_way_back_the_earlier_version_says_so_and_changes_nothing(
    url: str, earlier: Version, postgres: Postgres
) -> None:
    migrations.upgrade(url)
    newer = SchemaVersion(REVISION + 1, REVISION + 1)
    change = f"UPDATE schema_version SET revision = {newer.revision}, oldest_code = {newer.oldest_code}"
    if migrations.is_postgresql(url):
        postgres.sql(change, url.partition("@/")[2].partition("?")[0])
    else:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute(change)

    command = [str(earlier.executables / "ipamd"), "serve", "--port", str(free_port()), "--database-url", url]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)

    assert done.returncode == 1
    assert done.stderr.endswith(": install a newer ipamd\n")
    assert migrations.current(url) == newer
