"""The primitives under CPython, for tests and installations by pip."""

from __future__ import annotations

import _socket  # socket itself costs 5 ms of imports
import os
import select
import time

from cni_plugin.failure import BadPem

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from typing import NoReturn, TypeVar

    from cni_plugin.platform.shapes import Address, Stream

    A = TypeVar("A")
    R = TypeVar("R")

_CLONE_NEWNET = 0x40000000

O_DIRECTORY = os.O_DIRECTORY

effective_user = os.geteuid
process_id = os.getpid


def guard_streams() -> None:
    """Fill what is closed of descriptors 0 to 2, lest a socket becomes stdout; using them fails (EBADF)."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open("/", os.O_PATH)


def environment(name: str) -> str | None:
    """Give a variable, None if it is not set; ValueError if it is not UTF-8."""
    value = os.environ.get(name)
    if value is not None:
        value.encode()
    return value


def uptime_ns() -> int:
    """Give CLOCK_BOOTTIME, which goes on while the machine sleeps and never steps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def host_name() -> str:
    """Give the kernel's host name."""
    return os.uname().nodename


def random_number() -> int:
    """Give 16 random bits."""
    return int.from_bytes(os.urandom(2), "big")


def detach(kept: int = 2) -> bool:
    """Go on as two processes; True in the new one, for which nobody waits. It has one file open, or none."""
    if os.fork() != 0:
        return False
    os.closerange(0, 3)
    guard_streams()
    os.closerange(3, kept)
    os.closerange(max(kept, 2) + 1, os.sysconf("SC_OPEN_MAX"))
    return True


def exit_now(status: int) -> NoReturn:
    """End this process, with nothing finalised."""
    os._exit(status)


def random_bytes(size: int) -> bytes:
    """Give so many random bytes."""
    return os.urandom(size)


def open_file(path: str, flags: int, mode: int = 0) -> int:
    """Open a file; the descriptor is closed in programs that are started."""
    return os.open(path, flags, mode)


def make_folder(path: str, mode: int) -> None:
    """Make a folder."""
    os.mkdir(path, mode)


def read(file: int, size: int) -> bytes:
    """Read at most so many bytes, none at the end."""
    return os.read(file, size)


def write(file: int, data: bytes | memoryview) -> int:
    """Write a part and give its size."""
    return os.write(file, data)


def read_at(file: int, size: int, offset: int) -> bytes:
    """Read at most so many bytes from an offset on."""
    return os.pread(file, size, offset)


def write_at(file: int, data: bytes, offset: int) -> int:
    """Write at an offset and give how much was written."""
    return os.pwrite(file, data, offset)


def sha256(data: bytes) -> bytes:
    """Give the SHA-256 of the bytes."""
    from hashlib import sha256 as hash_of  # only a call on a node with leases needs it

    return hash_of(data).digest()


def sync(file: int) -> None:
    """Make a file or a folder durable."""
    os.fsync(file)


def close(file: int) -> None:
    """Close a file."""
    os.close(file)


def file_status(file: int) -> tuple[int, int, int]:
    """Give mode, owner and size of an open file."""
    status = os.fstat(file)
    return status.st_mode, status.st_uid, status.st_size


def try_lock(file: int) -> bool:
    """Take the file's exclusive lock (flock) if nobody holds it; it goes with the descriptor."""
    import fcntl  # only a call that finds entries in its spool needs it

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_within(file: int, milliseconds: int) -> bool:
    """Take the file's exclusive lock (flock) if it is free within that time; it goes with the descriptor."""
    end = time.monotonic() + milliseconds / 1000
    while not try_lock(file):  # a thread cannot be woken out of a wait for it
        if time.monotonic() >= end:
            return False
        time.sleep(0.001)
    return True


def new_socket(family: int, kind: int) -> _socket.socket:
    """Make a socket that does not block."""
    made = _socket.socket(family, kind)
    made.setblocking(False)
    return made


def netlink_socket(protocol: int) -> _socket.socket:
    """Make a netlink socket of a protocol that does not block, in the network namespace of this process."""
    made = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, protocol)
    made.setblocking(False)
    return made


def enter_namespace(file: int) -> None:
    """Move this process into the network namespace that a file stands for."""
    import ctypes  # os.setns came with Python 3.12; the import costs some milliseconds

    if ctypes.CDLL(None, use_errno=True).setns(file, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def unix_address(path: str) -> Address:
    """Give what connect takes for a Unix socket."""
    return path


def inet_bytes(family: int, text: str) -> bytes:
    """Give a numeric address as bytes; OSError if it is none of that family."""
    return _socket.inet_pton(family, text)


def inet_text(family: int, address: bytes) -> str:
    """Write an address of that family."""
    return _socket.inet_ntop(family, address)


def inet_address(family: int, text: str, port: int) -> Address:
    """Give what connect takes for a numeric address."""
    return text, port


def secure(sock: _socket.socket, host: str, ca: bytes, certificate: bytes, key: bytes) -> Stream:
    """Put TLS over a connected socket; PEM; the server must prove to be `host`. ValueError for bad PEM."""
    return TlsStream(sock, host, ca, certificate, key)


class TlsStream:
    """TLS over a socket that does not block; None means: wait for `events`, then call again."""

    def __init__(self, sock: _socket.socket, host: str, ca: bytes, certificate: bytes, key: bytes) -> None:
        import socket
        import ssl

        from cni_plugin import tls_words

        self._ssl = ssl
        self._words = tls_words
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _trust(context, "caFile", ca)
        if certificate:
            _trust(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "certFile", certificate)
            _load_chain(context, certificate + b"\n" + key)
        self._shows_certificate = bool(certificate)
        plain = socket.socket(fileno=sock.detach())
        plain.setblocking(False)
        self._inner = context.wrap_socket(
            plain, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )
        self._shaken = False
        self.events = select.POLLIN

    def fileno(self) -> int:
        return self._inner.fileno()

    def send(self, data: bytes | memoryview) -> int | None:
        """Send a part, shaking hands before the first; ValueError if the server is not to be trusted."""
        return self._try(self._send, data)

    def receive(self, size: int) -> bytes | None:
        """Give what came, at most so many bytes, none at the end."""
        return self._try(self._inner.recv, size)

    def close(self) -> None:
        self._inner.close()

    def _send(self, data: bytes | memoryview) -> int:
        if not self._shaken:
            self._inner.do_handshake()
            self._shaken = True
        return self._inner.send(data)

    def _try(self, step: Callable[[A], R], argument: A) -> R | None:
        try:
            return step(argument)
        except self._ssl.SSLWantReadError:
            self.events = select.POLLIN
        except self._ssl.SSLWantWriteError:
            self.events = select.POLLOUT
        except self._ssl.SSLCertVerificationError as error:
            why = self._words.of_verification(error.verify_code, error.verify_message)
            raise ValueError(why) from error
        except self._ssl.SSLEOFError as error:
            why = self._words.CUT_OFF if self._shaken else self._words.closed(self._shows_certificate)
            raise ValueError(why) from error
        except self._ssl.SSLError as error:  # its errno is the library's, not the system's
            raise ValueError(self._words.of_reason(error.reason or "", self._shows_certificate)) from error
        except ConnectionError as error:
            if self._shaken:
                raise
            raise ValueError(self._words.closed(self._shows_certificate)) from error
        return None


def _trust(context: ssl.SSLContext, name: str, pem: bytes) -> None:
    """Take the certificates of a PEM; BadPem if there are none."""
    from ssl import SSLError

    from cni_plugin.tls_words import NO_CERTIFICATE

    try:
        context.load_verify_locations(cadata=pem.decode("ascii"))
    except (SSLError, ValueError) as error:
        raise BadPem(name, NO_CERTIFICATE) from error


def _load_chain(context: ssl.SSLContext, chain: bytes) -> None:
    """Load from memory what the library takes from files only; an encrypted key must not ask a terminal."""
    from ssl import SSLError

    from cni_plugin import tls_words

    memory = os.memfd_create("ipamd-ipam", os.MFD_CLOEXEC)
    try:
        os.write(memory, chain)
        context.load_cert_chain(f"/proc/self/fd/{memory}", password="")
    except SSLError as error:
        is_other = error.reason == "KEY_VALUES_MISMATCH"
        raise BadPem("keyFile", tls_words.OTHER_KEY if is_other else tls_words.NO_KEY) from error
    finally:
        os.close(memory)
