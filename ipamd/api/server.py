"""The listeners: TCP and a Unix socket, with one event loop and one application."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Final, cast

import structlog

from hosting.failure import SocketInUse, SocketUnusable
from hosting.serving import Listener, configuration
from hosting.serving import serve as run
from hosting.sockets import tcp_socket, unix_socket
from hosting.systemd import inherited_socket
from hosting.watching import Watched, keep_loaded
from ipamd.api.access import Access, TokenFile
from ipamd.api.application import Application, MakePage
from ipamd.api.call_measures import CallMeasures
from ipamd.api.cni import Calls
from ipamd.api.loopback import Loopback
from ipamd.api.protocol import protocol_of, sweep
from ipamd.api.tls import Certificates, TlsFiles
from ipamd.engine.engine import Engine
from ipamd.models.address import IPAddress
from ipamd.models.errors import DomainError, InvalidValue

HANDSHAKE_SECONDS: Final = 5.0
FAREWELL_SECONDS: Final = 1.0
"""How long a peer may take to confirm the end of TLS. A peer with an idle connection may never do it."""

BACKLOG: Final = 2048

log = structlog.get_logger()


class _Server(Listener):
    """One listener. Its handshakes have a deadline."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. In uvicorn's own method a handshake may take a minute."""
        config = self.config
        connect = partial(
            cast(Callable[..., asyncio.Protocol], config.http_protocol_class),
            config=config,
            server_state=self.server_state,
            app_state={},
        )
        limit = HANDSHAKE_SECONDS if config.ssl is not None else None
        farewell = FAREWELL_SECONDS if config.ssl is not None else None
        self.servers = [
            await asyncio.get_running_loop().create_server(
                connect,
                sock=each,
                ssl=config.ssl,
                backlog=config.backlog,
                ssl_handshake_timeout=limit,
                ssl_shutdown_timeout=farewell,
            )
            for each in sockets or ()
        ]
        self.started = True
        self.listening.set()


async def serve(
    engine: Engine,
    *,
    host: str,
    port: int,
    uds: Path | None,
    token_files: Sequence[TokenFile] = (),
    tls: TlsFiles | None = None,
    make_page: MakePage | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then answer the requests under way and return.

    Raises InvalidValue if ipamd must not listen on the address, OSError if it cannot.
    """
    address = _address(host)
    access = Access(engine, always=not address.is_loopback)
    watched = [
        Watched(own.title, [own.path], partial(access.accept, own), DomainError) for own in token_files
    ]
    if not address.is_loopback and not access.has_tokens:
        raise InvalidValue(
            "--host",
            f"{address} is not loopback: without tokens ipamd listens only on loopback and --uds; make a "
            "token with `ipamd token create` first",
        )
    certificates = None
    if tls is not None:
        certificates = Certificates(tls)
        watched.append(Watched("TLS", tls.all, certificates.load, DomainError))
    elif not address.is_loopback:
        log.warning("tokens arrive here unencrypted: end TLS on this machine or next to it", host=host)
    calls = Calls(engine, access, CallMeasures())
    application = Application(engine, access, calls, make_page)
    with contextlib.ExitStack() as sockets:
        tcp = sockets.enter_context(tcp_socket(address, port))
        listeners = [(http_server(Loopback(application, access, any_host=False), calls, certificates), tcp)]
        unix = _unix_listener(sockets, uds)
        if unix is not None:
            listeners.append((http_server(Loopback(application, access, any_host=True), calls), unix))
        log.info("listening", host=host, port=tcp.getsockname()[1], uds=str(uds) if uds else None)
        beside = [keep_loaded(watched), sweep([server for server, _ in listeners]), _after_start(application)]
        await run(listeners, beside, engine.end_waiting)
    log.info("stopped")


async def _after_start(application: Application) -> None:
    """Load what no call of the plugin waits for."""
    await application.load()


def http_server(application: Loopback, calls: Calls, certificates: Certificates | None = None) -> _Server:
    """A server for one application, without everything else that uvicorn would do."""
    config = configuration(
        application,
        http=protocol_of(calls, application),
        backlog=BACKLOG,
        reset_contextvars=True,  # else the log may name who sent the request before on this connection
    )
    config.load()
    config.ssl = certificates.listening if certificates is not None else None
    return _Server(config)


def _address(host: str) -> IPAddress:
    try:
        return ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        raise InvalidValue(
            "--host", f"{host!r} is not an address: write one such as 127.0.0.1 or ::1"
        ) from None


def _unix_listener(sockets: contextlib.ExitStack, uds: Path | None) -> socket.socket | None:
    """The Unix socket that systemd opened, else the one of --uds, or None."""
    try:
        inherited = inherited_socket()
    except SocketUnusable as error:
        raise InvalidValue("LISTEN_FDS", str(error)) from None
    if inherited is not None:
        if uds is not None:
            raise InvalidValue("--uds", "systemd has opened a Unix socket for ipamd: leave this option out")
        return sockets.enter_context(inherited)
    if uds is None:
        return None
    try:
        return sockets.enter_context(unix_socket(uds))
    except (SocketUnusable, SocketInUse) as error:
        raise InvalidValue("--uds", str(error)) from None
