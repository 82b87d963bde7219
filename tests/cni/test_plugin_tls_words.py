"""What is said where TLS fails: one line, what it means and what to do, whatever the executable."""

import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cni.authority import Authority
from tests.cni.executable import Plugin
from tests.cni.peer import Peer, granted, tcp_peer, unread

Change = Callable[[Plugin, Authority, Authority, Path], dict[str, str]]


@pytest.fixture
def server(authority: Authority) -> Iterator[Peer]:
    made = tcp_peer(authority.server_context())
    made.will(granted())
    yield made
    made.close()


def said(plugin: Plugin, endpoint: str, **files: object) -> str:
    """What a CHECK, which asks once, says of an endpoint: one line of its details."""
    config = plugin.config(endpoint=endpoint, **{key: str(path) for key, path in files.items()})
    error = plugin.call("CHECK", config).error
    assert error["code"] == 11, error
    details = str(error["details"])
    assert "\n" not in details
    assert details.startswith(f"{endpoint}: ")
    return details.removeprefix(f"{endpoint}: ")


def test_a_server_without_tls(plugin: Plugin, peer: Peer, authority: Authority) -> None:
    endpoint = peer.endpoint.replace("http://", "https://")

    for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"):
        peer.will(unread(answer))
        assert said(plugin, endpoint, caFile=authority.ca) == "speaks no TLS: is it http://?"


@pytest.mark.parametrize(
    "content", ["", "nonsense", "KEY", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"]
)
def test_a_ca_file_without_a_certificate(
    plugin: Plugin, server: Peer, authority: Authority, scratch: Path, content: str
) -> None:
    file = scratch / "ca.pem"
    file.write_text(authority.server_key.read_text() if content == "KEY" else content)

    assert said(plugin, server.endpoint, caFile=file) == f"caFile {file} holds no certificate"


def test_a_certificate_of_another_authority(plugin: Plugin, server: Peer, other_authority: Authority) -> None:
    why = said(plugin, server.endpoint, caFile=other_authority.ca)

    assert why == "its certificate is not signed by an authority in caFile"


def test_a_certificate_for_another_name(plugin: Plugin, other_authority: Authority) -> None:
    server = tcp_peer(other_authority.server_context())

    assert said(plugin, server.endpoint, caFile=other_authority.ca) == "its certificate is for another name"
    server.close()


@pytest.mark.parametrize(
    ("days", "why"),
    [("-1", "its certificate has expired"), ("+2", "its certificate is not valid yet: compare the clocks")],
)
def test_a_certificate_of_another_time(plugin: Plugin, scratch: Path, days: str, why: str) -> None:
    certificate, key = dated(scratch, days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = tcp_peer(context)

    assert said(plugin, server.endpoint, caFile=certificate) == why
    server.close()


def dated(folder: Path, days: str) -> tuple[Path, Path]:
    """A certificate that signed itself and is good for a day around another day than today."""
    certificate, key, request = folder / "dated.pem", folder / "dated.key", folder / "dated.csr"
    begin, end = (
        subprocess.run(
            ["date", "-u", "-d", moment, "+%Y%m%d%H%M%SZ"], check=True, capture_output=True, text=True
        ).stdout.strip()
        for moment in (f"{days} days 6 hours ago", f"{days} days 6 hours")
    )
    settings = folder / "ca.cnf"
    settings.write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index\nnew_certs_dir={folder}\nserial={folder}/serial\n"
        "default_md=sha256\npolicy=p\nx509_extensions=x\n[p]\ncommonName=supplied\n"
        "[x]\nsubjectAltName=IP:127.0.0.1\n"
    )
    (folder / "index").touch()
    (folder / "serial").write_text("01\n")
    asked = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=dated")
    openssl(*asked, "-keyout", key, "-out", request)
    signed = ("ca", "-batch", "-selfsign", "-notext", "-config", settings, "-keyfile", key, "-in", request)
    openssl(*signed, "-startdate", begin, "-enddate", end, "-out", certificate)
    return certificate, key


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_wants_a_clients_certificate(
    plugin: Plugin, authority: Authority, other_authority: Authority, version: ssl.TLSVersion
) -> None:
    context = authority.server_context(wants_client=True)
    context.minimum_version = context.maximum_version = version
    server = tcp_peer(context)
    foreign = {"certFile": other_authority.node, "keyFile": other_authority.node_key}

    without = said(plugin, server.endpoint, caFile=authority.ca)
    with_another = said(plugin, server.endpoint, caFile=authority.ca, **foreign)
    server.close()

    # In TLS 1.3 the handshake is over before the server has looked, and its last word may be lost with it.
    lost = "connection closed before the answer was complete" if version is ssl.TLSVersion.TLSv1_3 else ""
    assert without.endswith("it may want a client's certificate, which certFile and keyFile name") or (
        without == lost
    )
    assert with_another.endswith("it may not trust the authority of certFile") or with_another == lost


def test_a_clients_files_that_are_none(
    plugin: Plugin, server: Peer, authority: Authority, scratch: Path
) -> None:
    nonsense = scratch / "nonsense"
    nonsense.write_text("nonsense")

    def words(certificate: Path, key: Path) -> str:
        return said(plugin, server.endpoint, caFile=authority.ca, certFile=certificate, keyFile=key)

    assert words(nonsense, authority.node_key) == f"certFile {nonsense} holds no certificate"
    assert words(authority.node, nonsense) == f"keyFile {nonsense} holds no key without a passphrase"
