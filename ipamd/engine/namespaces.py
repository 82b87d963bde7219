"""What is stated for namespaces, found by their names and by their beginnings. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Generic, Protocol, TypeVar

from ipamd.models.patterns import beginning_of, cluster_allowed

KEPT_MATCHES: Final = 50_000
"""So many namespaces are remembered. Whoever makes more of them up is looked up each time."""


class ForNamespaces(Protocol):
    """An entry for namespaces of some clusters, or of all if it names none."""

    @property
    def name(self) -> str: ...

    @property
    def clusters(self) -> tuple[str, ...]: ...

    @property
    def patterns(self) -> tuple[str, ...]:
        """Names and beginnings of namespaces, of which no two match the same name."""
        ...


E = TypeVar("E", bound=ForNamespaces)


class NamespaceIndex(Generic[E]):
    """The entries of one revision."""

    def __init__(self, entries: Iterable[E] = ()) -> None:
        self._every = sorted(entries, key=lambda entry: entry.name)
        self._by_name: dict[str, list[E]] = {}
        self._by_beginning: dict[str, list[E]] = {}
        for entry in self._every:
            for pattern in entry.patterns:
                beginning = beginning_of(pattern)
                if beginning is None:
                    self._by_name.setdefault(pattern, []).append(entry)
                else:
                    self._by_beginning.setdefault(beginning, []).append(entry)
        self._matches: dict[tuple[str, str], tuple[E, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._every)

    def of(self, cluster: str, namespace: str | None) -> tuple[E, ...]:
        """The entries for a namespace of a cluster, by name; none for a holder without a namespace."""
        if not namespace:
            return ()
        key = cluster, namespace
        found = self._matches.get(key)
        if found is None:
            found = self._looked_up(cluster, namespace)
            if len(self._matches) < KEPT_MATCHES:
                self._matches[key] = found
        return found

    def _looked_up(self, cluster: str, namespace: str) -> tuple[E, ...]:
        matching = list(self._by_name.get(namespace, ()))
        if self._by_beginning:
            for length in range(len(namespace) + 1):
                matching += self._by_beginning.get(namespace[:length], ())
        allowed = (entry for entry in matching if cluster_allowed(entry.clusters, cluster))
        return tuple(sorted(allowed, key=lambda entry: entry.name))
