"""`ipamd serve`: start the service, from its database to its listeners."""

from __future__ import annotations

import gc
import resource
from typing import Final

import uvloop

from hosting import logs
from hosting.log_format import LogFormat
from ipamd.api.access import TokenFile
from ipamd.api.server import serve as listen
from ipamd.api.tls import TlsFiles
from ipamd.backends.registry import open_backend
from ipamd.cli.settings import (
    DEFAULT_HISTORY_DAYS,
    DEFAULT_HOST,
    DEFAULT_PORT,
    AdminTokenFile,
    DatabaseUrl,
    Format,
    HistoryDays,
    Host,
    JoinTokenCluster,
    JoinTokenFile,
    Level,
    LogLevel,
    Port,
    ReaderTokenFile,
    ServeSettings,
    TlsCert,
    TlsClientCa,
    TlsKey,
    Uds,
    database_url_or_default,
    make_state_folder,
)
from ipamd.engine.engine import Engine
from ipamd.models.pool import DEFAULT_CLUSTER
from ipamd.models.token import Role

COLLECT_AFTER: Final = 50_000
"""The collector looks for cycles when this many more objects were made than freed."""


def serve(
    host: Host = DEFAULT_HOST,
    port: Port = DEFAULT_PORT,
    uds: Uds = None,
    database_url: DatabaseUrl = None,
    admin_token_file: AdminTokenFile = None,
    reader_token_file: ReaderTokenFile = None,
    join_token_file: JoinTokenFile = None,
    join_token_cluster: JoinTokenCluster = DEFAULT_CLUSTER,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    history_days: HistoryDays = DEFAULT_HISTORY_DAYS,
    log_level: Level = LogLevel.INFO,
    log_format: Format = LogFormat.TEXT,
) -> None:
    """Serve until SIGTERM or SIGINT, then answer the requests under way and exit.

    A SQLite database is created and migrated if it needs to be.
    """
    own = (
        (Role.ADMIN, admin_token_file, None),
        (Role.READER, reader_token_file, None),
        (Role.JOIN, join_token_file, join_token_cluster),
    )
    settings = ServeSettings(
        host=host,
        port=port,
        uds=uds,
        database_url=database_url_or_default(database_url),
        token_files=tuple(TokenFile(role, file, cluster) for role, file, cluster in own if file is not None),
        tls=TlsFiles.named(tls_cert, tls_key, tls_client_ca),
        history_days=history_days,
        log_level=log_level,
        log_format=log_format,
    )
    if not database_url:
        make_state_folder()
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
        engine = await Engine.open(backend, history_days=settings.history_days)
    except BaseException:
        await backend.close()
        raise
    keep_collector_small()
    try:
        await listen(
            engine,
            host=settings.host,
            port=settings.port,
            uds=settings.uds,
            token_files=settings.token_files,
            tls=settings.tls,
        )
    finally:
        await engine.close()  # it closes the database too
