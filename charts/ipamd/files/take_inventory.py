"""Tells ipamd which nodes Kubernetes has: arguments CLUSTER, SECONDS until one that is gone is removed.

It lists the nodes, then watches them, and says all of their names after each change and once a minute. It
says nothing of what it cannot see: while the API of the cluster does not answer, ipamd hears nothing.
"""

import asyncio
import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
from asking import NODES, complain, of_ipamd, of_kubernetes

PAGE = 500
WATCH_SECONDS = 60
FRESH_SECONDS = 120
TELL_SECONDS = 60
GATHER_SECONDS = 1
LONGEST_PAUSE = 60
FORGOTTEN = 410
NAMES_ALONE = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"


class Forgotten(Exception):
    """The API does not remember so old a version: list the nodes anew."""


@dataclass
class Nodes:
    """The nodes as the API last told of them. Without a `version` they are not known."""

    names: set[str] = field(default_factory=set)
    version: str = ""
    seen: float = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def is_fresh(self) -> bool:
        """Whether this is what there is now, not only what there was."""
        return bool(self.version) and time.monotonic() - self.seen < FRESH_SECONDS


async def main(cluster: str, seconds: int) -> None:
    """Go on until the pod ends."""
    nodes = Nodes()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_watching(nodes))
        tasks.create_task(keep_telling(nodes, cluster, seconds))


async def keep_watching(nodes: Nodes) -> None:
    """List, then watch from there on; list anew if the API has forgotten where that was."""
    pause = 1.0
    while True:
        try:
            async with of_kubernetes(WATCH_SECONDS + 30) as kubernetes:
                if not nodes.version:
                    await list_all(kubernetes, nodes)
                await watch(kubernetes, nodes)
            pause = 1.0
        except Forgotten:
            nodes.version = ""
            await asyncio.sleep(1)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            complain("the cluster's API cannot be asked", error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


async def list_all(kubernetes: httpx.AsyncClient, nodes: Nodes) -> None:
    """Read the names of all nodes, page by page. Raises Forgotten if a list was too long under way."""
    names: set[str] = set()
    asked = {"limit": str(PAGE)}
    while True:
        accept = {"Accept": NAMES_ALONE.format("List")}
        answer = await kubernetes.get(NODES, params=asked, headers=accept)
        refuse(answer)
        listed = answer.json()
        names.update(node["metadata"]["name"] for node in listed["items"])
        if not listed["metadata"].get("continue"):
            break
        asked["continue"] = listed["metadata"]["continue"]
    nodes.names, nodes.version = names, listed["metadata"]["resourceVersion"]
    nodes.seen = time.monotonic()
    nodes.changed.set()


async def watch(kubernetes: httpx.AsyncClient, nodes: Nodes) -> None:
    """Follow the changes since the known version, for a minute. Raises Forgotten."""
    asked = {
        "watch": "1",
        "resourceVersion": nodes.version,
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(WATCH_SECONDS),
    }
    accept = {"Accept": NAMES_ALONE.format("")}
    async with kubernetes.stream("GET", NODES, params=asked, headers=accept) as told:
        refuse(told)
        nodes.seen = time.monotonic()
        async for line in told.aiter_lines():
            note(json.loads(line), nodes)


def refuse(answer: httpx.Response) -> None:
    """Raise if the API does not answer what was asked: Forgotten, HTTPError."""
    if answer.status_code == FORGOTTEN:
        raise Forgotten
    answer.raise_for_status()


def note(event: dict, nodes: Nodes) -> None:
    """Take what a watch says of a node. Raises Forgotten, and ValueError for any other error of the API."""
    if event["type"] == "ERROR":
        if event["object"].get("code") == FORGOTTEN:
            raise Forgotten
        raise ValueError(event["object"].get("message"))
    metadata = event["object"]["metadata"]
    before = len(nodes.names)
    if event["type"] == "DELETED":
        nodes.names.discard(metadata["name"])
    elif event["type"] != "BOOKMARK":
        nodes.names.add(metadata["name"])
    nodes.version, nodes.seen = metadata["resourceVersion"], time.monotonic()
    if len(nodes.names) != before:
        nodes.changed.set()


async def keep_telling(nodes: Nodes, cluster: str, seconds: int) -> None:
    """Tell ipamd of all nodes after each change, and once a minute."""
    pause = 1.0
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(TELL_SECONDS):
                await nodes.changed.wait()
        await asyncio.sleep(GATHER_SECONDS)
        if not nodes.is_fresh():
            nodes.changed.clear()  # a list sets it again
            continue
        nodes.changed.clear()
        try:
            await tell(nodes, cluster, seconds)
            pause = 1.0
        except httpx.HTTPError as error:
            complain("ipamd cannot be told", error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            nodes.changed.set()


async def tell(nodes: Nodes, cluster: str, seconds: int) -> None:
    """Tell ipamd of all nodes once, and say what it does."""
    body = {"cluster": cluster, "nodes": sorted(nodes.names), "remove_after": seconds}
    async with of_ipamd() as ipamd:
        answer = (await ipamd.put("/v1/inventory", json=body)).raise_for_status().json()
    for name in answer["removed"]:
        print(f"node {name} was gone, and is removed", flush=True)
    if answer["too_many"]:
        gone = len(answer["gone"])
        print(f"{gone} nodes are gone, more than half: none is removed", file=sys.stderr, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
