"""Replicas of a test's own, on a database that it brings."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from tests.conftest import scratch_folder
from tests.service import IpamdProcess


@contextmanager
def services(url: str, count: int = 2) -> Iterator[list[IpamdProcess]]:
    """Several ipamd on one database, with one pool."""
    with ExitStack() as stack:
        started = []
        for _ in range(count):
            service = IpamdProcess(stack.enter_context(scratch_folder()), database_url=url)
            stack.callback(service.http.close)
            stack.callback(service.kill)
            service.start()
            started.append(service)
        started[0].create_pool("pods", "10.0.0.0/27", block_size=28, cooldown=0)
        yield started


@contextmanager
def consistent(replicas: Sequence[IpamdProcess]) -> Iterator[None]:
    """Nothing contradicts anything when the block is left."""
    yield
    assert replicas[0].contradictions() == []
