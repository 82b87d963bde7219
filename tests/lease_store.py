"""A store of leases made for a test, and what is in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ipam_plugin.leases import layout
from ipam_plugin.leases.store import Store, open_store
from node_agent.leasing import making, seating
from node_agent.leasing.making import Maker
from node_agent.leasing.seating import Grant

CLUSTER: Final = "default"
NODE: Final = "node-a"
BOOT: Final = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
FOREVER: Final = 1 << 60


class LeaseStore:
    """A store that gives, until a test fills it or says otherwise, nothing."""

    def __init__(self, path: Path, *, boot: str = BOOT, node: str = NODE) -> None:
        self.path = path
        making.make(path, Maker(CLUSTER, node, boot, "machine"), anywhere=True)
        with self.locked() as store:
            seating.renew(store, epoch=1, grant=1, until=FOREVER)
            seating.set_open(store, is_open=True)

    @classmethod
    def at(cls, path: Path) -> LeaseStore:
        """The store that is at a path already."""
        found = cls.__new__(cls)
        found.path = path
        return found

    @contextmanager
    def locked(self) -> Iterator[Store]:
        store = open_store(str(self.path))
        assert store is not None
        try:
            store.lock(60_000)
            yield store
        finally:
            store.close()

    def fill(self, key: bytes, numbers: Sequence[int], *, cools_ns: int = 0, cooldown_ns: int = 0) -> None:
        """Put in seats; that of number N answers with 10.9.0.N."""
        grants = [Grant(number, key, answer(number), cools_ns, cooldown_ns) for number in numbers]
        with self.locked() as store:
            assert not seating.fill(store, grants)

    def fill_with(self, key: bytes, answers: Mapping[int, bytes]) -> None:
        """Put in seats with these answers."""
        grants = [Grant(number, key, each) for number, each in answers.items()]
        with self.locked() as store:
            assert not seating.fill(store, grants)

    def states(self) -> Mapping[int, int]:
        """The state of each seat by its number."""
        with self.locked() as store:
            return {seat.number: seat.state for seat in seating.overview(store)}

    def events(self) -> Sequence[dict[str, Any]]:
        """What was not acknowledged yet, in its order."""
        with self.locked() as store:
            return [json.loads(record.event) for record in seating.events(store, 1 << 20)]

    def names(self) -> Sequence[str]:
        """What lies in the folder of the store."""
        return sorted(path.name for path in self.path.parent.iterdir())

    def kinds(self) -> Sequence[tuple[str, int]]:
        """The kind and seat of each event."""
        return [(event["kind"], event["seat"]) for event in self.events()]


def answer(number: int) -> bytes:
    """The answer of a seat, in bytes that a formatter would change."""
    return f'{{ "cniVersion": "1.0.0", "ips": [{{"address": "10.9.0.{number}/24"}}] }}'.encode()


def key_of(config: Mapping[str, Any]) -> bytes:
    """The key of a configuration as json.dumps writes it."""
    section = json.dumps(config["ipam"]).encode()
    return layout.configuration_key(config["name"], config["cniVersion"], section)
