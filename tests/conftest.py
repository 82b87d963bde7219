"""What all tests share: a scratch folder and the service as a process."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import IpamdProcess


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards; its path is short enough for Unix sockets (107 bytes)."""
    folder = Path(tempfile.mkdtemp(prefix="ipamd-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def ipamd_process(scratch: Path) -> Iterator[IpamdProcess]:
    """The service, ready, with an empty database."""
    service = IpamdProcess(scratch)
    service.start()
    yield service
    service.stop()
    service.http.close()
