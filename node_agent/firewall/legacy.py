"""The older iptables, whose rules are not in nftables: read and written by its own commands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node_agent.firewall.command import run
from veth_plugin.kernel.dropping import ACCEPTING

_COMMANDS: Final = {"iptables-legacy": "ip_tables_names", "ip6tables-legacy": "ip6_tables_names"}
_TABLE: Final = "filter"
_WAIT_SECONDS: Final = "5"
"""For others who write."""
_DROPS_ALL: Final = re.compile(r"-A FORWARD (-m comment --comment (\"[^\"]*\"|\S+) )?-j (DROP|REJECT)\b")


@dataclass(frozen=True, slots=True)
class Forward:
    """Chain FORWARD of a family. `before` is the place of the rule that drops all, None for the policy."""

    command: str
    drops: bool
    before: int | None
    is_accepted: bool

    @property
    def text(self) -> str:
        how = "by its policy" if self.before is None else "by its last rule"
        return f"chain FORWARD of {self.command} drops forwarded packets {how}"


def chains() -> list[Forward]:
    """Chain FORWARD of each family that has one. Raises Failed."""
    return list(_chains())


def put(interfaces: Sequence[str]) -> list[str]:
    """Accept what these interfaces send and get; what was written. Raises Failed."""
    done = []
    for one in _chains():
        if not one.drops or one.is_accepted:
            continue
        accepts = "".join(
            f"-A {ACCEPTING} {direction} {name} -j ACCEPT\n"
            for name in interfaces
            for direction in ("-i", "-o")
        )
        at = "-A FORWARD" if one.before is None else f"-I FORWARD {one.before}"
        _write(one.command, f":{ACCEPTING} - [0:0]\n{accepts}{at} -j {ACCEPTING}\n")
        done.append(f"accepted packets of containers before {one.text}")
    return done


def remove() -> int:
    """Take it away again; from how many families. Raises Failed."""
    count = 0
    for one in _chains():
        if one.is_accepted:
            _write(one.command, f"-D FORWARD -j {ACCEPTING}\n-F {ACCEPTING}\n-X {ACCEPTING}\n")
            count += 1
    return count


def _chains() -> Iterator[Forward]:
    for command, names in _COMMANDS.items():
        if _has_table(names):
            yield _read(command, run(command, "-w", _WAIT_SECONDS, "-S", "FORWARD"))


def _has_table(names: str) -> bool:
    """Whether the kernel has the table; to ask the command would make it."""
    try:
        return _TABLE in Path(f"/proc/net/{names}").read_text().split()
    except FileNotFoundError:
        return False


def _read(command: str, told: str) -> Forward:
    lines = told.splitlines()
    rules = [line for line in lines if line.startswith("-A ")]
    before = next((place for place, line in enumerate(rules, 1) if _DROPS_ALL.match(line)), None)
    drops = before is not None or "-P FORWARD DROP" in lines
    return Forward(command, drops, before, any(line.endswith(f"-j {ACCEPTING}") for line in rules))


def _write(command: str, lines: str) -> None:
    run(f"{command}-restore", "--noflush", "-w", _WAIT_SECONDS, given=f"*{_TABLE}\n{lines}COMMIT\n")
