"""Every setting of the service: its name, its variable, its default."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from hosting.log_format import LogFormat
from ipamd.api.access import TokenFile
from ipamd.api.tls import TlsFiles

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
    typer.Option("--port", envvar="IPAMD_PORT", show_envvar=True, min=1, max=65535, help="TCP port."),
]
Uds = Annotated[
    Path | None,
    typer.Option(
        "--uds", envvar="IPAMD_UDS", show_envvar=True, metavar="PATH", help="Unix socket to listen on too."
    ),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        envvar="IPAMD_DATABASE_URL",
        show_envvar=True,
        metavar="URL",
        help="sqlite:///PATH, postgresql://… or memory://. Default: a SQLite file in the state folder.",
    ),
]
AdminTokenFile = Annotated[
    Path | None,
    typer.Option(
        "--admin-token-file",
        envvar="IPAMD_ADMIN_TOKEN_FILE",
        show_envvar=True,
        metavar="PATH",
        help="File with a token of your own for admins.",
    ),
]
ReaderTokenFile = Annotated[
    Path | None,
    typer.Option(
        "--reader-token-file",
        envvar="IPAMD_READER_TOKEN_FILE",
        show_envvar=True,
        metavar="PATH",
        help="File with a token of your own for readers.",
    ),
]
JoinTokenFile = Annotated[
    Path | None,
    typer.Option(
        "--join-token-file",
        envvar="IPAMD_JOIN_TOKEN_FILE",
        show_envvar=True,
        metavar="PATH",
        help="File with a token of your own for nodes that join.",
    ),
]
JoinTokenCluster = Annotated[
    str,
    typer.Option(
        "--join-token-cluster",
        envvar="IPAMD_JOIN_TOKEN_CLUSTER",
        show_envvar=True,
        metavar="NAME",
        help="The cluster whose nodes that one lets in.",
    ),
]
TlsCert = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert",
        envvar="IPAMD_TLS_CERT",
        show_envvar=True,
        metavar="PATH",
        help="PEM of a certificate with its chain: serve TCP by TLS alone.",
    ),
]
TlsKey = Annotated[
    Path | None,
    typer.Option(
        "--tls-key", envvar="IPAMD_TLS_KEY", show_envvar=True, metavar="PATH", help="PEM of its key."
    ),
]
TlsClientCa = Annotated[
    Path | None,
    typer.Option(
        "--tls-client-ca",
        envvar="IPAMD_TLS_CLIENT_CA",
        show_envvar=True,
        metavar="PATH",
        help="PEM of the authorities whose client certificates name nodes.",
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
        help="So long ended allocations are remembered; 0: for ever.",
    ),
]
Level = Annotated[
    LogLevel,
    typer.Option("--log-level", envvar="IPAMD_LOG_LEVEL", show_envvar=True, help="Least severe line."),
]
Format = Annotated[
    LogFormat,
    typer.Option("--log-format", envvar="IPAMD_LOG_FORMAT", show_envvar=True, help="Form of a line."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """What `ipamd serve` runs with. `uds` is a Unix socket's path, None for TCP alone."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    uds: Path | None = None
    database_url: str
    token_files: tuple[TokenFile, ...] = ()
    tls: TlsFiles | None = None
    history_days: int = DEFAULT_HISTORY_DAYS
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.TEXT


def database_url_or_default(url: str | None) -> str:
    """The URL that is given, or that of the SQLite file in the state folder."""
    return url or f"sqlite:///{_own_state_folder() / 'ipamd.sqlite'}"


def make_state_folder() -> None:
    """Make the folder of the default database, for this user alone, unless it is there."""
    _own_state_folder().mkdir(mode=0o700, parents=True, exist_ok=True)


def _own_state_folder() -> Path:
    return state_folder(os.environ, root=os.geteuid() == 0)


def state_folder(environment: Mapping[str, str], *, root: bool) -> Path:
    """Where the service keeps its own file: /var/lib/ipamd for root, else under the user's state folder."""
    if root:
        return Path("/var/lib/ipamd")
    named = environment.get("XDG_STATE_HOME", "")
    # The XDG specification has relative paths ignored.
    folder = Path(named) if named.startswith("/") else Path("~/.local/state").expanduser()
    return folder / "ipamd"
