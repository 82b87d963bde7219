"""A service with a pool, a proxy before it, and a node whose plugin knows only the proxy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.machine import Machine
from tests.faults.proxy import Proxy
from tests.service import IpamdProcess


@pytest.fixture
def ipamd_process(ipamd_process: IpamdProcess) -> Iterator[IpamdProcess]:
    """The service, of which nothing may contradict anything after whatever a test does to it."""
    yield ipamd_process
    if ipamd_process.process is None or ipamd_process.process.poll() is not None:
        ipamd_process.start()
    assert ipamd_process.contradictions() == []


@pytest.fixture
def ipamd(ipamd_process: IpamdProcess) -> IpamdProcess:
    """The service with one pool, whose addresses are ready again at once."""
    ipamd_process.create_pool("pods", "10.9.0.0/24", cooldown=0)
    return ipamd_process


@pytest.fixture
def proxy(ipamd: IpamdProcess) -> Iterator[Proxy]:
    """What stands between the node and the service."""
    proxy = Proxy(ipamd.port)
    yield proxy
    proxy.close()


@pytest.fixture
def machine(scratch: Path, proxy: Proxy) -> Machine:
    """A node behind the proxy."""
    return Machine("node-a", scratch, proxy.endpoint)
