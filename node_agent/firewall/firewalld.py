"""Firewalld: a zone of ours, and policies by which it accepts what is forwarded from there and to there.

It keeps them itself, over reloads. What containers may reach on the node is left to the services of the zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from node_agent.firewall.command import Failed, is_here, run

_COMMAND: Final = "firewall-cmd"
_ZONE: Final = "ipamd"
_POLICIES: Final = {"ipamd-out": (_ZONE, "ANY"), "ipamd-in": ("ANY", _ZONE)}
"""From which zone, to which."""


def put(interfaces: Sequence[str]) -> list[str]:
    """Have it accept what these interfaces send and get, if it runs; what was done. Raises Failed."""
    if not _runs():
        return []
    zones, policies = _names("zones"), _names("policies")
    has_all = _ZONE in zones and set(_POLICIES) <= policies
    if has_all and _permanently(f"--zone={_ZONE}", "--list-interfaces").split() == sorted(interfaces):
        return []
    if _ZONE in zones:
        _permanently(f"--delete-zone={_ZONE}")
    _permanently(f"--new-zone={_ZONE}")
    for name in sorted(interfaces):
        _permanently(f"--zone={_ZONE}", f"--add-interface={name}")
    for policy, (source, destination) in _POLICIES.items():
        if policy in policies:
            _permanently(f"--delete-policy={policy}")
        _permanently(f"--new-policy={policy}")
        for change in (
            f"--add-ingress-zone={source}",
            f"--add-egress-zone={destination}",
            "--set-target=ACCEPT",
        ):
            _permanently(f"--policy={policy}", change)
    run(_COMMAND, "--reload")
    return [f"firewalld has zone {_ZONE}, and accepts what is forwarded from there and to there"]


def remove() -> bool:
    """Take it away again, if firewalld runs; whether there was anything. Raises Failed."""
    if not _runs() or _ZONE not in _names("zones"):
        return False
    for policy in _names("policies") & set(_POLICIES):
        _permanently(f"--delete-policy={policy}")
    _permanently(f"--delete-zone={_ZONE}")
    run(_COMMAND, "--reload")
    return True


def _runs() -> bool:
    if not is_here(_COMMAND):
        return False
    try:
        run(_COMMAND, "--state")
    except Failed:
        return False
    return True


def _names(of: str) -> set[str]:
    return set(_permanently(f"--get-{of}").split())


def _permanently(*arguments: str) -> str:
    return run(_COMMAND, "--permanent", *arguments)
