"""Versions of the CNI specification, and what changed between them."""

from __future__ import annotations

from typing import Final

VERSIONS: Final = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
"""All released versions, oldest first."""

OLDEST: Final = VERSIONS[0]
"""The version of a configuration without `cniVersion`."""

NEWEST: Final = VERSIONS[-1]

_PLACE: Final = {version: place for place, version in enumerate(VERSIONS)}


def is_supported(version: object) -> bool:
    """Whether ipamd supports this version."""
    return isinstance(version, str) and version in _PLACE


def at_least(version: str, wanted: str) -> bool:
    """Whether a supported version is not older than another."""
    return _PLACE[version] >= _PLACE[wanted]
