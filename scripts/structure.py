"""Draws the rooms and their imports, for docs/architecture.md: python -m scripts.structure."""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import Final

import grimp

ROOMS: Final = (
    "ipamd.api",
    "ipamd.web",
    "ipamd.cli",
    "ipamd.ctl",
    "ipamd.cni",
    "ipamd.engine.administration",
    "ipamd.engine.inspection",
    "ipamd.engine.allocation",
    "ipamd.engine",
    "ipamd.backends.conformance",
    "ipamd.backends.interface",
    "ipamd.backends.memory",
    "ipamd.backends.sql.postgres",
    "ipamd.backends.sql.sqlite",
    "ipamd.backends.sql",
    "ipamd.backends",
    "ipamd.addressing",
    "ipamd.models",
    "node_agent.installation",
    "node_agent.relay",
    "node_agent",
    "hosting",
    "veth_plugin",
    "ipam_plugin",
    "netlink",
    "cni_plugin",
)
"""From the edges down. A module belongs to the longest name that is its own or that of a folder around it."""

BESIDE: Final = {"ipamd.backends.conformance"}
"""Rooms that everybody's tests use, and nothing of the service: left out of the picture."""


def room_of(module: str) -> str | None:
    """The room of a module; None for a module of no room, such as a package's own `__init__`."""
    fitting = [room for room in ROOMS if module == room or module.startswith(f"{room}.")]
    return max(fitting, key=len, default=None)


def imports() -> dict[tuple[str, str], int]:
    """How many imports lead from one room to another."""
    packages = sorted({room.partition(".")[0] for room in ROOMS})
    graph = grimp.build_graph(*packages, cache_dir=None)
    counted: dict[tuple[str, str], int] = defaultdict(int)
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            here, there = room_of(module), room_of(imported)
            if here and there and here != there and not BESIDE & {here, there}:
                counted[here, there] += 1
    return counted


def picture() -> str:
    """The rooms as a Mermaid graph."""
    counted = imports()
    used = {room for pair in counted for room in pair}
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'    {_id(room)}["{room}"]' for room in ROOMS if room in used]
    order = {room: place for place, room in enumerate(ROOMS)}
    for (here, there), number in sorted(
        counted.items(), key=lambda each: (order[each[0][0]], order[each[0][1]])
    ):
        lines.append(f"    {_id(here)} -->|{number}| {_id(there)}")
    return "\n".join([*lines, "```", ""])


def _id(room: str) -> str:
    return room.replace(".", "_")


if __name__ == "__main__":
    sys.stdout.write(picture())
