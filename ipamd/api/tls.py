"""TLS: the service's certificate, and whom the certificates of its clients name.

A context cannot be emptied of what was loaded into it. So each handshake is handed to the context that was
made last, and connections that there are already keep theirs.
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
    "the client certificate names no node: it needs one common name, the node's, and one organisation, "
    "its cluster"
)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the service's certificate with its chain, its key, and the authorities of its clients."""

    certificate: Path
    key: Path
    clients: Path | None

    @classmethod
    def named(cls, certificate: Path | None, key: Path | None, clients: Path | None) -> TlsFiles | None:
        """The files that are meant, None where TLS is not; raises InvalidValue where one is missing."""
        if certificate is not None and key is not None:
            return cls(certificate, key, clients)
        if certificate is not None:
            raise InvalidValue("--tls-key", "the certificate of --tls-cert needs its key")
        if key is not None:
            raise InvalidValue("--tls-cert", "the key of --tls-key needs its certificate")
        if clients is not None:
            raise InvalidValue(
                "--tls-client-ca", "without --tls-cert there is no TLS for clients to show theirs"
            )
        return None

    @property
    def all(self) -> Sequence[Path]:
        return [file for file in (self.certificate, self.key, self.clients) if file is not None]


class Certificates:
    """What a listener with TLS needs; `load` exchanges it for new connections."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._current = _context(files)
        self.listening = _context(files)
        """The context of the listener, whose handshakes go on in the current one."""
        self.listening.sni_callback = self._hand_over

    def load(self) -> None:
        """Take the files as they are now; raises InvalidValue, and keeps what there was."""
        self._current = _context(self._files)

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A session that is taken up again would bring a client's certificate back after its authority went.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    for option, file in (("--tls-cert", files.certificate), ("--tls-key", files.key)):
        _refuse_unreadable(option, file)
    try:
        context.load_cert_chain(files.certificate, files.key, password=_refuse_passphrase)
    except ssl.SSLError as error:
        raise InvalidValue(
            "--tls-cert",
            f"{files.certificate} and {files.key} are no certificate with its key: {error.reason}",
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
    raise InvalidValue("--tls-key", "the key has a passphrase, which nobody could type: store it without one")


def client_of(connection: ssl.SSLObject) -> Principal | Unknown | None:
    """Whom a connection's client certificate names, which OpenSSL has verified; None where it showed none."""
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
