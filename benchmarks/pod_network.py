"""How soon nodes know of a new block, and what following costs ipamd and the agent."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import uvloop

from benchmarks import processor_time
from benchmarks.followers import BLOCK_LENGTH, POOL, SUBNET, Carved, Followers, publish
from benchmarks.inside import namespaces
from benchmarks.pinning import LOAD_CORE, running_ipamd
from benchmarks.routes import Routes
from benchmarks.table import Bar, Row, Scale, Table, figure
from tests.pod_network.cluster import Node
from tests.service import IpamdProcess
from tests.waiting import eventually

NAME: Final = "pod-network"
ABOUT: Final = """\
Nodes that follow the changes of a pod network, each by a long poll on a connection of its own, and the time
from an ADD that needs a new block until all of them have heard of that block. Two of {few} are real agents
in namespaces: there the time ends when the route is in the kernel. The others are connections that ask as
agents do, each under the name of a node. ipamd has one core and SQLite, the nodes have the other. At most
one block a second is carved, for nodes hear once a second at most. What the agent costs: with nothing to do
in the cluster of {few}, and with the blocks of {many} nodes in two families. Its memory is what it shares
with no other process."""
FEW: Final = {Scale.QUICK: 10, Scale.FULL: 100}
MANY: Final = {Scale.QUICK: 20, Scale.FULL: 5_000}
BLOCKS: Final = {Scale.QUICK: (2, 1), Scale.FULL: (25, 5)}
"""How many are carved with few and with many nodes."""
IDLE_SECONDS: Final = {Scale.QUICK: 1, Scale.FULL: 30}
STARTS: Final = {Scale.QUICK: 1, Scale.FULL: 3}
APART: Final = 1.3
POOLS: Final = {"pods-v4": "10.64.0.0/10", "pods-v6": "fd00:64::/64"}
AGENTS: Final = 2
SECONDS: Final = 120


def measure(scale: Scale) -> Table:
    """Run it."""
    few, many = FEW[scale], MANY[scale]
    table = Table(NAME, "The pod network", ABOUT.format(few=few, many=f"{many:,}"))
    _have_descriptors()
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD_CORE})
    try:
        with _cluster(few - AGENTS) as service, _agents(service, AGENTS) as agents:
            for agent in agents:
                _settle(agent, few - 1)
            _measure_few(table, service, agents, scale)
        with _cluster(many) as service:
            _measure_many(table, service, many, BLOCKS[scale][1])
            _measure_start(table, service, many, STARTS[scale])
    finally:
        os.sched_setaffinity(0, cores)
    return table


def _have_descriptors() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def _cluster(nodes: int) -> Iterator[IpamdProcess]:
    """A service that has heard of so many nodes, and has a pool of which none of them has a block."""
    with running_ipamd() as service:
        for name, subnet in POOLS.items():
            service.create_pool(name, subnet, affinity="node", borrow=False, masquerade=True)
        publish(service, nodes)
        service.create_pool(
            POOL,
            SUBNET,
            affinity="node",
            borrow=False,
            block_size=BLOCK_LENGTH,
            gateway=None,
            auto_assign=False,
        )
        yield service


@contextmanager
def _agents(service: IpamdProcess, number: int) -> Iterator[list[Node]]:
    """Real agents on one switch."""
    with ExitStack() as context:
        folder = Path(context.enter_context(TemporaryDirectory(prefix="ipamd-")))
        names = [f"real-{each}" for each in range(1, number + 1)]
        switch, *made = context.enter_context(namespaces("switch", *names))
        switch.run("ip", "link", "add", "br0", "type", "bridge")
        switch.run("ip", "link", "set", "br0", "up")
        nodes = []
        for place, (name, namespace) in enumerate(zip(names, made, strict=True), 1):
            port = f"port{place}"
            namespace.run(
                "ip", "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", switch.name
            )
            namespace.run("ip", "address", "add", f"192.0.2.{place}/24", "dev", "eth0")
            namespace.run("ip", "link", "set", "eth0", "up")
            namespace.run("ip", "route", "add", "default", "via", "192.0.2.254")
            switch.run("ip", "link", "set", port, "master", "br0", "up")
            node = Node(name, namespace, folder / name, service.endpoint)
            context.callback(node.end)
            node.start()
            nodes.append(node)
        yield nodes


def _measure_few(table: Table, service: IpamdProcess, agents: Sequence[Node], scale: Scale) -> None:
    few = FEW[scale]
    with Routes([agent.namespace for agent in agents]) as routes:
        carved, written = uvloop.run(_follow_with_agents(service, few, BLOCKS[scale][0], routes))
    lasts = [1000 * max(each.heard[-1], late) for each, late in zip(carved, written, strict=True)]
    table.add(Row(f"a new block to the last of {few} nodes: p50", figure("ms", [_share(lasts, 0.5)])))
    below = Bar(1000, at_least=False, of_ratio=False)
    table.add(
        Row(
            f"a new block to the last of {few} nodes: p99", figure("ms", [_share(lasts, 0.99)]), bars=(below,)
        )
    )
    table.add(
        Row("... to the routes in the kernels of agents", figure("ms", [1000 * each for each in written]))
    )
    time.sleep(IDLE_SECONDS[scale] / 10)
    before = [_cpu_seconds(agent) for agent in agents]
    time.sleep(IDLE_SECONDS[scale])
    spent = [_cpu_seconds(agent) - then for agent, then in zip(agents, before, strict=True)]
    table.add(
        Row(
            "an agent with nothing to do",
            figure("% of a core", [100 * each / IDLE_SECONDS[scale] for each in spent]),
            bars=(Bar(0.1, at_least=False, of_ratio=False),),
        )
    )


async def _follow_with_agents(
    service: IpamdProcess, few: int, blocks: int, routes: Routes
) -> tuple[list[Carved], list[float]]:
    followers = Followers(service, few - AGENTS)
    await followers.connect()
    carved, written = [], []
    for node in range(blocks):
        await asyncio.sleep(APART)
        each = await followers.carve(node)
        carved.append(each)
        written.append(await routes.seconds_until_all_have(each.block, each.began))
    followers.close()
    return carved, written


def _measure_many(table: Table, service: IpamdProcess, many: int, blocks: int) -> None:
    carved, spent = uvloop.run(_follow(service, many, blocks))
    lasts = figure("s", [each.heard[-1] for each in carved])
    bar = Bar(5, at_least=False, of_ratio=False)
    table.add(Row(f"a new block to the last of {many:,} nodes", lasts, bars=(bar,)))
    table.add(Row("... CPU time of ipamd, until all wait again", figure("s", spent)))


async def _follow(service: IpamdProcess, many: int, blocks: int) -> tuple[list[Carved], list[float]]:
    followers = Followers(service, many)
    await followers.connect()
    carved, spent = [], []
    for node in range(blocks):
        before = await _at_rest(service)
        carved.append(await followers.carve(node))
        spent.append(await _at_rest(service) - before)
    followers.close()
    return carved, spent


async def _at_rest(service: IpamdProcess) -> float:
    """The CPU time of the service once it does next to nothing any more."""
    before = 0.0
    while (now := _cpu_of(service)) - before > APART / 20:
        before = now
        await asyncio.sleep(APART)
    return now


def _measure_start(table: Table, service: IpamdProcess, many: int, starts: int) -> None:
    seconds, megabytes = [], []
    for _ in range(starts):
        began = time.monotonic()
        with _agents(service, 1) as [agent]:
            _settle(agent, many)
            seconds.append(time.monotonic() - began)
            megabytes.append(_private_megabytes(agent))
            agent.stop()
            service.http.delete(f"/v1/nodes/default/{agent.name}").raise_for_status()
    below = Bar(10, at_least=False, of_ratio=False)
    table.add(
        Row(
            f"an agent starts with {many:,} nodes, until all routes stand",
            figure("s", seconds),
            bars=(below,),
        )
    )
    below = Bar(60, at_least=False, of_ratio=False)
    table.add(Row("... its memory then", figure("MB", megabytes), bars=(below,)))


def _settle(agent: Node, peers: int) -> None:
    eventually(lambda: agent.has_routes(peers), SECONDS)


def _share(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _cpu_seconds(agent: Node) -> float:
    return processor_time.seconds(agent.process_id)


def _cpu_of(service: IpamdProcess) -> float:
    assert service.process is not None
    return processor_time.seconds(service.process.pid)


def _private_megabytes(agent: Node) -> float:
    lines = Path(f"/proc/{agent.process_id}/smaps_rollup").read_text().splitlines()
    kibibytes = sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return kibibytes * 1024 / 1e6
