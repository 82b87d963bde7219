"""Replicas of a test's own, on a database that it brings."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.service import IpamdProcess, running_replicas


@contextmanager
def services(url: str, count: int = 2) -> Iterator[list[IpamdProcess]]:
    """Several ipamd on one database, with one pool."""
    with running_replicas(url, count) as started:
        started[0].create_pool("pods", "10.0.0.0/27", block_size=28, cooldown=0)
        yield started


@contextmanager
def consistent(replicas: Sequence[IpamdProcess]) -> Iterator[None]:
    """Nothing contradicts anything when the block is left."""
    yield
    assert replicas[0].contradictions() == []
