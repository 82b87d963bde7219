"""What one replica asks back of a node that waits for news at another."""

from concurrent.futures import ThreadPoolExecutor

from tests.api.lease_holder import LeaseHolder
from tests.api.plugin_call import call, issued
from tests.postgres import Postgres
from tests.service import running_replicas
from tests.waiting import eventually


def test_replicas_tell_a_nodes_news_to_each_other(postgres: Postgres) -> None:
    with postgres.migrated() as database, running_replicas(postgres.url(database)) as (here, there):
        here.create_pool("pods", "10.64.0.0/24", cooldown=0)
        holder = LeaseHolder(there.http, "pods")
        holder.ask()
        holder.free = 0
        seat = min(holder.states)
        asked = call("a1", ipam={"pools": ["pods"]}, args=f"IP={holder.address(seat)}", timeout=50)

        with ThreadPoolExecutor(1) as threads:
            adding = threads.submit(here.http.post, "/v1/cni/add", json=asked, timeout=60)
            assert holder.ask(wait=20)["recall"] == [seat]
            holder.states[seat] = "returning"
            holder.ask()
        assert "ips" in adding.result().json()

        assert there.http.post("/v1/leases", json=a_clone_of(holder)).json()["code"] == "lease-settling"

        def is_struck_out() -> bool:
            here.http.post("/v1/cni/add", json=call("a2", node=holder.node, issued=issued(50)))
            return "struck out" in here.log.read_text()

        eventually(is_struck_out)


def a_clone_of(holder: LeaseHolder) -> dict[str, object]:
    """The first asking of the same machine in another boot."""
    return holder.body(boot="f" * 36, store="s2", epoch=None, seats=[], grant=0)
