"""The listeners: TCP on loopback and a Unix socket, one event loop, one application."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import signal
import socket
import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Final, cast

import structlog
import uvicorn

from ipamd.api.access import Access, TokenFile
from ipamd.api.application import Application
from ipamd.api.cni import Calls
from ipamd.api.loopback import Loopback
from ipamd.api.metrics import CallMeasures
from ipamd.api.protocol import protocol_of, sweep
from ipamd.api.systemd import inherited_socket, notify
from ipamd.api.tls import Certificates, TlsFiles
from ipamd.api.watching import Watched, keep_loaded
from ipamd.engine.engine import Engine
from ipamd.models.address import IPAddress
from ipamd.models.errors import InvalidValue

GRACE: Final = 15
"""Seconds for what was taken to be answered, once the service is told to end."""

HANDSHAKE_SECONDS: Final = 5.0
FAREWELL_SECONDS: Final = 1.0
"""For a peer to confirm the end of TLS: who keeps an idle connection open for later does not look at it."""

BACKLOG: Final = 2048
GROUP: Final = "ipamd"
SOCKET_MODE: Final = 0o660
LONGEST_SOCKET_PATH: Final = 107
"""Bytes of a path in `sockaddr_un` (unix(7)), less the NUL at its end."""

_PROBE_SECONDS: Final = 1.0

log = structlog.get_logger()


class _Server(uvicorn.Server):
    """One listener. Signals are its owner's business: several listeners end together."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; uvicorn's own would let a handshake take a minute."""
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
) -> None:
    """Serve until SIGTERM or SIGINT, then answer what was taken, and return.

    Raises InvalidValue for an address that may not be listened on, OSError for one that cannot.
    """
    address = _address(host)
    access = Access(engine, always=not address.is_loopback)
    watched = [Watched(own.title, [own.path], partial(access.accept, own)) for own in token_files]
    if not address.is_loopback and not access.has_tokens:
        raise InvalidValue(
            "--host",
            f"{address} is not loopback, and without tokens ipamd serves loopback and --uds only: "
            "make one with `ipamd token create`",
        )
    certificates = None
    if tls is not None:
        certificates = Certificates(tls)
        watched.append(Watched("TLS", tls.all, certificates.load))
    elif not address.is_loopback:
        log.warning("whatever ends TLS before this must be near: tokens come here in the open", host=host)
    measures = CallMeasures()
    application, calls = Application(engine, access, measures), Calls(engine, access, measures)
    with contextlib.ExitStack() as sockets:
        tcp = sockets.enter_context(_tcp_socket(address, port))
        listeners = [(http_server(Loopback(application, access, any_host=False), calls, certificates), tcp)]
        unix = _unix_listener(sockets, uds)
        if unix is not None:
            listeners.append((http_server(Loopback(application, access, any_host=True), calls), unix))
        with _until_told_to_end([server for server, _ in listeners]):
            log.info("listening", host=host, port=tcp.getsockname()[1], uds=str(uds) if uds else None)
            async with asyncio.TaskGroup() as tasks:
                beside = [
                    tasks.create_task(keep_loaded(watched)),
                    tasks.create_task(sweep([server for server, _ in listeners])),
                ]
                serving = [tasks.create_task(server.serve(sockets=[each])) for server, each in listeners]
                for server, _ in listeners:
                    await server.listening.wait()
                notify("READY=1")
                await asyncio.wait(serving)
                for task in beside:
                    task.cancel()
    log.info("ended")


def http_server(application: Loopback, calls: Calls, certificates: Certificates | None = None) -> _Server:
    """The server as ipamd has it: without what it would do beside serving one application."""
    config = uvicorn.Config(
        application,
        loop="none",
        http=protocol_of(calls, application),
        ws="none",
        lifespan="off",
        backlog=BACKLOG,
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        reset_contextvars=True,  # else a request's log may name whoever asked before it on its connection
        timeout_graceful_shutdown=GRACE,
    )
    config.load()
    config.ssl = certificates.listening if certificates is not None else None
    return _Server(config)


@contextlib.contextmanager
def _until_told_to_end(servers: list[_Server]) -> Iterator[None]:
    """Ends the servers at the first SIGTERM or SIGINT; at the second without waiting for anybody."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        notify("STOPPING=1")
        for server in servers:
            server.force_exit = server.should_exit
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _address(host: str) -> IPAddress:
    try:
        return ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError:
        raise InvalidValue("--host", f"{host!r} is not an address: write 127.0.0.1 or ::1") from None


@contextlib.contextmanager
def _tcp_socket(address: IPAddress, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((str(address), port))
        except OSError as error:
            raise OSError(f"cannot listen on {address} port {port}: {error.strerror}") from None
        yield listener


def _unix_listener(sockets: contextlib.ExitStack, uds: Path | None) -> socket.socket | None:
    """The Unix socket that systemd opened, else one of our own, where either is asked for."""
    inherited = inherited_socket()
    if inherited is not None:
        if uds is not None:
            raise InvalidValue("--uds", "systemd opens a Unix socket for ipamd already: leave it out")
        return sockets.enter_context(inherited)
    return sockets.enter_context(_unix_socket(uds)) if uds is not None else None


@contextlib.contextmanager
def _unix_socket(path: Path) -> Iterator[socket.socket]:
    """A Unix socket for root and the group `ipamd`. The file goes with it."""
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise InvalidValue(
            "--uds", f"{path} is longer than the {LONGEST_SOCKET_PATH} bytes of a socket's path"
        )
    _make_way(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # The mask counts while the file is made: at no moment may others connect.
        before = os.umask(0o777 & ~SOCKET_MODE)
        try:
            listener.bind(str(path))
        except OSError as error:
            raise OSError(f"cannot listen on {path}: {error.strerror}") from None
        finally:
            os.umask(before)
        _give_to_group(path)
        made = path.stat()
        try:
            yield listener
        finally:
            with contextlib.suppress(FileNotFoundError):
                now = path.stat()
                if (now.st_dev, now.st_ino) == (made.st_dev, made.st_ino):
                    path.unlink()


def _make_way(path: Path) -> None:
    """Remove the socket that a killed process left behind; raises InvalidValue for anything else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise InvalidValue("--uds", f"{path} is there already and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            pass  # somebody listens there, and is busy
    raise InvalidValue("--uds", f"another process listens on {path}: end it, or name another path")


def _give_to_group(path: Path) -> None:
    try:
        group = grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return
    try:
        os.chown(path, -1, group)
    except PermissionError:
        log.warning("the socket stays with its own group", uds=str(path), wanted=GROUP)
