"""One POST over one connection, within a deadline."""

from __future__ import annotations

import select

from cni_plugin import platform
from cni_plugin.endpoint import HTTPS, UNIX, is_ipv4
from cni_plugin.failure import BadPem, reason
from cni_plugin.response import Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from cni_plugin.clock import Deadline
    from cni_plugin.endpoint import Endpoint
    from cni_plugin.platform.shapes import Address, Stream

_AF_UNIX, _AF_INET, _AF_INET6, _SOCK_STREAM = 1, 2, 10, 1
_IPPROTO_TCP, _TCP_NODELAY = 6, 1
_EAGAIN, _EINPROGRESS, _EISCONN = 11, 115, 106
_BACKLOG_PAUSE_MS = 5
_PIECE = 4096
_CONNECT_MS = 1000  # to one address, if another may be tried after it


class _Late(Exception):
    """The deadline has passed."""


class Lost(Exception):
    """There was no response. `sent` tells whether the peer may have got the request."""

    def __init__(self, why: str, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


def post(
    one: Endpoint,
    path: str,
    headers: list[tuple[str, str]],
    body: bytes,
    deadline: Deadline,
    *,
    tls: tuple[bytes, bytes, bytes],
    is_only: bool,
) -> Response:
    """Send the body to an endpoint and give the response, whatever it says. Raises Lost and BadPem.

    `tls` holds authority, certificate and key as PEM, for https:// only. `is_only` says that no other
    endpoint is tried if this one is silent. Redirects are not followed: what is meant for one place goes to
    no other.
    """
    request = _head(one, path, headers, len(body)) + body
    connection = _Connection()
    try:
        connection.open(one, deadline, is_only)
        if one.scheme == HTTPS:
            connection.secure(one.host, tls)
        connection.send(request, deadline)
        return connection.receive(deadline)
    except _Late:
        raise Lost(f"{one.text}: no answer in time", connection.sent) from None
    except BadPem:
        raise
    except OSError as error:
        raise Lost(f"{one.text}: {reason(error)}", connection.sent) from error
    except ValueError as error:  # TLS without trust, or something that is not HTTP
        raise Lost(f"{one.text}: {error}", connection.sent) from error
    finally:
        connection.close()


def _head(one: Endpoint, path: str, headers: list[tuple[str, str]], length: int) -> bytes:
    prefix = "" if one.scheme == UNIX else one.path
    lines = [
        f"POST {prefix}{path} HTTP/1.1",
        f"host: {one.authority}",
        f"content-length: {length}",
        "connection: close",
    ]
    lines.extend([f"{name}: {value}" for name, value in headers])
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class _Plain:
    """A socket as a stream."""

    def __init__(self, sock: _socket.socket) -> None:
        self._sock = sock
        self.events = 0

    def fileno(self) -> int:
        return self._sock.fileno()

    def send(self, data: bytes | memoryview) -> int | None:
        self.events = select.POLLOUT
        try:
            return self._sock.send(data)
        except OSError as error:
            if error.errno != _EAGAIN:
                raise
        return None

    def receive(self, size: int) -> bytes | None:
        self.events = select.POLLIN
        try:
            return self._sock.recv(size)
        except OSError as error:
            if error.errno != _EAGAIN:
                raise
        return None

    def close(self) -> None:
        self._sock.close()


class _Connection:
    def __init__(self) -> None:
        self.sent = False
        self._sock: _socket.socket | None = None
        self._stream: Stream | None = None

    def open(self, one: Endpoint, deadline: Deadline, is_only: bool) -> None:
        if one.scheme == UNIX:
            self._connect(_AF_UNIX, platform.unix_address(one.path), deadline)
            return
        hosts = _addresses(one.host, deadline)
        for position, (family, text) in enumerate(hosts):
            last = position == len(hosts) - 1
            limit = (
                deadline if last and is_only else deadline.share(len(hosts) - position).within_ms(_CONNECT_MS)
            )
            try:
                self._connect(family, platform.inet_address(family, text, one.port), limit)
            except (OSError, _Late):
                self.close()
                if last:
                    raise
            else:
                return

    def _connect(self, family: int, address: Address, deadline: Deadline) -> None:
        sock = self._sock = platform.new_socket(family, _SOCK_STREAM)
        self._stream = _Plain(sock)
        if family != _AF_UNIX:
            sock.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
        while True:
            try:
                sock.connect(address)
            except OSError as error:
                if error.errno == _EAGAIN:  # a Unix socket whose queue of connections is full
                    _pause(deadline)
                elif error.errno == _EINPROGRESS:
                    _wait(
                        sock.fileno(), select.POLLOUT, deadline
                    )  # then connect again, which tells how it went
                elif error.errno == _EISCONN:
                    return
                else:
                    raise
            else:
                return

    def secure(self, host: str, tls: tuple[bytes, bytes, bytes]) -> None:
        assert self._sock is not None
        self._stream = platform.secure(self._sock, host, *tls)

    def send(self, request: bytes, deadline: Deadline) -> None:
        """Send everything, or as much as the peer took before it answered or closed."""
        stream = self._stream
        assert stream is not None
        rest = memoryview(request)
        while len(rest):
            try:
                count = stream.send(rest)
            except OSError:
                if not self.sent:
                    raise
                return  # the answer to a request that was too much may be there already
            if count is not None:
                self.sent = True
                rest = rest[count:]
            elif self.sent and stream.events == select.POLLOUT:
                if _wait(stream.fileno(), select.POLLOUT | select.POLLIN, deadline) & select.POLLIN:
                    return
            else:
                _wait(stream.fileno(), stream.events, deadline)

    def receive(self, deadline: Deadline) -> Response:
        stream = self._stream
        assert stream is not None
        response = Response()
        while True:
            data = stream.receive(_PIECE)
            if data is None:
                _wait(stream.fileno(), stream.events, deadline)
            elif data:
                if response.feed(data):
                    return response
                if deadline.left_ms() == 0:
                    raise _Late
            elif response.end():
                return response
            else:
                raise ValueError("connection closed before the answer was complete")

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None


def _addresses(host: str, deadline: Deadline) -> list[tuple[int, str]]:
    """Give the addresses of a host in the order of the attempts."""
    if is_ipv4(host):
        return [(_AF_INET, host)]
    if ":" in host:
        return [(_AF_INET6, host)]
    if host == "localhost":  # this machine, whatever a resolver says (RFC 6761)
        return [(_AF_INET, "127.0.0.1"), (_AF_INET6, "::1")]
    from cni_plugin import resolver

    return resolver.look_up(host, deadline)


def _wait(file: int, events: int, deadline: Deadline) -> int:
    """Wait until the descriptor is ready and give the events. _Late if the deadline comes first."""
    left = deadline.left_ms()
    poller = select.poll()
    poller.register(file, events)
    ready = poller.poll(left) if left else []
    if not ready:
        raise _Late
    return ready[0][1]


def _pause(deadline: Deadline) -> None:
    left = deadline.left_ms()
    if left == 0:
        raise _Late
    from cni_plugin.clock import sleep_ms

    sleep_ms(min(left, _BACKLOG_PAUSE_MS))
