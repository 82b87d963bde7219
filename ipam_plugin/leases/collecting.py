"""GC out of the store: what the runtime does not list any more ends. ipamd is asked too, for what is its."""

from __future__ import annotations

from cni_plugin import platform
from cni_plugin.scanner import parse_object
from ipam_plugin.leases import changes, identities, layout, seats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipam_plugin.execution import Execution
    from ipam_plugin.leases.store import Store

_LISTS = ("cni.dev/valid-attachments", "cni.dev/attachments")


def collect(store: Store, execution: Execution) -> None:
    """End what is not listed and was last asked for before this GC. A list that is none ends nothing."""
    valid = _listed(execution.configuration.values)
    if valid is None:
        return  # ipamd refuses the call
    settings, network = execution.settings, execution.network
    beginning = layout.digest(network)[:8]
    now = platform.uptime_ns()
    for seat in seats.held(store):
        if seat.network != beginning:
            continue
        who = parse_object(seats.holder_of(store, seat.place))
        names = str(who["container_id"]), str(who["ifname"])
        if names in valid:
            continue
        found = identities.find(store, layout.digest(settings.cluster, settings.node, network, *names))
        if found.state == identities.SEATED and found.issued < execution.issued.uptime_ns:
            issued, held = execution.issued, seats.read(store, found.seat)
            changes.end(store, found, held, issued.uptime_ns, issued.encode(), changes.COLLECTED, now)


def _listed(values: dict[str, object]) -> list[tuple[str, str]] | None:
    entries = values.get(_LISTS[0] if _LISTS[0] in values else _LISTS[1])
    if not isinstance(entries, list):
        return None
    found = []
    for entry in entries:
        if not isinstance(entry, dict):
            return None
        container_id, ifname = entry.get("containerID"), entry.get("ifname")
        if not isinstance(container_id, str) or not isinstance(ifname, str):
            return None
        found.append((container_id, ifname))
    return found
