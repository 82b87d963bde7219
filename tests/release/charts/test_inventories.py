"""The chart's pod that tells ipamd which nodes Kubernetes has, and a server that speaks the API's watch."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cni.authority import Authority
from tests.release.charts.chart import CHART
from tests.release.charts.kubernetes_api import TOKEN, KubernetesApi, serving
from tests.service import IpamdProcess, running_service
from tests.waiting import eventually

ADMIN, INVENTORY = (f"ipamd_{letter * 43}" for letter in "ai")
NODES = ("n1", "n2", "n3")
A_DAY = "86400"


@pytest.fixture
def ipamd(scratch: Path) -> Iterator[IpamdProcess]:
    """A service that knows three nodes, and the token of inventories."""
    for role, token in (("admin", ADMIN), ("inventory", INVENTORY)):
        (scratch / role).write_text(token)
    options = [
        part for role in ("admin", "inventory") for part in (f"--{role}-token-file", str(scratch / role))
    ]
    with running_service(scratch, *options) as service:
        service.http.headers["Authorization"] = f"Bearer {ADMIN}"
        for node in NODES:
            assert service.http.put(f"/v1/nodes/default/{node}", json={"labels": {}}).is_success
        yield service


@pytest.fixture
def api() -> KubernetesApi:
    """A cluster with these nodes, and one that ipamd does not know."""
    api = KubernetesApi()
    api.add(*NODES, "n4")
    return api


@contextmanager
def telling(ipamd: IpamdProcess, api: KubernetesApi) -> Iterator[subprocess.Popen[bytes]]:
    """The pod, as the chart starts it."""
    account = ipamd.folder / "account"
    authority = Authority(ipamd.folder / "ca", "cluster", "IP:127.0.0.1")
    account.mkdir()
    (account / "token").write_text(TOKEN)
    (account / "ca.crt").write_bytes(authority.ca.read_bytes())
    with serving(api, authority) as port:
        variables = {
            "KUBERNETES_ACCOUNT": str(account),
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(port),
            "IPAMD_ENDPOINT": ipamd.tcp_endpoint,
            "IPAMD_TOKEN_FILE": str(ipamd.folder / "inventory"),
            "SSL_CERT_FILE": str(authority.ca),
        }
        script = CHART / "files" / "take_inventory.py"
        process = subprocess.Popen(
            [sys.executable, script, "default", A_DAY],
            env={**os.environ, **variables},
            stderr=subprocess.PIPE,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def listed(ipamd: IpamdProcess) -> set[str]:
    """The nodes that an inventory has named."""
    with contextlib.closing(sqlite3.connect(f"file:{ipamd.database}?mode=ro", uri=True)) as database:
        return {name for (name,) in database.execute("SELECT name FROM node WHERE listed")}


def gone(ipamd: IpamdProcess) -> set[str]:
    nodes = ipamd.http.get("/v1/nodes").json()["items"]
    return {node["name"] for node in nodes if node["gone_since"] is not None}


def test_ipamd_hears_which_nodes_there_are_and_which_go_and_come(
    ipamd: IpamdProcess, api: KubernetesApi
) -> None:
    with telling(ipamd, api):
        eventually(lambda: listed(ipamd) == set(NODES))
        assert gone(ipamd) == set()
        api.delete("n3")
        eventually(lambda: gone(ipamd) == {"n3"})
        api.cut()
        api.add("n3")
        api.delete("n2")
        eventually(lambda: gone(ipamd) == {"n2"})

    assert api.lists == 2, "two pages, once: a watch goes on where the one before ended"


@pytest.mark.parametrize("by_event", [False, True], ids=["by-status", "by-event"])
def test_what_the_api_has_forgotten_is_listed_anew(
    ipamd: IpamdProcess, api: KubernetesApi, by_event: bool
) -> None:
    api.forgets_by_event = by_event
    with telling(ipamd, api):
        eventually(lambda: listed(ipamd) == set(NODES))
        api.nodes.discard("n1")  # nobody is told of it
        api.version += 5
        api.forget()
        api.cut()

        eventually(lambda: gone(ipamd) == {"n1"})

    assert api.lists > 2


def test_while_one_of_both_is_away_nothing_is_said_and_it_goes_on_by_itself(
    ipamd: IpamdProcess, api: KubernetesApi
) -> None:
    api.is_away = True
    with telling(ipamd, api) as process:
        assert process.stderr is not None
        assert b"the cluster's API cannot be asked" in process.stderr.readline()
        assert listed(ipamd) == set(), "what cannot be seen is not said to be gone"
        api.is_away = False
        eventually(lambda: listed(ipamd) == set(NODES))

        ipamd.stop()
        api.delete("n2")
        assert b"ipamd cannot be told" in process.stderr.readline()
        ipamd.start()
        eventually(lambda: gone(ipamd) == {"n2"})
