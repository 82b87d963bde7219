"""Clears NetworkUnavailable of nodes that ipamd announces: argument CLUSTER, the nodes' in ipamd.

Cloud controllers set the condition at a new node, and wait for whoever makes its routes to clear it.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
from asking import NODES, complain, of_ipamd, of_kubernetes

CONDITION = "NetworkUnavailable"
LOOK_SECONDS = 5
WATCH_SECONDS = 300
AT_ONCE = 50
MISSING = 404


async def main(cluster: str) -> None:
    """Go on until the pod ends."""
    unavailable: set[str] = set()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_watching(unavailable))
        tasks.create_task(keep_clearing(unavailable, cluster))


async def keep_watching(unavailable: set[str]) -> None:
    """Hold the names of nodes that are unavailable. Each watch begins with all nodes."""
    asked = {"watch": "1", "timeoutSeconds": str(WATCH_SECONDS)}
    while True:
        try:
            async with (
                of_kubernetes(WATCH_SECONDS + 30) as kubernetes,
                kubernetes.stream("GET", NODES, params=asked) as told,
            ):
                told.raise_for_status()
                unavailable.clear()
                async for line in told.aiter_lines():
                    note(json.loads(line), unavailable)
        except httpx.HTTPError as error:
            complain("the cluster's API cannot be asked", error)
        await asyncio.sleep(1)


def note(event: dict, unavailable: set[str]) -> None:
    """Take what a watch says of a node."""
    node = event["object"]
    if node["kind"] != "Node":
        return
    conditions = node["status"].get("conditions", [])
    is_set = any(one["type"] == CONDITION and one["status"] != "False" for one in conditions)
    if is_set and event["type"] != "DELETED":
        unavailable.add(node["metadata"]["name"])
    else:
        unavailable.discard(node["metadata"]["name"])


async def keep_clearing(unavailable: set[str], cluster: str) -> None:
    """Clear the condition of each node that takes part in the pod network."""
    ipamd = of_ipamd()
    while True:
        for name in sorted(unavailable)[:AT_ONCE]:
            try:
                if await is_announced(ipamd, cluster, name):
                    await clear(name)
            except httpx.HTTPError as error:
                complain(f"node {name}", error)
        await asyncio.sleep(LOOK_SECONDS)


async def is_announced(ipamd: httpx.AsyncClient, cluster: str, name: str) -> bool:
    """Whether ipamd tells the other nodes of this one."""
    answer = await ipamd.get(f"/v1/nodes/{quote(cluster, safe='')}/{quote(name, safe='')}")
    if answer.status_code == MISSING:
        return False
    return answer.raise_for_status().json()["network"] is not None


async def clear(name: str) -> None:
    """Write that the network of a node is there."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {
        "type": CONDITION,
        "status": "False",
        "reason": "PodNetworkCarried",
        "message": "ipamd announces this node in its pod network",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    async with of_kubernetes(10) as kubernetes:
        answer = await kubernetes.patch(
            f"{NODES}/{quote(name, safe='')}/status",
            content=json.dumps({"status": {"conditions": [condition]}}),
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        )
    answer.raise_for_status()
    print(f"node {name}: {CONDITION} is cleared", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
