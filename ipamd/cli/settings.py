"""The settings of the service: their names, variables and defaults."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from hosting.log_format import LogFormat
from ipamd.models.limits import LEASE_SECONDS, LEAST_LEASE_SECONDS

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8750
DEFAULT_HISTORY_DAYS: Final = 90


class LogLevel(StrEnum):
    """The least severe line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """The same level as `logging` counts it."""
        return logging.getLevelNamesMapping()[self.name]


Host = Annotated[
    str, typer.Option("--host", envvar="IPAMD_HOST", show_envvar=True, help="Address to listen on.")
]
Port = Annotated[
    int,
    typer.Option(
        "--port", envvar="IPAMD_PORT", show_envvar=True, min=1, max=65535, help="TCP port to listen on."
    ),
]
Uds = Annotated[
    Path | None,
    typer.Option(
        "--uds", envvar="IPAMD_UDS", show_envvar=True, metavar="PATH", help="Also listen on this Unix socket."
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="IPAMD_DATABASE_URL",
        show_envvar=True,
        metavar="URL",
        help="sqlite:///PATH, postgresql://… or memory://. Default: a SQLite file in /var/lib/ipamd if root "
        "runs it, else in ~/.local/state/ipamd.",
    ),
]
AdminTokenFile = Annotated[
    Path | None,
    typer.Option(
        "--admin-token-file",
        envvar="IPAMD_ADMIN_TOKEN_FILE",
        show_envvar=True,
        metavar="PATH",
        help="Accept the token in this file as an admin's.",
    ),
]
ReaderTokenFile = Annotated[
    Path | None,
    typer.Option(
        "--reader-token-file",
        envvar="IPAMD_READER_TOKEN_FILE",
        show_envvar=True,
        metavar="PATH",
        help="Accept the token in this file as a reader's.",
    ),
]
JoinTokenFile = Annotated[
    Path | None,
    typer.Option(
        "--join-token-file",
        envvar="IPAMD_JOIN_TOKEN_FILE",
        show_envvar=True,
        metavar="PATH",
        help="Accept the token in this file from nodes that join.",
    ),
]
JoinTokenCluster = Annotated[
    str,
    typer.Option(
        "--join-token-cluster",
        envvar="IPAMD_JOIN_TOKEN_CLUSTER",
        show_envvar=True,
        metavar="NAME",
        help="Cluster that nodes join with --join-token-file, and of which --inventory-token-file speaks.",
    ),
]
InventoryTokenFile = Annotated[
    Path | None,
    typer.Option(
        "--inventory-token-file",
        envvar="IPAMD_INVENTORY_TOKEN_FILE",
        show_envvar=True,
        metavar="PATH",
        help="Accept the token in this file from who says which nodes the cluster has.",
    ),
]
TlsCert = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert",
        envvar="IPAMD_TLS_CERT",
        show_envvar=True,
        metavar="PATH",
        help="Certificate with its chain, as PEM. TCP is then TLS only.",
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option(
        "--tls-key",
        envvar="IPAMD_TLS_KEY",
        show_envvar=True,
        metavar="PATH",
        help="Key of the certificate, as PEM.",
    ),
]
TlsClientCa = Annotated[
    Path | None,
    typer.Option(
        "--tls-client-ca",
        envvar="IPAMD_TLS_CLIENT_CA",
        show_envvar=True,
        metavar="PATH",
        help="Authorities whose client certificates identify nodes, as PEM.",
    ),
]
HistoryDays = Annotated[
    int,
    typer.Option(
        "--history-days",
        envvar="IPAMD_HISTORY_DAYS",
        show_envvar=True,
        min=0,
        max=36500,
        help="Days to keep the history of an address; 0 keeps it for ever.",
    ),
]
LeakGrace = Annotated[
    int,
    typer.Option(
        "--leak-grace",
        envvar="IPAMD_LEAK_GRACE",
        show_envvar=True,
        min=1,
        max=86_400,
        help="Seconds between the two reports of a node's agent that free a dead container's address.",
    ),
]
LeaseSeconds = Annotated[
    int,
    typer.Option(
        "--lease-seconds",
        envvar="IPAMD_LEASE_SECONDS",
        show_envvar=True,
        min=LEAST_LEASE_SECONDS,
        max=LEASE_SECONDS,
        help="How long a node may give addresses that it holds in advance without hearing of ipamd.",
    ),
]
AfterRestore = Annotated[
    bool,
    typer.Option(
        "--after-restore",
        help="The database was put back: give nothing to anybody new until all nodes have said what lives on "
        "them. Kept in the database, for all replicas and restarts.",
    ),
]
Level = Annotated[
    LogLevel,
    typer.Option(
        "--log-level", envvar="IPAMD_LOG_LEVEL", show_envvar=True, help="Least severe log lines to write."
    ),
]
Format = Annotated[
    LogFormat,
    typer.Option("--log-format", envvar="IPAMD_LOG_FORMAT", show_envvar=True, help="Format of the log."),
]


def database_url_or_default(url: str | None) -> str:
    """The given URL, else the URL of the SQLite file in the state folder."""
    return url or f"sqlite:///{_own_state_folder() / 'ipamd.sqlite'}"


def make_state_folder() -> None:
    """Make the folder of the default database, readable by this user only, unless it exists."""
    _own_state_folder().mkdir(mode=0o700, parents=True, exist_ok=True)


def _own_state_folder() -> Path:
    return state_folder(os.environ, root=os.geteuid() == 0)


def state_folder(environment: Mapping[str, str], *, root: bool) -> Path:
    """The folder of the default database: /var/lib/ipamd for root, else in the user's state folder."""
    if root:
        return Path("/var/lib/ipamd")
    named = environment.get("XDG_STATE_HOME", "")
    # The XDG specification has relative paths ignored.
    folder = Path(named) if named.startswith("/") else Path("~/.local/state").expanduser()
    return folder / "ipamd"
