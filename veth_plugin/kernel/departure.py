"""Removing a pair without waiting until the kernel has forgotten it.

The kernel takes both ends off their namespaces, with all that stands on them, and announces it. Only then it
waits until no processor can still see them (rcu_barrier: 10 to 30 ms), and only after that it answers. So a
process of its own asks, and stays in the kernel for as long. This one goes on after the announcement.
"""

from __future__ import annotations

from cni_plugin import clock, platform
from netlink import link, message
from netlink.connection import ROUTE
from veth_plugin.kernel.asking import NO_SUCH_DEVICE, Step, carry_out, connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netlink.connection import Connection

_SECONDS = 1.0  # until this process asks itself, which the kernel answers in any case


def remove(index: int, name: str) -> None:
    """Remove a pair by the index of its host side; Failure 5. Both ends are gone when this returns."""
    connection = connect(ROUTE)
    try:
        if _removed(connection, index):
            return
    finally:
        connection.close()
    connection = connect(ROUTE)
    try:
        deletion = link.delete(index=index)
        carry_out(connection, [Step(deletion, f"removing interface {name}", (NO_SUCH_DEVICE,))])
    finally:
        connection.close()


def _removed(connection: Connection, index: int) -> bool:
    """Have a pair removed, and tell whether it was announced; else nobody knows."""
    deadline = clock.after(platform.uptime_ns(), _SECONDS)
    try:
        connection.listen(link.GROUP)
        if platform.detach(connection.fileno()):
            _ask(connection, index)
        while deadline.left_ms():
            for told in connection.hear(deadline.left_ms()):
                if link.announces_removal(told, index):
                    return True
                if told.kind == message.ERROR:  # it answers before it announces: it refuses
                    return False
    except OSError:
        return False  # no process could be made, or others had so much announced that something was lost
    return False


def _ask(connection: Connection, index: int) -> None:
    """Ask for the removal, in the process of its own. The socket is shared: the other hears the answer."""
    try:
        connection.send(link.delete(index=index))
    finally:
        platform.exit_now(0)
