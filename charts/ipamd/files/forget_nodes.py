"""Has ipamd forget the nodes of a cluster: their secrets are gone, they may join again. Argument CLUSTER."""

import os
import sys
from pathlib import Path
from urllib.parse import quote

import httpx


def main(cluster: str) -> int:
    """Always 0: what is uninstalled must not depend on the service, which may be gone."""
    token = Path(os.environ["IPAMD_TOKEN_FILE"]).read_text().strip()
    asking = httpx.Client(
        base_url=os.environ["IPAMD_ENDPOINT"],
        headers={"Authorization": f"Bearer {token}"},
        verify=os.environ["SSL_CERT_FILE"],
        timeout=10,
    )
    try:
        names = nodes(asking, cluster)
        for name in names:
            path = f"/v1/nodes/{quote(cluster, safe='')}/{quote(name, safe='')}"
            asking.delete(path, params={"keep_lease": "true"}).raise_for_status()
    except httpx.HTTPError as error:
        print(f"ipamd still knows the nodes ({error}): before installing again, ipamctl node forget each")
    else:
        print(f"ipamd has forgotten {len(names)} nodes")
    return 0


def nodes(asking: httpx.Client, cluster: str) -> list[str]:
    """The names of a cluster's nodes."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = asking.get("/v1/nodes", params=cursor).raise_for_status().json()
        found += [node["name"] for node in page["items"] if node["cluster"] == cluster]
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
