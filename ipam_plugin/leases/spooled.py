"""A release out of the spool, which goes to the store before it goes to ipamd."""

from __future__ import annotations

from cni_plugin.quoting import quote
from ipam_plugin.leases import serving


def carry_out(request: object) -> bool:
    """Carry a spooled request out; False if ipamd is to be asked, or it says too little. Failure 11."""
    if not isinstance(request, dict):
        return False
    issued, given = request.get("issued"), request.get("config")
    if not isinstance(issued, dict) or not isinstance(given, dict):
        return False
    boot, uptime = issued.get("boot"), issued.get("uptime_ns")
    network = given.get("name")
    names = [request.get(key) for key in ("cluster", "node", "container_id", "ifname")] + [network]
    if not isinstance(boot, str) or not isinstance(uptime, int):
        return False
    cluster, node, container_id, ifname, network = [str(name) for name in names]
    moment = f'{{"boot":{quote(boot)},"uptime_ns":{uptime},"time":{quote(str(issued.get("time")))}}}'
    who = serving.Holder(cluster, node, network, container_id, ifname)
    return serving.release(who, boot, uptime, moment, request.get("undo") is True)
