"""A CNI network configuration as a file holds it, plain or a list, and what libcni makes of it.

libcni hands a plugin its part of the list with the list's name and version put in, an empty version if the
list has none (libcni, `buildOneConfig` and `InjectConf`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

OUR_PLUGIN: Final = "ipamd-ipam"
_NEWEST: Final = (1, 1, 0)


class NotOurs(ValueError):
    """A file with which no plugin asks ipamd; says what it asks instead."""


def configuration_for_ipamd(document: object) -> dict[str, Any]:
    """The configuration that `ipamd-ipam` gets on stdin: of the first plugin whose `ipam` names it.

    Raises NotOurs.
    """
    handed = handed_on(document)
    for configuration in handed:
        if _ipam_type(configuration) == OUR_PLUGIN:
            return configuration
    others = dict.fromkeys(kind for kind in map(_ipam_type, handed) if kind)
    if others:
        raise NotOurs(f"asks another IPAM plugin: {', '.join(others)}")
    if any("ipam" in configuration for configuration in handed):
        raise NotOurs(f"asks no IPAM plugin: its `ipam` has no type, and {OUR_PLUGIN} is wanted")
    raise NotOurs("has no network configuration with an `ipam` object: it asks no IPAM plugin")


def handed_on(document: object) -> list[dict[str, Any]]:
    """What each plugin of a network configuration gets, none if the document is no such thing."""
    if not isinstance(document, dict):
        return []
    if "plugins" not in document:
        return [document]
    plugins = document["plugins"]
    if not isinstance(plugins, list):
        return []
    head = {"cniVersion": _version(document)}
    if "name" in document:
        head["name"] = document["name"]
    return [{**_without_name(plugin), **head} for plugin in plugins if isinstance(plugin, dict)]


def _without_name(plugin: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in plugin.items() if key != "name"}


def _version(document: Mapping[str, Any]) -> Any:
    """The version that libcni picks: if a list offers several, the newest that it speaks."""
    given, offered = document.get("cniVersion", ""), document.get("cniVersions")
    if not isinstance(offered, list):
        return given
    spoken = [each for each in (*offered, given) if isinstance(each, str) and () < _order(each) <= _NEWEST]
    return max(spoken, key=_order, default=given)


def _order(version: str) -> tuple[int, ...]:
    """A version as numbers, empty for what is none."""
    parts = version.split(".")
    if all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts):
        return tuple(map(int, parts))
    return ()


def _ipam_type(configuration: Mapping[str, Any]) -> str:
    section = configuration.get("ipam")
    kind = section.get("type") if isinstance(section, dict) else None
    return kind if isinstance(kind, str) else ""
