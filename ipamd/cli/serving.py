"""The service's process: what `ipamd serve` runs once its settings are read."""

from __future__ import annotations

import gc
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from hosting import logs
from hosting.log_format import LogFormat
from ipamd.api.access import TokenFile
from ipamd.api.server import serve as listen
from ipamd.api.tls import TlsFiles
from ipamd.backends.registry import open_backend
from ipamd.cli.settings import DEFAULT_HISTORY_DAYS, DEFAULT_HOST, DEFAULT_PORT, LogLevel
from ipamd.engine.engine import Engine
from ipamd.models.limits import LEAK_GRACE_SECONDS, LEASE_SECONDS
from ipamd.web import make_page

__all__ = ["ServeSettings", "TlsFiles", "TokenFile", "serve_until_told_to_end"]

COLLECT_AFTER: Final = 10_000
"""The collector looks for cycles when this many more objects were made than freed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """The settings of `ipamd serve`. `uds` is the path of a Unix socket, None for TCP only."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    uds: Path | None = None
    database_url: str
    token_files: tuple[TokenFile, ...] = ()
    tls: TlsFiles | None = None
    history_days: int = DEFAULT_HISTORY_DAYS
    leak_grace: int = LEAK_GRACE_SECONDS
    lease_seconds: int = LEASE_SECONDS
    after_restore: bool = False
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.TEXT


def serve_until_told_to_end(settings: ServeSettings) -> None:
    """Serve until SIGTERM or SIGINT, then answer the requests under way, and return."""
    logs.configure(settings.log_level.number, settings.log_format)
    allow_connections()
    uvloop.run(run(settings))


def allow_connections() -> None:
    """Raise the limit of open files as far as the administrator lets us: each connection is one.

    The soft limit, often 1024, is a default for programs that use select(2).
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def keep_collector_small() -> None:
    """Let the garbage collector skip what lives as long as the process, and run less often.

    A call makes hundreds of objects and hardly a cycle: to run after every 700 objects is wasted time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 50)


async def run(settings: ServeSettings) -> None:
    """The service's whole life. Raises DomainError if it cannot start, OSError from its listeners."""
    backend = await open_backend(settings.database_url)
    try:
        engine = await Engine.open(
            backend,
            history_days=settings.history_days,
            leak_grace=settings.leak_grace,
            lease_seconds=settings.lease_seconds,
        )
    except BaseException:
        await backend.close()
        raise
    keep_collector_small()
    try:
        if settings.after_restore:
            await engine.restoring.begin()
        await listen(
            engine,
            host=settings.host,
            port=settings.port,
            uds=settings.uds,
            token_files=settings.token_files,
            tls=settings.tls,
            make_page=make_page,
        )
    finally:
        await engine.close()  # it closes the database too
