"""Certificates for the tests, made by openssl."""

import ssl
import subprocess
from pathlib import Path

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """A certificate authority with one server's and one node's certificate."""

    def __init__(self, folder: Path, name: str, server: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.ca = folder / "ca.pem"
        self._key = folder / "ca.key"
        self._run("req", "-x509", *_KEY, "-keyout", self._key, "-out", self.ca, "-subj", f"/CN={name}")
        self.server, self.server_key = self.issue("server", "/CN=server", server)
        self.node, self.node_key = self.issue("node", "/CN=node", "DNS:node-a")

    def server_context(self, *, wants_client: bool = False) -> ssl.SSLContext:
        """Give what a server of this authority needs; it may demand the node's certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server, self.server_key)
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context

    def issue(self, name: str, subject: str, alternative: str) -> tuple[Path, Path]:
        """Make a certificate and its key for a subject such as `/O=default/CN=node-a`."""
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        self._run(
            *("req", "-x509", *_KEY, "-keyout", key, "-out", certificate, "-subj", subject),
            *("-CA", self.ca, "-CAkey", self._key, "-addext", f"subjectAltName={alternative}"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
        )
        return certificate, key

    @staticmethod
    def _run(*arguments: str | Path) -> None:
        command = ["openssl", *map(str, arguments), "-days", "2"]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
