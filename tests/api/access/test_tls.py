"""TLS: how ipamd proves itself, and how nodes prove themselves by certificates."""

import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.api.access.conftest import Caller
from tests.api.plugin_call import call
from tests.cni.authority import Authority
from tests.ctl.conftest import Ipamctl
from tests.ctl.test_ipamd_command import ipamd
from tests.service import IpamdProcess, scratch_folder
from tests.waiting import eventually

SERVER = "IP:127.0.0.1,DNS:localhost"


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "first", "first", SERVER)


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "second", "second", SERVER)


ADMIN = "ipamd_" + "A" * 43


class TlsService:
    """A service with TLS, whose files a test may replace, and an admin token of its own."""

    def __init__(self, process: IpamdProcess, authority: Authority) -> None:
        self.process = process
        self.folder = process.folder / "tls"
        self.folder.mkdir()
        self.put(authority.server, "cert")
        self.put(authority.server_key, "key")
        self.put(authority.ca, "clients")
        (self.folder / "admin").write_text(ADMIN)
        process.options = (
            *("--tls-cert", str(self.folder / "cert"), "--tls-key", str(self.folder / "key")),
            *("--tls-client-ca", str(self.folder / "clients")),
            *("--admin-token-file", str(self.folder / "admin")),
        )
        process.start()
        self.admin = Caller(process, ADMIN)
        self.url = f"https://127.0.0.1:{process.port}"

    def put(self, file: Path, name: str) -> None:
        """Put a file in the place of the one that is there, as a whole."""
        new = self.folder / f"new-{name}"
        shutil.copy(file, new)
        new.replace(self.folder / name)

    def issuer(self, context: ssl.SSLContext) -> str:
        """Who signed the certificate that a new connection is shown."""
        with (
            socket.create_connection(("127.0.0.1", self.process.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
        ):
            shown = wrapped.getpeercert()
            assert shown is not None
            return str(dict(pair for part in shown["issuer"] for pair in part)["commonName"])  # type: ignore[misc]


@contextmanager
def tls_service(authority: Authority) -> Iterator[TlsService]:
    with scratch_folder() as folder:
        process = IpamdProcess(folder)
        try:
            yield TlsService(process, authority)
            process.stop()
        finally:
            process.kill()
            process.http.close()


@pytest.fixture(scope="module")
def served(first: Authority) -> Iterator[TlsService]:
    """One service for all tests that replace nothing."""
    with tls_service(first) as service:
        yield service


@pytest.fixture
def own_service(first: Authority) -> Iterator[TlsService]:
    """A service whose files a test replaces."""
    with tls_service(first) as service:
        yield service


def trusting(*authorities: Authority, client: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for authority in authorities:
        context.load_verify_locations(authority.ca)
    if client is not None:
        context.load_cert_chain(*client)
    return context


def status(served: TlsService, context: ssl.SSLContext, node: str = "n1", **headers: str) -> httpx.Response:
    """A STATUS of a node, over a new connection."""
    return httpx.post(
        f"{served.url}/v1/cni/status", json=call("c1", node=node), headers=headers, verify=context, timeout=10
    )


def test_ipamctl_trusts_whom_the_plugin_trusts_and_nobody_else(
    served: TlsService, first: Authority, second: Authority, scratch: Path
) -> None:
    given = {"IPAMD_ENDPOINT": served.url, "IPAMD_TOKEN_FILE": str(served.folder / "admin")}
    ours = Ipamctl(scratch, {**given, "SSL_CERT_FILE": str(first.ca)})
    strangers = Ipamctl(scratch, {**given, "SSL_CERT_FILE": str(second.ca)})

    assert ours.rows("pool", "list") == []
    refused = strangers.refused("pool", "list", exit_code=3)
    assert f"the certificate of {served.url} is not trusted" in refused
    assert "SSL_CERT_FILE" in refused


def test_tcp_is_served_by_tls_alone_and_the_socket_as_before(served: TlsService, first: Authority) -> None:
    headers = served.admin.headers

    with pytest.raises(httpx.ConnectError):
        httpx.get(served.url + "/v1/pools", headers=headers)
    with pytest.raises(httpx.TransportError):
        httpx.get(served.url.replace("https", "http") + "/v1/pools", headers=headers)

    assert httpx.get(served.url + "/v1/pools", headers=headers, verify=trusting(first)).status_code == 200
    assert httpx.get(served.url + "/v1/pools", verify=trusting(first)).status_code == 401
    assert served.admin.get("/v1/pools").status_code == 200


def test_an_old_version_of_tls_is_refused(served: TlsService, first: Authority) -> None:
    context = trusting(first)
    with pytest.deprecated_call():
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")

    with pytest.raises(ssl.SSLError):
        served.issuer(context)


def test_a_client_certificate_speaks_for_its_node_and_no_other(served: TlsService, first: Authority) -> None:
    context = trusting(first, client=first.issue("n1", "/O=default/CN=n1", "DNS:n1"))

    own, other = status(served, context), status(served, context, "n2")
    pools = httpx.get(served.url + "/v1/pools", verify=context)
    listed = httpx.get(served.url + "/v1/allocations?cluster=default&node=n1", verify=context)

    assert own.status_code == 204
    assert (other.status_code, other.json()["code"]) == (403, 105)
    assert (pools.status_code, listed.status_code) == (403, 200)


@pytest.mark.parametrize(
    "subject",
    ["/CN=n1", "/O=default", "/O=default/CN=n1/CN=n2", "/O=default/O=west/CN=n1", "/OU=default/CN=n1"],
)
def test_a_certificate_that_names_no_node_of_a_cluster_speaks_for_nobody(
    served: TlsService, first: Authority, subject: str
) -> None:
    answer = status(served, trusting(first, client=first.issue("odd", subject, "DNS:n1")))

    assert (answer.status_code, answer.json()["code"]) == (401, 105)
    assert "names no node" in answer.json()["msg"]


def test_a_certificate_of_another_authority_is_no_certificate(
    served: TlsService, first: Authority, second: Authority
) -> None:
    context = trusting(first, client=second.issue("n1", "/O=default/CN=n1", "DNS:n1"))

    with pytest.raises(httpx.TransportError):
        status(served, context)


def test_a_token_counts_before_a_certificate(served: TlsService, first: Authority) -> None:
    context = trusting(first, client=first.issue("n1", "/O=default/CN=n1", "DNS:n1"))
    _, text = served.admin.token_for("node", cluster="default", node="n2")

    assert status(served, context, "n2", Authorization=f"Bearer {text}").status_code == 204
    assert status(served, context, "n1", Authorization=f"Bearer {text}").status_code == 403
    assert status(served, context, "n1", Authorization="Bearer ipamd_" + "B" * 43).status_code == 401


def test_certificates_are_exchanged_under_traffic(
    own_service: TlsService, first: Authority, second: Authority
) -> None:
    both = trusting(first, second)
    seen: list[str] = []
    failures: list[Exception] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                seen.append(own_service.issuer(both))
            except OSError as error:
                failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    with httpx.Client(base_url=own_service.url, verify=both, headers=own_service.admin.headers) as lasting:
        assert lasting.get("/v1/pools").status_code == 200
        for thread in threads:
            thread.start()
        own_service.put(second.server, "cert")  # for a moment there is a certificate without its key
        own_service.process.logged("a file cannot be used; the one before stays in use")
        before = set(seen)
        own_service.put(second.server_key, "key")
        eventually(lambda: seen[-1] == "second")
        exchanged = len(seen) + len(threads)
        eventually(lambda: len(seen) > exchanged + 20)
        over.set()
        for thread in threads:
            thread.join()

        assert lasting.get("/v1/pools").status_code == 200
    assert before == {"first"}
    assert set(seen[exchanged:]) == {"second"}
    assert failures == []


def test_an_authority_of_clients_that_is_replaced_counts_no_more(
    own_service: TlsService, first: Authority, second: Authority
) -> None:
    old = trusting(first, client=first.issue("n1", "/O=default/CN=n1", "DNS:n1"))
    new = trusting(first, client=second.issue("n1", "/O=default/CN=n1", "DNS:n1"))
    assert status(own_service, old).status_code == 204

    own_service.put(second.ca, "clients")
    own_service.process.logged("loaded again")

    assert status(own_service, new).status_code == 204
    with pytest.raises(httpx.TransportError):
        status(own_service, old)


def test_a_handshake_that_goes_nowhere_is_ended_and_keeps_nobody_waiting(
    served: TlsService, first: Authority
) -> None:
    with closing(socket.create_connection(("127.0.0.1", served.process.port), timeout=30)) as silent:
        silent.sendall(b"\x16\x03\x01")
        time.sleep(0.1)

        assert httpx.get(served.url + "/readyz", verify=trusting(first)).status_code == 200
        assert silent.recv(1) == b""


def options_of(first: Authority, second: Authority) -> Iterator[tuple[list[str], str]]:
    cert, key = str(first.server), str(first.server_key)
    yield ["--tls-cert", cert], "--tls-key"
    yield ["--tls-cert", cert, "--tls-key", str(second.server_key)], "not a certificate and its key"
    yield ["--tls-cert", cert, "--tls-key", key, "--tls-client-ca", key], "--tls-client-ca"


def test_files_that_do_not_fit_end_the_start_with_a_sentence(first: Authority, second: Authority) -> None:
    for options, sentence in options_of(first, second):
        done = ipamd("serve", "--database-url", "memory://", *options)

        assert done.returncode == 2, options
        assert sentence in done.stderr, (options, done.stderr)
        assert "Traceback" not in done.stderr
