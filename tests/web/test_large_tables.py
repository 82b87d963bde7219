"""Tables that are larger than what may be in memory: out piece by piece, and not in."""

import re
import socket
import time
from pathlib import Path

import httpx
import pytest

from benchmarks.fill import fill_sqlite, full_blocks
from tests.counting import Counted
from tests.service import IpamdProcess
from tests.waiting import eventually

ROWS = 51_200
ROWS_OF_A_PIECE = 1000
BUFFERED = 40
"""More pieces of 160 KB than Linux keeps on the way to somebody who takes none (4 MB)."""


@pytest.mark.parametrize("path", ["/v1/csv/allocations", "/ui/tables/allocations"])
def test_a_table_is_read_no_faster_than_somebody_takes_it(ipamd_process: IpamdProcess, path: str) -> None:
    ipamd_process.create_pool("wide", "10.0.0.0/8")
    ipamd_process.stop()
    fill_sqlite(ipamd_process.database, [full_blocks("wide", 10 << 24, ROWS)])
    counted = Counted(ipamd_process)
    with counted.counting():
        ipamd_process.start()
    told = ipamd_process.folder / "statements"

    def pieces() -> int:
        return len(re.findall(r"SELECT allocation\.id, allocation\.space, .*\n", told.read_text()))

    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        reader.connect(("127.0.0.1", ipamd_process.port))
        reader.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
        seen = [(0, time.monotonic())]

        def stands() -> bool:
            if pieces() != seen[-1][0]:
                seen.append((pieces(), time.monotonic()))
            return seen[-1][0] > 0 and time.monotonic() > seen[-1][1] + 1

        eventually(stands)
        assert pieces() <= BUFFERED
        table = bytearray()
        while piece := reader.recv(1 << 20):
            table += piece

    assert table.count(b",pods,") == ROWS
    assert pieces() >= ROWS // ROWS_OF_A_PIECE


def test_a_table_of_a_million_lines_is_refused_and_not_kept(ipamd_process: IpamdProcess) -> None:
    text = "address,owner\n" + "10.0.0.1,vm\n" * 1_000_000
    assert ipamd_process.process is not None
    status = Path(f"/proc/{ipamd_process.process.pid}/status")

    def most_memory() -> int:
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        assert found is not None
        return int(found[1]) << 10

    assert ipamd_process.http.get("/ui/tables").is_success
    before = most_memory()
    rest = ipamd_process.http.post("/v1/csv/reservations", json={"text": text})
    form = {"kind": "reservations", "text": text}
    page = ipamd_process.http.post("/ui/tables", data=form, headers={"Sec-Fetch-Site": "same-origin"})

    assert (rest.status_code, page.status_code) == (httpx.codes.REQUEST_ENTITY_TOO_LARGE,) * 2
    assert "8 MiB at most" in page.text
    assert most_memory() - before < len(text) / 2
