"""What an ADD results in, as plain values: of an IPAM plugin, and of ours.

Reading and writing it in the versions of the specification: `decoding`, `encoding`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    Prefix = tuple[bytes, int]

PREFIXES = "ipamd.io/prefixes"
"""The key of the prefixes that ipamd gave beside addresses. The specification has no word for them."""

ROUTE_NUMBERS = ("mtu", "advmss", "priority", "table", "scope")
"""What a route may say in numbers, from 1.1.0 on."""


class Address:
    """An address with its prefix length; `interface` is a position in the result's interfaces."""

    def __init__(
        self, address: bytes, length: int, gateway: bytes | None = None, interface: int | None = None
    ) -> None:
        self.address = address
        self.length = length
        self.gateway = gateway
        self.interface = interface


class Route:
    """A route of the container; `numbers` holds those of ROUTE_NUMBERS that are given."""

    def __init__(
        self,
        destination: bytes,
        length: int,
        gateway: bytes | None = None,
        numbers: dict[str, int] | None = None,
    ) -> None:
        self.destination = destination
        self.length = length
        self.gateway = gateway
        self.numbers = numbers or {}


class Dns:
    """Settings for the container's resolver, which the runtime writes down."""

    def __init__(
        self,
        nameservers: list[str] | None = None,
        domain: str = "",
        search: list[str] | None = None,
        options: list[str] | None = None,
    ) -> None:
        self.nameservers = nameservers or []
        self.domain = domain
        self.search = search or []
        self.options = options or []

    def is_empty(self) -> bool:
        return not (self.nameservers or self.domain or self.search or self.options)


class Interface:
    """An interface that was made or used; without a sandbox it is the node's."""

    def __init__(self, name: str, mac: str = "", sandbox: str = "", mtu: int = 0) -> None:
        self.name = name
        self.mac = mac
        self.sandbox = sandbox
        self.mtu = mtu


class Result:
    """All of it. `prefixes` are the container's beside its addresses: first address and length."""

    def __init__(
        self,
        interfaces: list[Interface],
        addresses: list[Address],
        routes: list[Route],
        dns: Dns,
        prefixes: list[Prefix] | None = None,
    ) -> None:
        self.interfaces = interfaces
        self.addresses = addresses
        self.routes = routes
        self.dns = dns
        self.prefixes = prefixes or []
