"""Finds the backend for the URL of a database."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from ipamd.backends.interface import Backend
from ipamd.models.errors import DatabaseUnfit

GROUP: Final = "ipamd.backends"


def installed() -> dict[str, EntryPoint]:
    """The installed backends, by the schemes of their URLs."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


async def open_backend(url: str) -> Backend:
    """Open the database of a URL such as `sqlite:////var/lib/ipamd/ipamd.sqlite` or `memory://`.

    An entry point of the group `ipamd.backends` has the name of a scheme. Its value is an async function that
    takes the URL and returns the open backend. Raises DatabaseUnfit for an unknown scheme, and what the
    backend raises: DatabaseUnfit, SchemaUnfit.
    """
    scheme, colon, _ = url.partition("://")
    backends = installed()
    if not colon or scheme not in backends:
        schemes = ", ".join(f"{name}://" for name in sorted(backends)) or "none"
        raise DatabaseUnfit(f"no backend knows the database {_shown(url)}: write one of {schemes}")
    return cast(Backend, await backends[scheme].load()(url))


def _shown(url: str) -> str:
    """A URL without anything that may be a password."""
    scheme, colon, rest = url.partition("://")
    return repr(f"{scheme}{colon}{rest.rpartition('@')[2]}")
