"""Deletes the agents' DaemonSet and waits for the end of its pods: arguments NAMESPACE DAEMONSET SECONDS."""

import os
import sys
import time
from pathlib import Path

import httpx

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
GONE = 404


def main(namespace: str, name: str, seconds: int) -> int:
    """0 when all agents have ended; else 1, with what to do."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    place = f"[{host}]" if ":" in host else host
    cluster = httpx.Client(
        base_url=f"https://{place}:{port}",
        headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"},
        verify=str(ACCOUNT / "ca.crt"),
        timeout=10,
    )
    path = f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}"
    left = "they have not ended"
    for _ in range(seconds // 2):
        try:
            # In the foreground: it is there until the last of its pods is gone. A repeat changes nothing.
            answer = cluster.request("DELETE", path, json={"propagationPolicy": "Foreground"})
            if answer.status_code == GONE:
                print("all agents have ended")
                return 0
            answer.raise_for_status()
        except httpx.HTTPError as error:
            left = f"the cluster's API cannot be asked: {error}"
        else:
            left = "a node has not ended its agent"
        time.sleep(2)
    print(
        f"after {seconds} s {left}. `kubectl get pods -o wide` shows where: repair those nodes and uninstall "
        "again, or leave what is on them: helm uninstall --no-hooks",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
