"""The older iptables, whose rules are not in nftables: read and written by its own commands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node_agent.firewall.command import run
from veth_plugin.kernel.dropping import FORWARD, INPUT, Hook

_COMMANDS: Final = {"iptables-legacy": "ip_tables_names", "ip6tables-legacy": "ip6_tables_names"}
_TABLE: Final = "filter"
_WAIT_SECONDS: Final = "5"
"""For others who write."""
_CHAINS: Final = {FORWARD.number: "FORWARD", INPUT.number: "INPUT"}
_DROPS_ALL: Final = re.compile(r"-A \w+ (-m comment --comment (\"[^\"]*\"|\S+) )?-j (DROP|REJECT)\b")


@dataclass(frozen=True, slots=True)
class BaseChain:
    """A chain of a hook. `before` is the place of the rule that drops all, None for the policy."""

    hook: Hook
    command: str
    drops: bool
    before: int | None
    is_accepted: bool

    @property
    def name(self) -> str:
        return _CHAINS[self.hook.number]

    @property
    def text(self) -> str:
        how = "by its policy" if self.before is None else "by its last rule"
        return f"chain {self.name} of {self.command} drops {self.hook.packets} {how}"


def dropping(hook: Hook) -> list[BaseChain]:
    """The chains of a hook that drop, and do not accept what is ours. Raises Failed."""
    return [one for one in _chains(hook) if one.drops and not one.is_accepted]


def of_containers(interfaces: Sequence[str]) -> list[str]:
    """What these interfaces send and get, as options of rules."""
    return [f"{direction} {name}" for name in interfaces for direction in ("-i", "-o")]


def of_tunnel(port: int) -> list[str]:
    """What comes to a UDP port, as options of a rule."""
    return [f"-p udp -m udp --dport {port}"]


def put(hook: Hook, matches: Sequence[str], packets: str) -> list[str]:
    """Accept what one of the options matches; what was written. Raises Failed."""
    done = []
    for one in dropping(hook):
        accepts = "".join(f"-A {hook.accepting} {match} -j ACCEPT\n" for match in matches)
        at = f"-A {one.name}" if one.before is None else f"-I {one.name} {one.before}"
        _write(one.command, f":{hook.accepting} - [0:0]\n{accepts}{at} -j {hook.accepting}\n")
        done.append(f"accepted {packets} before {one.text}")
    return done


def remove() -> int:
    """Take it away again; from how many chains. Raises Failed."""
    count = 0
    for hook in (FORWARD, INPUT):
        for one in _chains(hook):
            if one.is_accepted:
                own = hook.accepting
                _write(one.command, f"-D {one.name} -j {own}\n-F {own}\n-X {own}\n")
                count += 1
    return count


def _chains(hook: Hook) -> Iterator[BaseChain]:
    for command, names in _COMMANDS.items():
        if _has_table(names):
            told = run(command, "-w", _WAIT_SECONDS, "-S", _CHAINS[hook.number])
            yield _read(hook, command, told)


def _has_table(names: str) -> bool:
    """Whether the kernel has the table; to ask the command would make it."""
    try:
        return _TABLE in Path(f"/proc/net/{names}").read_text().split()
    except FileNotFoundError:
        return False


def _read(hook: Hook, command: str, told: str) -> BaseChain:
    lines = told.splitlines()
    rules = [line for line in lines if line.startswith("-A ")]
    before = next((place for place, line in enumerate(rules, 1) if _DROPS_ALL.match(line)), None)
    drops = before is not None or f"-P {_CHAINS[hook.number]} DROP" in lines
    is_accepted = any(line.endswith(f"-j {hook.accepting}") for line in rules)
    return BaseChain(hook, command, drops, before, is_accepted)


def _write(command: str, lines: str) -> None:
    run(f"{command}-restore", "--noflush", "-w", _WAIT_SECONDS, given=f"*{_TABLE}\n{lines}COMMIT\n")
