"""Network namespaces that play hosts and containers."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

NAMED = Path("/run/netns")


class Host(Protocol):
    """Where a runtime runs."""

    def prefix(self) -> list[str]:
        """What to put before a command so that it runs there."""


class Namespace:
    """A named network namespace; commands run inside by nsenter, which leaves /sys and its cgroups alone."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = NAMED / name

    def create(self) -> None:
        run("ip", "netns", "add", self.name)
        # Without duplicate address detection an IPv6 address is usable at once, as an IPv4 one is.
        for scope in ("all", "default"):
            self.sysctl(f"net/ipv6/conf/{scope}/disable_ipv6", "0")
            self.sysctl(f"net/ipv6/conf/{scope}/accept_dad", "0")
        self.run("ip", "link", "set", "lo", "up")

    def delete(self) -> None:
        run("ip", "netns", "delete", self.name)

    def prefix(self) -> list[str]:
        """What to put before a command so that it runs inside."""
        return ["nsenter", f"--net={self.path}"]

    def run(self, *command: str) -> str:
        """Run a command inside and return what it printed; raise with its words where it fails."""
        return run(*self.prefix(), *command)

    def sysctl(self, key: str, value: str) -> None:
        self.run("sh", "-c", f"echo {value} > /proc/sys/{key}")

    def addresses(self, interface: str) -> set[str]:
        """The interface's global addresses, with prefix length."""
        lines = self.run("ip", "-o", "address", "show", "dev", interface, "scope", "global").splitlines()
        return {line.split()[3] for line in lines}

    def has_interface(self, interface: str) -> bool:
        lines = self.run("ip", "-o", "link", "show").splitlines()
        return interface in {line.split(": ")[1].split("@")[0] for line in lines}

    def ping(self, address: str, *more: str) -> None:
        """Raise unless the address answers; the first packets may be lost while neighbours are learned."""
        self.run("ping", "-n", "-c", "1", "-i", "0.2", "-w", "60", *more, address)


MakeNamespace = Callable[[str], Namespace]


@contextlib.contextmanager
def namespaces(prefix: str) -> Iterator[MakeNamespace]:
    """Make namespaces by short names, and remove them; what is before the names must be nobody else's."""
    made: list[Namespace] = []

    def make(name: str) -> Namespace:
        namespace = Namespace(f"{prefix}-{name}")
        namespace.create()
        made.append(namespace)
        return namespace

    yield make
    for namespace in reversed(made):
        namespace.delete()


def run(*command: str, env: Mapping[str, str] | None = None, timeout: float = 120) -> str:
    """Run a command and return what it printed; raise with its words where it fails."""
    done = subprocess.run(
        command, capture_output=True, text=True, env=env, timeout=timeout, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout
