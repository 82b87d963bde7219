"""TLS: the certificate of the service, and the principals of client certificates.

What was loaded into a context cannot be unloaded. So new files make a new context: it gets all later
handshakes, and existing connections keep theirs.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ipamd.api.access import Unknown
from ipamd.models.errors import InvalidValue
from ipamd.models.instant import SECOND
from ipamd.models.node import NodeKey, node_name
from ipamd.models.token import Principal, Role

NO_NODE: Final = (
    "the client certificate names no node: it needs the node as its only common name, and the cluster as its "
    "only organisation"
)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the service's certificate with its chain, its key, and the authorities of its clients."""

    certificate: Path
    key: Path
    clients: Path | None

    @classmethod
    def named(cls, certificate: Path | None, key: Path | None, clients: Path | None) -> TlsFiles | None:
        """The given files, None without TLS. Raises InvalidValue if one is missing."""
        if certificate is not None and key is not None:
            return cls(certificate, key, clients)
        if certificate is not None:
            raise InvalidValue("--tls-key", "--tls-cert is given without its key: give both")
        if key is not None:
            raise InvalidValue("--tls-cert", "--tls-key is given without its certificate: give both")
        if clients is not None:
            raise InvalidValue(
                "--tls-client-ca", "client certificates need TLS: give --tls-cert and --tls-key too"
            )
        return None

    @property
    def all(self) -> Sequence[Path]:
        return [file for file in (self.certificate, self.key, self.clients) if file is not None]


class Certificates:
    """The context of a listener with TLS. `load` replaces it for new connections."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._current = _context(files)
        self.listening = _context(files)
        """The context of the listener. It hands each handshake over to the current one."""
        self.listening.sni_callback = self._hand_over

    def load(self) -> None:
        """Read the files again. If one is invalid, raises InvalidValue and keeps the old ones."""
        self._current = _context(self._files)

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A resumed session would accept a client's certificate after its authority was removed.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    for option, file in (("--tls-cert", files.certificate), ("--tls-key", files.key)):
        _refuse_unreadable(option, file)
    try:
        context.load_cert_chain(files.certificate, files.key, password=_refuse_passphrase)
    except ssl.SSLError as error:
        raise InvalidValue(
            "--tls-cert",
            f"{files.certificate} and {files.key} are not a certificate and its key: {error.reason}",
        ) from None
    if files.clients is not None:
        _refuse_unreadable("--tls-client-ca", files.clients)
        try:
            context.load_verify_locations(files.clients)
        except ssl.SSLError as error:
            raise InvalidValue(
                "--tls-client-ca", f"{files.clients} holds no certificate: {error.reason}"
            ) from None
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _refuse_unreadable(option: str, file: Path) -> None:
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise InvalidValue(option, f"{file} cannot be read: {error.strerror}") from None


def _refuse_passphrase() -> str:
    raise InvalidValue(
        "--tls-key", "the key has a passphrase, and nobody can type it here: store the key without one"
    )


def client_of(connection: ssl.SSLObject) -> Principal | Unknown | None:
    """The principal of a client certificate, which OpenSSL has verified. None if the client sent none."""
    shown: Mapping[str, Any] | None = connection.getpeercert()
    if not shown:
        return None
    names: dict[str, list[str]] = {"commonName": [], "organizationName": []}
    for parts in shown["subject"]:
        for kind, value in parts:
            names.setdefault(kind, []).append(value)
    if len(names["commonName"]) != 1 or len(names["organizationName"]) != 1:
        return Unknown(NO_NODE)
    [node], [cluster] = names["commonName"], names["organizationName"]
    return Principal(
        name=f"node {cluster}/{node}",
        role=Role.NODE,
        cluster=cluster,
        node=NodeKey(cluster, node_name(node)),
        until=int(ssl.cert_time_to_seconds(shown["notAfter"])) * SECOND,
    )
