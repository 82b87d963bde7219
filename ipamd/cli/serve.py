"""`ipamd serve`: start the service, from its database to its listeners."""

from __future__ import annotations

from hosting.log_format import LogFormat
from ipamd.cli.settings import (
    DEFAULT_HISTORY_DAYS,
    DEFAULT_HOST,
    DEFAULT_PORT,
    AdminTokenFile,
    AfterRestore,
    DatabaseUrl,
    Format,
    HistoryDays,
    Host,
    InventoryTokenFile,
    JoinTokenCluster,
    JoinTokenFile,
    LeakGrace,
    LeaseSeconds,
    Level,
    LogLevel,
    Port,
    ReaderTokenFile,
    TlsCert,
    TlsClientCa,
    TlsKey,
    Uds,
    database_url_or_default,
    make_state_folder,
)
from ipamd.models.limits import LEAK_GRACE_SECONDS, LEASE_SECONDS
from ipamd.models.pool import DEFAULT_CLUSTER
from ipamd.models.token import Role


def serve(
    host: Host = DEFAULT_HOST,
    port: Port = DEFAULT_PORT,
    uds: Uds = None,
    database_url: DatabaseUrl = None,
    admin_token_file: AdminTokenFile = None,
    reader_token_file: ReaderTokenFile = None,
    join_token_file: JoinTokenFile = None,
    join_token_cluster: JoinTokenCluster = DEFAULT_CLUSTER,
    inventory_token_file: InventoryTokenFile = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    history_days: HistoryDays = DEFAULT_HISTORY_DAYS,
    leak_grace: LeakGrace = LEAK_GRACE_SECONDS,
    lease_seconds: LeaseSeconds = LEASE_SECONDS,
    after_restore: AfterRestore = False,
    log_level: Level = LogLevel.INFO,
    log_format: Format = LogFormat.TEXT,
) -> None:
    """Serve until SIGTERM or SIGINT, then answer the requests under way and exit.

    A SQLite database is created and migrated if it needs to be.
    """
    # Imported here, as no other command needs it: each start waits for its imports.
    from ipamd.cli.serving import ServeSettings, TlsFiles, TokenFile, serve_until_told_to_end

    own = (
        (Role.ADMIN, admin_token_file, None),
        (Role.READER, reader_token_file, None),
        (Role.JOIN, join_token_file, join_token_cluster),
        (Role.INVENTORY, inventory_token_file, join_token_cluster),
    )
    settings = ServeSettings(
        host=host,
        port=port,
        uds=uds,
        database_url=database_url_or_default(database_url),
        token_files=tuple(TokenFile(role, file, cluster) for role, file, cluster in own if file is not None),
        tls=TlsFiles.named(tls_cert, tls_key, tls_client_ca),
        history_days=history_days,
        leak_grace=leak_grace,
        after_restore=after_restore,
        lease_seconds=lease_seconds,
        log_level=log_level,
        log_format=log_format,
    )
    if not database_url:
        make_state_folder()
    serve_until_told_to_end(settings)
