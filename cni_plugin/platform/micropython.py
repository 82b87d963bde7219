"""The primitives in the static executable: raw system calls through `_linux`, which is part of it."""

from __future__ import annotations

import hashlib
import os
import select
import socket

import _linux

from cni_plugin import tls_words
from cni_plugin.failure import BadPem

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from typing import NoReturn

    import tls

    from cni_plugin.platform.shapes import Address, Stream

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_STATX_BASIC_STATS = 0x7FF
_CLOCK_BOOTTIME = 7
_LOCK_EX_NB = 2 | 4
_EAGAIN = 11
_LARGEST_ERRNO = -256  # of the system's, as the library turns them round
_CLOSED = (32, 104)  # EPIPE, ECONNRESET
_CLONE_NEWNET = 0x40000000
_AF_NETLINK = 16
_SOCK_RAW = 3
_SOCK_CLOEXEC = 0o2000000

O_DIRECTORY = _linux.O_DIRECTORY  # another number on every architecture


def guard_streams() -> None:
    """Do nothing: the executable has filled what was closed of descriptors 0 to 2."""


def environment(name: str) -> str | None:
    """Give a variable, None if it is not set; ValueError if it is not UTF-8."""
    return os.getenv(name)


def uptime_ns() -> int:
    """Give CLOCK_BOOTTIME, which goes on while the machine sleeps and never steps."""
    time = bytearray(16)
    _linux.syscall(_linux.SYS_clock_gettime, _CLOCK_BOOTTIME, time)
    return int.from_bytes(time[:8], "little") * 1_000_000_000 + int.from_bytes(time[8:], "little")


def host_name() -> str:
    """Give the kernel's host name."""
    names = bytearray(6 * 65)
    _linux.syscall(_linux.SYS_uname, names)
    return bytes(names[65:130]).split(b"\0")[0].decode()


def random_number() -> int:
    """Give 16 random bits."""
    bits = bytearray(2)
    _linux.syscall(_linux.SYS_getrandom, bits, 2, 0)
    return int.from_bytes(bits, "big")


def detach(kept: int = 2) -> bool:
    """Go on as two processes; True in the new one, for which nobody waits. It has one file open, or none."""
    return _linux.detach(kept)


def exit_now(status: int) -> NoReturn:
    """End this process, with nothing finalised."""
    while True:
        _linux.syscall(_linux.SYS_exit_group, status)


def random_bytes(size: int) -> bytes:
    """Give so many random bytes."""
    data = bytearray(size)
    _linux.syscall(_linux.SYS_getrandom, data, size, 0)
    return bytes(data)


def effective_user() -> int:
    """Give the effective user."""
    return _linux.syscall(_linux.SYS_geteuid)


def process_id() -> int:
    """Give this process's number."""
    return _linux.syscall(_linux.SYS_getpid)


def open_file(path: str, flags: int, mode: int = 0) -> int:
    """Open a file."""
    return _linux.syscall(_linux.SYS_openat, _AT_FDCWD, path.encode() + b"\0", flags, mode)


def make_folder(path: str, mode: int) -> None:
    """Make a folder."""
    _linux.syscall(_linux.SYS_mkdirat, _AT_FDCWD, path.encode() + b"\0", mode)


def file_status(file: int) -> tuple[int, int, int]:
    """Give mode, owner and size of an open file (statx: its structure is the same on every architecture)."""
    status = bytearray(256)
    _linux.syscall(_linux.SYS_statx, file, b"\0", _AT_EMPTY_PATH, _STATX_BASIC_STATS, status)
    return (
        int.from_bytes(status[28:30], "little"),
        int.from_bytes(status[20:24], "little"),
        int.from_bytes(status[40:48], "little"),
    )


def read(file: int, size: int) -> bytes:
    """Read at most so many bytes, none at the end."""
    data = bytearray(size)
    return bytes(memoryview(data)[: _linux.syscall(_linux.SYS_read, file, data, size)])


def write(file: int, data: bytes | memoryview) -> int:
    """Write a part and give its size."""
    return _linux.syscall(_linux.SYS_write, file, data, len(data))


def read_at(file: int, size: int, offset: int) -> bytes:
    """Read at most so many bytes from an offset on."""
    data = bytearray(size)
    return bytes(memoryview(data)[: _linux.syscall(_linux.SYS_pread64, file, data, size, offset)])


def write_at(file: int, data: bytes, offset: int) -> int:
    """Write at an offset and give how much was written."""
    return _linux.syscall(_linux.SYS_pwrite64, file, data, len(data), offset)


def sha256(data: bytes) -> bytes:
    """Give the SHA-256 of the bytes."""
    return hashlib.sha256(data).digest()


def sync(file: int) -> None:
    """Make a file or a folder durable."""
    _linux.syscall(_linux.SYS_fsync, file)


def close(file: int) -> None:
    """Close a file."""
    _linux.syscall(_linux.SYS_close, file)


def try_lock(file: int) -> bool:
    """Take the file's exclusive lock (flock) if nobody holds it; it goes with the descriptor."""
    try:
        _linux.syscall(_linux.SYS_flock, file, _LOCK_EX_NB)
    except OSError as error:
        if error.errno != _EAGAIN:
            raise
        return False
    return True


def lock_within(file: int, milliseconds: int) -> bool:
    """Take the file's exclusive lock (flock) if it is free within that time; it goes with the descriptor."""
    return _linux.lock(file, milliseconds)


def new_socket(family: int, kind: int) -> _socket.socket:
    """Make a socket that does not block."""
    made = socket.socket(family, kind)
    made.setblocking(False)
    return made


def netlink_socket(protocol: int) -> _socket.socket:
    """Make a netlink socket of a protocol that does not block, in the network namespace of this process."""
    made = socket.socket(_AF_NETLINK, _SOCK_RAW | _SOCK_CLOEXEC, protocol)
    made.setblocking(False)
    return made


def enter_namespace(file: int) -> None:
    """Move this process into the network namespace that a file stands for."""
    _linux.syscall(_linux.SYS_setns, file, _CLONE_NEWNET)


def unix_address(path: str) -> Address:
    """Give what connect takes for a Unix socket."""
    return socket.AF_UNIX.to_bytes(2, "little") + path.encode() + b"\0"


def inet_bytes(family: int, text: str) -> bytes:
    """Give a numeric address as bytes; OSError if it is none of that family."""
    return socket.inet_pton(family, text)


def inet_text(family: int, address: bytes) -> str:
    """Write an address of that family."""
    return socket.inet_ntop(family, address)


def inet_address(family: int, text: str, port: int) -> Address:
    """Give what connect takes for a numeric address."""
    start = family.to_bytes(2, "little") + port.to_bytes(2, "big")
    address = inet_bytes(family, text)
    return start + address + bytes(8) if len(address) == 4 else start + bytes(4) + address + bytes(4)


def secure(sock: _socket.socket, host: str, ca: bytes, certificate: bytes, key: bytes) -> Stream:
    """Put TLS over a connected socket; PEM; the server must prove to be `host`. ValueError for bad PEM."""
    return TlsStream(sock, host, ca, certificate, key)


class TlsStream:
    """TLS over a socket that does not block; None means: wait for `events`, then call again."""

    def __init__(self, sock: _socket.socket, host: str, ca: bytes, certificate: bytes, key: bytes) -> None:
        import tls

        context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(ca)
        except (ValueError, OSError) as error:
            raise BadPem("caFile", tls_words.NO_CERTIFICATE) from error
        if certificate:
            _load_chain(context, certificate, key)
        self._sock = sock
        self._inner = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        self._shows_certificate = bool(certificate)
        self._shaken = False
        self.events = select.POLLIN

    def fileno(self) -> int:
        return self._sock.fileno()

    def send(self, data: bytes | memoryview) -> int | None:
        """Send a part, shaking hands before the first; ValueError if the server is not to be trusted."""
        try:
            sent = self._inner.write(data)
        except (ValueError, OSError) as error:
            raise self._said(error) from error
        self._shaken = self._shaken or sent is not None
        # While hands are shaken the library only ever waits for the server: its own flights are small.
        self.events = select.POLLIN if sent is None and self.events == select.POLLIN else select.POLLOUT
        return sent

    def receive(self, size: int) -> bytes | None:
        """Give what came, at most so many bytes, none at the end."""
        self.events = select.POLLIN
        try:
            return self._inner.read(size)
        except (ValueError, OSError) as error:
            raise self._said(error) from error

    def close(self) -> None:
        self._inner.close()

    def _said(self, error: ValueError | OSError) -> ValueError | OSError:
        """Give the error in words, an error of the system as it is once hands are shaken."""
        if isinstance(error, ValueError):
            return ValueError(tls_words.of_complaints(str(error)))
        number = error.errno
        if isinstance(number, int) and _LARGEST_ERRNO < number < 0:
            number = -number  # the system's, on its way through the library
        if isinstance(number, int) and number < 0:
            return ValueError(tls_words.of_number(number, self._shows_certificate))
        if not self._shaken and number in _CLOSED:
            return ValueError(tls_words.closed(self._shows_certificate))
        return OSError(number)


def _load_chain(context: tls.SSLContext, certificate: bytes, key: bytes) -> None:
    if not tls_words.is_pem(certificate):
        raise BadPem("certFile", tls_words.NO_CERTIFICATE)
    try:
        context.load_cert_chain(certificate, key)
    except (ValueError, OSError) as error:
        if "cert" in str(error):
            raise BadPem("certFile", tls_words.NO_CERTIFICATE) from error
        raise BadPem("keyFile", tls_words.NO_KEY) from error
