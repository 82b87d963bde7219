"""Where the service listens, whom it answers, and how it ends."""

import base64
import hashlib
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest

from ipamd import __version__
from tests import loaded
from tests.api.plugin_call import call
from tests.ports import free_port
from tests.service import EXECUTABLES, IpamdProcess

NOBODY = 65534


def serve_and_fail(scratch: Path, *options: str) -> str:
    """What `ipamd serve` says on stderr when it refuses to start."""
    database = ("--database-url", f"sqlite:///{scratch}/other.sqlite")
    ended = loaded.run(EXECUTABLES / "ipamd", "serve", *database, *options)
    assert ended.returncode != 0
    return ended.stderr


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "LocalHost"]
)
def test_tcp_answers_to_the_names_of_loopback(lasting_ipamd: IpamdProcess, host: str) -> None:
    named = {"Host": host.format(port=lasting_ipamd.port)}

    assert httpx.get(f"{lasting_ipamd.tcp_endpoint}/v1/pools", headers=named).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.2",
        "::1",
        "",
        "localhost:x",
    ],
)
def test_tcp_answers_to_no_other_name(lasting_ipamd: IpamdProcess, host: str) -> None:
    for path in ("/v1/pools", "/v1/cni/add", "/docs", "/readyz"):
        answer = httpx.get(lasting_ipamd.tcp_endpoint + path, headers={"Host": host})

        assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed")


def test_the_unix_socket_answers_to_every_name(http: httpx.Client) -> None:
    assert http.get("/v1/pools", headers={"Host": "anything"}).status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_body_that_a_web_page_could_send_unasked_is_415(lasting_ipamd: IpamdProcess, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    for path in ("/v1/pools", "/v1/cni/add", "/v1/allocations"):
        answer = httpx.post(lasting_ipamd.tcp_endpoint + path, content=b'{"owner": "x"}', headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")


def test_no_web_page_is_allowed_to_ask(lasting_ipamd: IpamdProcess) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}

    answer = httpx.options(f"{lasting_ipamd.tcp_endpoint}/v1/pools", headers=asked)

    assert not answer.is_success
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_tcp_and_the_socket_are_one_service(lasting_ipamd: IpamdProcess, http: httpx.Client) -> None:
    http.post("/v1/pools", json={"name": "shared", "subnet": "172.31.0.0/24"})

    assert httpx.get(f"{lasting_ipamd.tcp_endpoint}/v1/pools/shared").status_code == 200


def test_health_and_readiness(http: httpx.Client) -> None:
    assert http.get("/healthz").json() == {"status": "alive"}
    assert http.get("/readyz").json() == {"status": "ready"}


def test_the_description_names_every_path_and_its_page_needs_nobody_else(http: httpx.Client) -> None:
    description = http.get("/openapi.json").json()
    docs = http.get("/docs")

    assert {"/v1/pools", "/v1/pools/{name}/usage", "/v1/allocations", "/v1/history", "/v1/nodes"} <= set(
        description["paths"]
    )
    assert docs.headers["content-type"].startswith("text/html")
    assert_strict(docs)
    assert all(path in docs.text for path in description["paths"])
    assert "//" not in docs.text.replace("<!doctype", "")


def test_the_first_page_names_ipamd_its_version_and_where_to_go(http: httpx.Client) -> None:
    page = http.get("/", headers={"Accept": "text/html"})

    assert f"ipamd {__version__}" in page.text
    links = re.findall(r'href="([^"]*)"', page.text)
    assert {"/docs", "/healthz", "/readyz", "/metrics"} <= set(links)
    assert [http.get(link).status_code for link in links if "/new/" not in link] == [200] * (len(links) - 1)
    assert "ipamctl" in page.text


def assert_strict(page: httpx.Response) -> None:
    """A page that runs no script, loads nothing, stands in no frame, and has the one style that it names."""
    assert page.headers["content-type"].startswith("text/html")
    (style,) = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = page.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", f"style-src 'sha256-{digest}'", "frame-ancestors 'none'"} <= set(policy)
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "<script" not in page.text
    assert "style=" not in page.text


def test_only_root_and_its_group_may_use_the_socket(lasting_ipamd: IpamdProcess) -> None:
    assert stat.S_IMODE(lasting_ipamd.socket.stat().st_mode) == 0o660


def test_another_user_of_this_machine_cannot_open_the_socket(lasting_ipamd: IpamdProcess) -> None:
    lasting_ipamd.folder.chmod(0o755)  # so that the socket's own mode decides
    may_connect = ["test", "-w", str(lasting_ipamd.socket)]  # connect() asks for the right to write: unix(7)

    root = subprocess.run(may_connect, check=False)
    nobody = subprocess.run(may_connect, user=NOBODY, group=NOBODY, extra_groups=[], check=False)

    assert (root.returncode, nobody.returncode) == (0, 1)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_no_address_but_loopback_is_listened_on(scratch: Path, host: str) -> None:
    said = serve_and_fail(scratch, "--host", host, "--port", str(free_port()))

    assert "--host" in said
    assert "Traceback" not in said


def test_the_socket_of_a_killed_service_is_replaced(ipamd_process: IpamdProcess) -> None:
    ipamd_process.kill()
    assert ipamd_process.socket.exists()

    ipamd_process.start()

    assert ipamd_process.http.get("/readyz").status_code == 200


def test_a_socket_in_use_is_refused_and_left_alone(lasting_ipamd: IpamdProcess, scratch: Path) -> None:
    said = serve_and_fail(scratch, "--port", str(free_port()), "--uds", str(lasting_ipamd.socket))

    assert "another process listens" in said
    assert lasting_ipamd.http.get("/readyz").status_code == 200


def test_a_file_that_is_no_socket_is_left_alone(scratch: Path) -> None:
    path = scratch / "precious"
    path.write_text("text")

    said = serve_and_fail(scratch, "--port", str(free_port()), "--uds", str(path))

    assert "is not a socket" in said
    assert path.read_text() == "text"


def test_a_port_in_use_is_named(lasting_ipamd: IpamdProcess, scratch: Path) -> None:
    said = serve_and_fail(scratch, "--port", str(lasting_ipamd.port))

    assert f"cannot listen on 127.0.0.1 port {lasting_ipamd.port}" in said
    assert "Traceback" not in said


def test_a_path_too_long_for_a_socket_is_named(scratch: Path) -> None:
    assert "longer than" in serve_and_fail(scratch, "--port", str(free_port()), "--uds", "/tmp/" + "x" * 120)


def test_what_was_taken_is_answered_before_the_service_ends(ipamd_process: IpamdProcess) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/24")
    answers: list[httpx.Response] = []
    blocker = sqlite3.connect(ipamd_process.database, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")  # the service's own write must wait
    asking = threading.Thread(
        target=lambda: answers.append(ipamd_process.http.post("/v1/cni/add", json=call("taken")))
    )
    asking.start()
    time.sleep(0.3)
    assert ipamd_process.process is not None

    os.kill(ipamd_process.process.pid, signal.SIGTERM)
    time.sleep(0.3)
    blocker.execute("ROLLBACK")
    blocker.close()
    asking.join(timeout=120)
    ended = ipamd_process.process.wait(timeout=120)

    assert [answer.status_code for answer in answers] == [200]
    assert ended == 0
    assert not ipamd_process.socket.exists()


def test_a_client_that_says_half_a_request_keeps_the_service_from_nothing(
    ipamd_process: IpamdProcess,
) -> None:
    with socket.create_connection(("127.0.0.1", ipamd_process.port), timeout=15) as half:
        half.sendall(b"POST /v1/cni/add HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n")
        half.sendall(b"Content-Length: 100\r\n\r\n{")
        time.sleep(0.1)
        assert ipamd_process.process is not None
        os.kill(ipamd_process.process.pid, signal.SIGTERM)

        answer = half.recv(4096)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert ipamd_process.process.wait(timeout=120) == 0


def test_a_client_that_goes_away_is_forgotten(ipamd_process: IpamdProcess) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", ipamd_process.port), timeout=5) as gone:
            gone.sendall(
                b"POST /v1/cni/add HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            )
            gone.sendall(b"Content-Length: 100\r\n\r\n{")

    assert ipamd_process.http.get("/readyz").status_code == 200
    assert "Traceback" not in ipamd_process.log.read_text()
