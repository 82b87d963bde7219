"""Looks for what is gone, from the cheap to the thorough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cni_plugin.failure import Failure
from netlink import link
from netlink.attribute import Malformed
from netlink.connection import ROUTE, Interrupted
from node_agent.watching import namespaces
from node_agent.watching.dead import Held, Sight, gone, of_former_boots
from node_agent.watching.living import Linked, Living, unknown
from node_agent.watching.namespaces import Unseen
from veth_plugin import address as addresses
from veth_plugin.kernel import naming
from veth_plugin.kernel.asking import connect


class Seen(NamedTuple):
    """The allocations whose containers are gone, and the interfaces that live and are not known.

    `unseen` says why nobody knows of others, None if all is seen.
    """

    dead: list[Held]
    living: list[Living]
    unseen: str | None = None


def look(rows: Sequence[Held], boot: str) -> Seen:
    """Look at all of a node's allocations, and at what lives beside them."""
    former = of_former_boots(rows, boot)
    living: list[Living] = []
    try:
        linked = _linked()
        owners = {one.owner for one in linked}
        namespaces.check_sight()
        inodes = namespaces.of_processes()
        device = namespaces.own_device()
        missing = gone(rows, Sight(boot, device, inodes))
        if missing:
            inodes = namespaces.of_processes() | namespaces.anywhere()
            missing = [row for row in gone(rows, Sight(boot, device, inodes)) if _owner(row) not in owners]
        living = unknown(rows, linked, inodes)
    except (Unseen, OSError) as error:
        return Seen(former, living, str(error))
    return Seen(former + missing, living)


def _linked() -> list[Linked]:
    """What the host sides say: a pair ends with the namespace of its container's end. Raises Unseen."""
    try:
        node = connect(ROUTE)
        try:
            links = map(link.decode, node.list_all(link.get_all()))
            ours = [naming.read_alias(one.alias) for one in links if _is_host_side(one)]
        finally:
            node.close()
    except (Failure, Interrupted, Malformed) as error:
        raise Unseen(f"the node's links cannot be listed: {error}") from None
    return [
        Linked(alias.owner, [addresses.text(one) for one in alias.addresses])
        for alias in ours
        if alias is not None
    ]


def _is_host_side(one: link.Link) -> bool:
    return (one.name or "").startswith(naming.PREFIX)


def _owner(row: Held) -> str:
    return naming.owner_of(row.network, row.container_id, row.ifname)
