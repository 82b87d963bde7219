"""The body of a request: the bytes of the configuration, inside an object with everything else.

What stays the same in each attempt, and in the spool, is made once. What changes is put before it each time.
"""

from __future__ import annotations

import os

from cni_plugin.quoting import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cni_plugin.clock import Deadline, Moment
    from cni_plugin.environment import Invocation
    from ipam_plugin.configuration import Settings


def keep(
    invocation: Invocation,
    settings: Settings,
    issued: Moment,
    configuration: bytes,
    *,
    undo: bool = False,
    ended: Moment | None = None,
) -> bytes:
    """Give the lasting part, a JSON object. `undo` marks the release of what this very ADD took.

    `ended` is a DEL of this container that the node carried out, and that ipamd carries out first.
    """
    members = members_of(invocation) + [
        f'"cluster":{quote(settings.cluster)}',
        f'"node":{quote(settings.node)}',
        f'"issued":{issued.encode()}',
    ]
    if undo:
        members.append('"undo":true')
    if ended is not None:
        members.append(f'"ended":{ended.encode()}')
    return b"".join([b"{", ",".join(members).encode(), b',"config":', configuration, b"}"])


def members_of(invocation: Invocation) -> list[str]:
    """Give what the runtime said of the container, as members of a JSON object."""
    return [
        f'"container_id":{quote(invocation.container_id)}',
        f'"netns":{quote(invocation.netns)}',
        f'"netns_id":{namespace_id(invocation.netns)}',
        f'"ifname":{quote(invocation.ifname)}',
        f'"args":{quote(invocation.args)}',
        f'"path":{quote(invocation.path)}',
    ]


def complete(kept: bytes, deadline: Deadline, spooled: int | None, delivered: Moment | None) -> bytes:
    """Put before the lasting part what holds for this try: the seconds left, and how many entries wait."""
    left = max(1, deadline.left_ms())
    members = f'{{"timeout":{left // 1000}.{left % 1000:03d},'
    if spooled is not None:
        members += f'"spooled":{spooled},'
    if delivered is not None:
        members += f'"delivered":{delivered.encode()},'
    return members.encode() + kept[1:]


def namespace_id(path: str) -> str:
    """Give device and inode of a namespace as a JSON array, null if it is gone."""
    if not path:
        return "null"
    try:
        status = os.stat(path)
    except OSError:
        return "null"
    return f"[{status[2]},{status[1]}]"
