"""Waits until the pods that uninstall are ready on every node: arguments NAMESPACE DAEMONSET SECONDS."""

import os
import sys
import time
from pathlib import Path

import httpx

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def main(namespace: str, name: str, seconds: int) -> int:
    """0 when every node is done; else 1, with how many are not."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    place = f"[{host}]" if ":" in host else host
    url = f"https://{place}:{port}/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}"
    left = "nothing is known of the nodes yet"
    for _ in range(seconds // 2):
        try:
            found = asked(url)
        except httpx.HTTPError as error:
            left = f"the cluster's API cannot be asked: {error}"
        else:
            status = found["status"]
            wanted, ready = status["desiredNumberScheduled"], status["numberReady"]
            seen = status.get("observedGeneration", 0) >= found["metadata"]["generation"]
            if seen and ready == wanted:
                print(f"uninstalled on {ready} nodes")
                return 0
            left = f"{wanted - ready} of {wanted} nodes are not done"
        time.sleep(2)
    print(
        f"after {seconds} s {left}. `kubectl get pods -o wide` shows where: repair those nodes and uninstall "
        "again, or leave what is on them: helm uninstall --no-hooks",
        file=sys.stderr,
    )
    return 1


def asked(url: str) -> dict:
    """What the API answers; by its address, for DNS may be gone already."""
    token = (ACCOUNT / "token").read_text()
    answer = httpx.get(
        url, headers={"Authorization": f"Bearer {token}"}, verify=str(ACCOUNT / "ca.crt"), timeout=10
    )
    answer.raise_for_status()
    return answer.json()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
