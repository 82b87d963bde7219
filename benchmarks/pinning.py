"""ipamd on one core, what loads it on another: so that neither takes time from the other unseen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.service import IpamdProcess, Process

SERVER_CORE: Final = 0
LOAD_CORE: Final = 1


def pin(process: Process, core: int = SERVER_CORE) -> None:
    """Keep every thread of a process, and those that they make, on one core."""
    for thread in Path(f"/proc/{process.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


@contextmanager
def running_ipamd(
    database_url: str | None = None, *, pinned: bool = True, folder: Path | None = None
) -> Iterator[IpamdProcess]:
    """A service in a scratch folder, ready, on its own core."""
    with TemporaryDirectory(prefix="ipamd-") as scratch:
        service = IpamdProcess(folder or Path(scratch), database_url=database_url)
        try:
            start(service, pinned=pinned)
            yield service
        finally:
            service.kill()
            service.http.close()


def start(service: IpamdProcess, *, pinned: bool = True) -> None:
    """Start a service, on its own core where that is asked for."""
    service.start()
    assert service.process is not None
    if pinned:
        pin(service.process)
