"""Find the addresses of host names within a deadline: /etc/hosts, then name servers by UDP (RFC 1035).

The resolver of a C library knows no deadline. If no server answers, it takes 5 s or more, and a call may have
less.
"""

from __future__ import annotations

import select

from cni_plugin import platform
from cni_plugin.files import Unfit, read_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cni_plugin.clock import Deadline

    Addresses = list[tuple[int, str]]

_HOSTS, _RESOLV_CONF = "/etc/hosts", "/etc/resolv.conf"
_FILE_BYTES = 1 << 20
_AF_INET, _AF_INET6, _SOCK_DGRAM = 2, 10, 2
_A, _AAAA = 1, 28
_DNS_PORT = 53
_SERVERS = 3
_ROUND_MS = (400, 1000, 3000)


class Unknown(ValueError):
    """The name has no known address, or no server gave one in time."""


def look_up(host: str, deadline: Deadline) -> Addresses:
    """Give the addresses of a name, IPv4 first. Unknown if there are none before the deadline."""
    found = in_hosts(_lines(_HOSTS), host)
    if found:
        return found
    servers, search, dots = settings(_lines(_RESOLV_CONF))
    for name in candidates(host, search, dots):
        found = _ask(name, servers, deadline)
        if found:
            return found
    raise Unknown(f"no address known for {host}")


def in_hosts(lines: list[str], host: str) -> Addresses:
    """Give the addresses that the lines of a hosts file name for a host."""
    found: Addresses = []
    for line in lines:
        words = line.partition("#")[0].split()
        if host in [word.lower() for word in words[1:]]:
            found.extend(_numeric(words[0]))
    return sorted(found)


def settings(lines: list[str]) -> tuple[list[tuple[int, str]], list[str], int]:
    """Give the servers, the search list and ndots from the lines of resolv.conf (resolv.conf(5))."""
    servers: Addresses = []
    search: list[str] = []
    dots = 1
    for line in lines:
        words = line.split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            servers.extend(_numeric(words[1]))
        elif words[0] in ("search", "domain"):
            search = words[1:]
        elif words[0] == "options":
            for word in words[1:]:
                if word.startswith("ndots:") and word[6:] in [str(n) for n in range(16)]:
                    dots = int(word[6:])
    return servers[:_SERVERS] or [(_AF_INET, "127.0.0.1")], search, dots


def candidates(host: str, search: list[str], dots: int) -> list[str]:
    """Give the full names to ask for, in order."""
    if host.endswith("."):
        return [host[:-1]]
    longer = [f"{host}.{domain.strip('.')}" for domain in search if domain != "."]
    return [host] + longer if host.count(".") >= dots else longer + [host]


def question(number: int, name: str, kind: int) -> bytes:
    """Write a query for one kind of record. Unknown if the name is invalid."""
    labels = b""
    for label in name.encode().split(b"."):
        if not 0 < len(label) < 64:
            raise Unknown(f"{name} is not a host name")
        labels += bytes([len(label)]) + label
    flags_and_counts = b"\x01\0\0\1\0\0\0\0\0\0"  # recursion desired, one question
    return number.to_bytes(2, "big") + flags_and_counts + labels + b"\0" + kind.to_bytes(2, "big") + b"\0\1"


def answers(message: bytes, asked: bytes) -> list[bytes] | None:
    """Give the addresses in the answer to a query, None if the message is not its answer."""
    start = len(asked)
    if len(message) < start or message[:2] != asked[:2] or message[2] & 0x80 == 0:
        return None
    if message[12:start].lower() != asked[12:].lower() or message[3] & 15 not in (0, 3):
        return None
    wanted = asked[-4:]
    found: list[bytes] = []
    at = start
    for _ in range(int.from_bytes(message[6:8], "big")):
        at = _behind_name(message, at)
        data = message[at + 10 : at + 10 + int.from_bytes(message[at + 8 : at + 10], "big")]
        if message[at : at + 4] == wanted and len(data) in (4, 16):
            found.append(data)
        at += 10 + int.from_bytes(message[at + 8 : at + 10], "big")
    return found


def _behind_name(message: bytes, at: int) -> int:
    while at < len(message):
        length = message[at]
        if length == 0:
            return at + 1
        if length >= 0xC0:
            return at + 2
        at += 1 + length
    return at


def _ask(name: str, servers: Addresses, deadline: Deadline) -> Addresses:
    """Ask the servers for both kinds of address until one of them answers for both."""
    number = platform.random_number()
    asked = [question(number, name, _A), question(number ^ 1, name, _AAAA)]
    for patience in _ROUND_MS:
        for server in servers:
            found = _ask_one(server, asked, deadline.within_ms(patience // len(servers)))
            if found is not None:
                return found
            if deadline.left_ms() == 0:
                raise Unknown(f"no name server answered for {name} in time")
    raise Unknown(f"no name server answered for {name}")


def _ask_one(server: tuple[int, str], asked: list[bytes], deadline: Deadline) -> Addresses | None:
    sock = platform.new_socket(server[0], _SOCK_DGRAM)
    try:
        sock.connect(platform.inet_address(server[0], server[1], _DNS_PORT))
        for query in asked:
            sock.send(query)
        poller = select.poll()
        poller.register(sock.fileno(), select.POLLIN)
        found: list[list[bytes] | None] = [None, None]
        while None in found:
            left = deadline.left_ms()
            if left == 0 or not poller.poll(left):
                return None
            message = sock.recv(4096)
            for place in (0, 1):
                if found[place] is None:
                    found[place] = answers(message, asked[place])
        return [(_AF_INET, _text(data)) for data in found[0] or []] + [
            (_AF_INET6, _text(data)) for data in found[1] or []
        ]
    except OSError:
        return None  # nobody there: the next server, or the next round
    finally:
        sock.close()


def _text(data: bytes) -> str:
    if len(data) == 4:
        return ".".join([str(byte) for byte in data])
    return ":".join([f"{data[i]:02x}{data[i + 1]:02x}" for i in range(0, 16, 2)])


def _numeric(text: str) -> Addresses:
    """Give the address in a text, None if it is not one."""
    for family in (_AF_INET, _AF_INET6):
        try:
            platform.inet_bytes(family, text)
        except (OSError, ValueError):
            continue
        return [(family, text)]
    return []


def _lines(path: str) -> list[str]:
    """Give the lines of a file, none if it does not exist, as every resolver does."""
    try:
        return read_regular(path, _FILE_BYTES).data.decode().lower().split("\n")
    except (OSError, Unfit, ValueError):
        return []
