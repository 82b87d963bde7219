"""Draws the rooms and their imports into docs/architecture.md: python -m scripts.structure."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import grimp

PAGE: Final = Path(__file__).parents[1] / "docs" / "architecture.md"
BEGIN: Final = "<!-- structure -->\n"
END: Final = "<!-- /structure -->"

ROOMS: Final = (
    "ipamd.web",
    "ipamd.api",
    "ipamd.cli",
    "ipamd.ctl",
    "ipamd.cni",
    "ipamd.engine.administration",
    "ipamd.engine.leasing",
    "ipamd.engine.census",
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
    "node_agent.doctor",
    "node_agent.installation",
    "node_agent.leasing",
    "node_agent.watching",
    "node_agent.pod_network",
    "node_agent.host_sides",
    "node_agent.firewall",
    "node_agent.relay",
    "node_agent",
    "hosting",
    "veth_plugin",
    "ipam_plugin.leases",
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


def imports() -> set[tuple[str, str]]:
    """Which room imports from which."""
    packages = sorted({room.partition(".")[0] for room in ROOMS})
    graph = grimp.build_graph(*packages, cache_dir=None)
    found: set[tuple[str, str]] = set()
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            here, there = room_of(module), room_of(imported)
            if here and there and here != there and not BESIDE & {here, there}:
                found.add((here, there))
    return found


def picture() -> str:
    """The rooms as a Mermaid graph."""
    arrows = imports()
    used = {room for arrow in arrows for room in arrow}
    place = {room: number for number, room in enumerate(ROOMS)}
    rooms = [f'    {_id(room)}["{room}"]' for room in ROOMS if room in used]
    drawn = [
        f"    {_id(here)} --> {_id(there)}"
        for here, there in sorted(arrows, key=lambda arrow: (place[arrow[0]], place[arrow[1]]))
    ]
    return "\n".join(["```mermaid", "flowchart TD", *rooms, *drawn, "```", ""])


def shown(page: str) -> str:
    """The picture as a page has it."""
    return page.partition(BEGIN)[2].partition(END)[0]


def _id(room: str) -> str:
    return room.replace(".", "_")


if __name__ == "__main__":
    text = PAGE.read_text()
    PAGE.write_text(text.replace(f"{BEGIN}{shown(text)}{END}", f"{BEGIN}{picture()}{END}"))
