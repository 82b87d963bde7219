"""Firewalls of others, as they stand on nodes, each in a network namespace."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from tests.network.namespace import Namespace

DOCKER: Final = """*filter
:FORWARD DROP [0:0]
:DOCKER-USER - [0:0]
:DOCKER-FORWARD - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER-USER -j RETURN
-A DOCKER-FORWARD -i docker0 -j ACCEPT
COMMIT
"""
REJECTING: Final = """*filter
:FORWARD ACCEPT [0:0]
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -m comment --comment last -j REJECT
COMMIT
"""
NFTABLES: Final = """
table inet filter
delete table inet filter
table inet filter {
    chain forward { type filter hook forward priority 0; policy drop; ct state invalid drop; }
}
"""


class Firewall(Protocol):
    """A firewall that drops what it forwards."""

    def load(self) -> None:
        """Load its rules, in the place of what is there of it: at its start, and again."""

    def prefix(self) -> list[str]:
        """What to put before a command that is to reach it."""

    def end(self) -> None:
        """Take away what is left of it."""


class Iptables:
    """Rules of iptables, in one of its two kinds."""

    def __init__(self, node: Namespace, scratch: Path, kind: str, rules: str) -> None:
        self._node = node
        self._kind = kind
        self._file = scratch / "rules"
        self._file.write_text(rules)

    def load(self) -> None:
        for family in ("iptables", "ip6tables"):
            self._node.run(f"{family}-{self._kind}-restore", str(self._file))

    def prefix(self) -> list[str]:
        return self._node.prefix()

    def end(self) -> None:
        pass  # it goes with the namespace


class Nftables:
    """A table of an admin's own."""

    def __init__(self, node: Namespace, scratch: Path, rules: str = NFTABLES) -> None:
        self._node = node
        self._file = scratch / "rules"
        self._file.write_text(rules)

    def load(self) -> None:
        self._node.run("nft", "-f", str(self._file))

    def prefix(self) -> list[str]:
        return self._node.prefix()

    def end(self) -> None:
        pass  # it goes with the namespace


class Ufw:
    """Ufw with its own copies of its settings."""

    _HERE: Final = (
        'mount --bind "$1/ufw" /etc/ufw; mount --bind "$1/default" /etc/default/ufw; shift; exec ufw "$@"'
    )

    def __init__(self, node: Namespace, scratch: Path, policy: str) -> None:
        self._node = node
        self._scratch = scratch
        shutil.copytree("/etc/ufw", scratch / "ufw")
        shutil.copy("/etc/default/ufw", scratch / "default")
        self._ufw("--force", "enable")
        self._ufw("default", policy, "routed")

    def load(self) -> None:
        self._ufw("reload")

    def prefix(self) -> list[str]:
        return self._node.prefix()

    def end(self) -> None:
        self._ufw("--force", "disable")

    def _ufw(self, *arguments: str) -> None:
        self._node.run("unshare", "--mount", "sh", "-ec", self._HERE, "sh", str(self._scratch), *arguments)


class Firewalld:
    """Firewalld as Debian has it, on a bus of its own."""

    _BUS: Final = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={socket}</listen><policy context="default">
<allow send_destination="*"/><allow own="*"/><allow eavesdrop="true"/></policy></busconfig>"""

    def __init__(self, node: Namespace, scratch: Path) -> None:
        self._node = node
        socket = scratch / "bus"
        (scratch / "bus.conf").write_text(self._BUS.format(socket=socket))
        (scratch / "firewalld").mkdir()
        # Newer ones own their table, and the agent can write into one that is not owned.
        (scratch / "firewalld" / "firewalld.conf").write_text("NftablesTableOwner=no\n")
        self._on_bus = ["env", f"DBUS_SYSTEM_BUS_ADDRESS=unix:path={socket}"]
        self._processes = [self._start("dbus-daemon", "--nofork", f"--config-file={scratch / 'bus.conf'}")]
        own = ["--system-config", str(scratch / "firewalld"), "--log-file", str(scratch / "firewalld.log")]
        self._processes.append(self._start(*self._on_bus, "firewalld", "--nofork", "--nopid", *own))

    def load(self) -> None:
        subprocess.run([*self.prefix(), "firewall-cmd", "--reload"], check=False, capture_output=True)

    def prefix(self) -> list[str]:
        return [*self._node.prefix(), *self._on_bus]

    def end(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            process.wait()

    def _start(self, *command: str) -> "subprocess.Popen[bytes]":
        nothing = subprocess.DEVNULL
        return subprocess.Popen(
            [*self._node.prefix(), *command], stdin=nothing, stdout=nothing, stderr=nothing
        )


KINDS: Final[dict[str, Callable[[Namespace, Path], Firewall]]] = {
    "iptables-nft as Docker leaves it": lambda node, scratch: Iptables(node, scratch, "nft", DOCKER),
    "iptables-nft with a rule that rejects": lambda node, scratch: Iptables(node, scratch, "nft", REJECTING),
    "iptables-legacy as Docker leaves it": lambda node, scratch: Iptables(node, scratch, "legacy", DOCKER),
    "iptables-legacy with a rule that rejects": lambda node, scratch: Iptables(
        node, scratch, "legacy", REJECTING
    ),
    "a table of nftables": Nftables,
    "ufw that denies": lambda node, scratch: Ufw(node, scratch, "deny"),
    "ufw that rejects": lambda node, scratch: Ufw(node, scratch, "reject"),
    "firewalld": Firewalld,
}
