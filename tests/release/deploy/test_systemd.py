"""ipamd as systemd starts it: a socket that is open already, a word when it is ready, and few rights."""

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.node_executable import ROOT
from tests.ports import free_port
from tests.postgres import Postgres
from tests.service import EXECUTABLES

UNITS = ROOT / "deploy" / "systemd"
SECONDS = 60


def serve(folder: Path, *before: str, **environment: str) -> subprocess.Popen[bytes]:
    """`ipamd serve` behind another command, with its log in the folder."""
    command = [*before, str(EXECUTABLES / "ipamd"), "serve", "--port", str(free_port())]
    command += ["--database-url", f"sqlite:///{folder}/ipamd.sqlite"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)


def ended(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(SECONDS)
    finally:
        process.kill()


def test_a_socket_of_systemd_is_served_and_left_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ipamd.sock"
    process = serve(tmp_path, "systemd-socket-activate", "--listen", str(path))
    wake(str(path))
    client = httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost")

    answer = client.get("/readyz", timeout=SECONDS)

    assert answer.status_code == 200
    assert ended(process) == 0
    assert path.is_socket()


def test_systemd_hears_when_it_is_ready_and_when_it_ends(tmp_path: Path) -> None:
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bell.bind(str(tmp_path / "notify"))
    bell.settimeout(SECONDS)
    process = serve(tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify"), IPAMD_UDS=str(tmp_path / "ipamd.sock"))

    ready = bell.recv(100)
    served = httpx.Client(
        transport=httpx.HTTPTransport(uds=str(tmp_path / "ipamd.sock")), base_url="http://localhost"
    ).get("/readyz")
    code = ended(process)

    assert ready == b"READY=1"
    assert served.status_code == 200
    assert bell.recv(100) == b"STOPPING=1"
    assert code == 0


@pytest.mark.parametrize(
    ("option", "why"),
    [
        (["--listen", "127.0.0.1:{port}"], "the socket from systemd is not a listening Unix socket"),
        (["--listen", "{folder}/a", "--listen", "{folder}/b"], "configure one Unix socket"),
        (
            ["--listen", "{folder}/a", "-E", "IPAMD_UDS={folder}/c"],
            "systemd has opened a Unix socket for ipamd",
        ),
    ],
)
def test_another_socket_of_systemd_is_refused(tmp_path: Path, option: list[str], why: str) -> None:
    port = free_port()
    given = [word.format(folder=tmp_path, port=port) for word in option]
    process = serve(tmp_path, "systemd-socket-activate", *given)
    wake(given[1])

    assert process.wait(SECONDS) != 0
    assert why in (tmp_path / "log").read_text()


def wake(address: str) -> None:
    """Connect to what systemd listens on, for that is when the service is started."""
    host, colon, port = address.partition(":")
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_INET if colon else socket.AF_UNIX) as client:
            if client.connect_ex((host, int(port)) if colon else address) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nobody listens on {address}")


def test_the_unit_migrates_postgresql_before_it_serves(postgres: Postgres, tmp_path: Path) -> None:
    unit = (UNITS / "ipamd.service").read_text().replace("/usr/bin/", f"{EXECUTABLES}/")
    before = re.findall("^ExecStartPre=-(.*)$", unit, re.MULTILINE)
    served = re.findall("^ExecStart=(.*)$", unit, re.MULTILINE)
    with postgres.database() as empty:
        environment = {
            **os.environ,
            "IPAMD_DATABASE_URL": postgres.url(empty),
            "IPAMD_PORT": str(free_port()),
        }
        path = tmp_path / "ipamd.sock"
        for command in before:
            subprocess.run(command.split(), env=environment, check=True, timeout=SECONDS)
        [command] = served
        process = subprocess.Popen(command.split(), env={**environment, "IPAMD_UDS": str(path)})
        try:
            wake(str(path))
            client = httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://localhost")
            assert client.get("/readyz", timeout=SECONDS).is_success
        finally:
            assert ended(process) == 0


def test_the_unit_leaves_the_service_few_rights() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=30", str(UNITS / "ipamd.service")],
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )

    # The threshold is ten times the exposure that is shown.
    assert done.returncode == 0, done.stdout[-300:]
    assert "Overall exposure level for ipamd.service" in done.stdout
