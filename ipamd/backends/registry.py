"""From a database's URL to the backend that serves it."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from ipamd.backends.interface import Backend
from ipamd.models.errors import DatabaseUnfit

GROUP: Final = "ipamd.backends"


def installed() -> dict[str, EntryPoint]:
    """The backends that packages on this machine offer, by the scheme of their URLs."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


async def open_backend(url: str) -> Backend:
    """Open the database of a URL such as `sqlite:////var/lib/ipamd/ipamd.sqlite` or `memory://`.

    An entry point of the group `ipamd.backends` is named for a scheme and leads to an async function that
    takes the URL and answers the open backend. Raises DatabaseUnfit for a scheme that nothing serves, and
    what the backend raises: DatabaseUnfit, SchemaUnfit.
    """
    scheme, colon, _ = url.partition("://")
    backends = installed()
    if not colon or scheme not in backends:
        schemes = ", ".join(f"{name}://" for name in sorted(backends)) or "none"
        raise DatabaseUnfit(f"no backend knows the database {_shown(url)}: write one of {schemes}")
    return cast(Backend, await backends[scheme].load()(url))


def _shown(url: str) -> str:
    """A URL without what may be a password."""
    scheme, colon, rest = url.partition("://")
    return repr(f"{scheme}{colon}{rest.rpartition('@')[2]}")
