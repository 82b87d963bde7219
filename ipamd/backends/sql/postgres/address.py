"""A database's address: the URL that an operator writes, read once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from ipamd.models.errors import DatabaseUnfit

DEFAULT_PORT: Final = 5432

DRIVERS: Final = frozenset(
    (
        *(
            "host",
            "port",
            "dbname",
            "database",
            "user",
            "password",
            "passfile",
            "service",
            "krbsrvname",
            "gsslib",
        ),
        *("sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "sslnegotiation"),
        *("ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs"),
    )
)
"""What a URL may say to the driver; everything else is a setting of the server."""

READ_WRITE: Final = "read-write"

_OPTION: Final = re.compile(r"(?:-c\s*|--)([A-Za-z_][A-Za-z0-9_.-]*)=((?:\\.|[^\s\\])*)\s*")


@dataclass(frozen=True, slots=True)
class Host:
    """A server: its name, address or the folder of its Unix socket, and its port."""

    name: str
    port: int


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is.

    `url` says all but the server's settings to the driver. `hosts` are to be asked in turn for the one that
    takes writes; empty if the driver finds the only one. `settings` are the server's, for each session.
    """

    url: str
    hosts: tuple[Host, ...]
    settings: Mapping[str, str]
    seconds: float | None
    """How long each host is waited for, where the URL says so (`connect_timeout`)."""
    place: str
    """The database as a sentence names it, without user and password."""

    @classmethod
    def read(cls, url: str) -> Address:
        """Read `postgresql://USER@HOST:PORT,HOST:PORT/DATABASE?…` as libpq has it; raises DatabaseUnfit."""
        try:
            parts = urlsplit(url)
            query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
            given = dict(query)
            hosts = _hosts(parts, given)
            seconds = float(given.pop("connect_timeout", 0))
        except ValueError as error:
            raise wrong(str(error)) from None
        settings: dict[str, str] = {}
        for key, value in given.items():
            if key == "options":
                settings |= _options(value)
            elif key not in DRIVERS:
                settings[key] = value
        kept = {key: value for key, value in given.items() if key in DRIVERS}
        if len(hosts) > 1:
            # What takes no writes serves nobody here, whatever else a URL leaves open.
            kept.setdefault("target_session_attrs", READ_WRITE)
        short = parts._replace(query=urlencode(kept, quote_via=quote)).geturl()
        named = given.get("host") or parts.netloc.rpartition("@")[2] or "localhost"
        place = f"{unquote(parts.path.lstrip('/')) or '(of the user)'} on {named}"
        return cls(short, hosts if len(hosts) > 1 else (), settings, seconds or None, place)


def wrong(why: str) -> DatabaseUnfit:
    """A URL that is none."""
    return DatabaseUnfit(
        f"the URL of the database is wrong ({why}): write postgresql://USER@HOST:5432/DATABASE"
    )


def _hosts(parts: SplitResult, given: Mapping[str, str]) -> tuple[Host, ...]:
    listed = parts.netloc.rpartition("@")[2] or given.get("host", "")
    ports = given.get("port", "").split(",")
    entries = listed.split(",")
    if len(ports) not in (1, len(entries)):
        raise ValueError(f"{len(ports)} ports for {len(entries)} hosts")
    every = ports * len(entries) if len(ports) == 1 else ports
    return tuple(_host(entry, port) for entry, port in zip(entries, every, strict=True))


def _host(entry: str, port: str) -> Host:
    name, own = unquote(entry), ""
    if not name.startswith("/"):
        if name.startswith("["):
            name, _, own = name[1:].partition("]")
            own = own.removeprefix(":")
        elif name.count(":") == 1:
            name, _, own = name.partition(":")
    return Host(name, int(own or port or os.environ.get("PGPORT", "").partition(",")[0] or DEFAULT_PORT))


def _options(text: str) -> dict[str, str]:
    """The settings of libpq's `options`: `-c NAME=VALUE` and `--NAME=VALUE`."""
    settings: dict[str, str] = {}
    at = 0
    stripped = text.strip()
    while at < len(stripped):
        found = _OPTION.match(stripped, at)
        if found is None:
            raise wrong(f"options: {stripped[at:]!r} is not -c NAME=VALUE")
        settings[found[1].replace("-", "_")] = re.sub(r"\\(.)", r"\1", found[2])
        at = found.end()
    return settings
