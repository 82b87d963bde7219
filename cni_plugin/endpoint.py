"""The endpoints of ipamd: http://, https:// and unix:///path."""

from __future__ import annotations

HTTP, HTTPS, UNIX = "http", "https", "unix"
_PORTS = {HTTP: 80, HTTPS: 443}
_UNIX_PATH_BYTES = 107  # sun_path holds 108, with a NUL at the end
_DIGITS = b"0123456789"
_HOST = _DIGITS + b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-._"
_IPV6 = _DIGITS + b"abcdefABCDEF:."


class Endpoint:
    """One endpoint. `authority` is the Host header; `path` is the socket, or the prefix of each request."""

    def __init__(self, text: str, scheme: str, host: str, port: int, authority: str, path: str) -> None:
        self.text = text
        self.scheme = scheme
        self.host = host
        self.port = port
        self.authority = authority
        self.path = path

    def keeps_secrets(self) -> bool:
        """Tell whether a token may be sent there: encrypted, or without leaving this machine."""
        return self.scheme != HTTP or self.is_loopback()

    def is_loopback(self) -> bool:
        """Tell whether the host is this machine by its text alone, without a resolver."""
        return self.host in ("localhost", "::1") or (is_ipv4(self.host) and self.host.startswith("127."))


def parse(text: str) -> Endpoint:
    """Read an endpoint. ValueError says what is wrong with it."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in (HTTP, HTTPS, UNIX):
        raise ValueError("must begin with http://, https:// or unix:///")
    if scheme == UNIX:
        return _unix(text, rest)
    if any(not 0x21 <= c <= 0x7E for c in rest.encode()):
        raise ValueError("has spaces, control characters or non-ASCII characters")
    return _tcp(text, scheme, rest)


def is_ipv4(host: str) -> bool:
    """Tell whether a host is an IPv4 address in its one usual form, without leading zeros."""
    parts = host.split(".")
    return len(parts) == 4 and all(_is_number(part, 255) for part in parts)


def _unix(text: str, path: str) -> Endpoint:
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError("must name a socket by its absolute path: unix:///path")
    if len(path.encode()) > _UNIX_PATH_BYTES:
        raise ValueError(f"has a path of more than {_UNIX_PATH_BYTES} bytes")
    if "\0" in path:
        raise ValueError("has a NUL in its path")
    return Endpoint(text, UNIX, "", 0, "localhost", path)


def _tcp(text: str, scheme: str, rest: str) -> Endpoint:
    authority, _, path = rest.partition("/")
    if "?" in rest or "#" in rest or "@" in rest:
        raise ValueError("has a user, a query or a fragment: leave it out")
    if authority.startswith("["):
        host, bracket, port = authority[1:].partition("]")
        if not bracket or ":" not in host or any(c not in _IPV6 for c in host.encode()):
            raise ValueError("has no IPv6 address between its brackets")
        if port and not port.startswith(":"):
            raise ValueError("has something after the address that is not a port")
        colon, port = port[:1], port[1:]
    else:
        host, colon, port = authority.partition(":")
        _check_host(host)
    if colon and not (_is_number(port, 65535) and port != "0"):
        raise ValueError("has no port from 1 to 65535 after the colon")
    while path.endswith("/"):
        path = path[:-1]
    number = int(port) if port else _PORTS[scheme]
    return Endpoint(text, scheme, host.lower(), number, authority, "/" + path if path else "")


def _check_host(host: str) -> None:
    if not host or any(c not in _HOST for c in host.encode()):
        raise ValueError("has no valid host")
    if host.split(".")[-1][:1].encode() in _DIGITS and not is_ipv4(host):
        raise ValueError("has a host that is neither a name nor an IPv4 address")


def _is_number(text: str, highest: int) -> bool:
    if not text or len(text) > 5 or any(c not in _DIGITS for c in text.encode()):
        return False
    return str(int(text)) == text and int(text) <= highest
