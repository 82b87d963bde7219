"""A service over TLS with an admin, as plugins and agents of other machines meet it."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.api.access.conftest import Caller
from tests.cni.authority import Authority
from tests.service import IpamdProcess, running_service, scratch_folder

ADMIN = "ipamd_" + "A" * 43


@contextmanager
def serving_tls(authority: Authority, subnet: str) -> Iterator[IpamdProcess]:
    """Serve a pool `pods`, with the authority's certificate, its client certificates, and an admin token."""
    with scratch_folder() as folder:
        (folder / "admin").write_text(ADMIN)
        options = (
            *("--admin-token-file", str(folder / "admin"), "--tls-client-ca", str(authority.ca)),
            *("--tls-cert", str(authority.server), "--tls-key", str(authority.server_key)),
        )
        with running_service(folder, *options) as process:
            pool = {"name": "pods", "subnet": subnet, "cooldown": 0}
            assert Caller(process, ADMIN).post("/v1/pools", pool).status_code == 201
            yield process
