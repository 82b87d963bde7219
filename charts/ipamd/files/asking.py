"""How a pod of the chart asks the API of its cluster, and ipamd."""

import os
import sys
from pathlib import Path

import httpx

ACCOUNT = Path(os.environ.get("KUBERNETES_ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
NODES = "/api/v1/nodes"


def of_kubernetes(read_seconds: float) -> httpx.AsyncClient:
    """Ask the cluster's API by its address, for DNS may have no network yet, with the token of now."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    place = f"[{host}]" if ":" in host else host
    token = (ACCOUNT / "token").read_text()
    return httpx.AsyncClient(
        base_url=f"https://{place}:{port}",
        headers={"Authorization": f"Bearer {token}"},
        verify=str(ACCOUNT / "ca.crt"),
        timeout=httpx.Timeout(10, read=read_seconds),
    )


def of_ipamd() -> httpx.AsyncClient:
    """Ask ipamd with the token of this pod's role."""
    token = Path(os.environ["IPAMD_TOKEN_FILE"]).read_text().strip()
    return httpx.AsyncClient(
        base_url=os.environ["IPAMD_ENDPOINT"],
        headers={"Authorization": f"Bearer {token}"},
        verify=os.environ["SSL_CERT_FILE"],
        timeout=10,
    )


def complain(of: str, error: Exception) -> None:
    """Say what went wrong; it is tried again."""
    print(f"{of}: {error!r}; trying again", file=sys.stderr, flush=True)
