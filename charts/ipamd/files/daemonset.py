"""Waits for a DaemonSet: arguments end|ready NAMESPACE DAEMONSET SECONDS.

`end` deletes it, and waits for the end of its pods; `ready` waits until they are ready on every node.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
GONE = 404


def main(step: str, namespace: str, name: str, seconds: int) -> int:
    """0 when all nodes are done; else 1, with what is left and what to do."""
    left = "nothing is known of the nodes yet"
    for _ in range(seconds // 2):
        try:
            with of_kubernetes() as kubernetes:
                left = STEPS[step](kubernetes, f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}")
        except httpx.HTTPError as error:
            left = f"the cluster's API cannot be asked: {error}"
        if not left:
            return 0
        time.sleep(2)
    print(
        f"after {seconds} s {left}. `kubectl get pods -o wide` shows where: repair those nodes and uninstall "
        "again, or leave what is on them: helm uninstall --no-hooks",
        file=sys.stderr,
    )
    return 1


def of_kubernetes() -> httpx.Client:
    """Ask the cluster's API by its address, for DNS may be gone already, with the token of now."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    place = f"[{host}]" if ":" in host else host
    return httpx.Client(
        base_url=f"https://{place}:{port}",
        headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"},
        verify=str(ACCOUNT / "ca.crt"),
        timeout=10,
    )


def end(kubernetes: httpx.Client, path: str) -> str:
    """Delete it; what is left. In the foreground: it is there until the last of its pods is gone."""
    answer = kubernetes.request("DELETE", path, json={"propagationPolicy": "Foreground"})
    if answer.status_code == GONE:
        print("all agents have ended")
        return ""
    answer.raise_for_status()  # a repeat changes nothing
    return "a node has not ended its agent"


def ready(kubernetes: httpx.Client, path: str) -> str:
    """Look at it; what is left."""
    found = kubernetes.get(path).raise_for_status().json()
    status = found["status"]
    wanted, done = status["desiredNumberScheduled"], status["numberReady"]
    if status.get("observedGeneration", 0) >= found["metadata"]["generation"] and done == wanted:
        print(f"uninstalled on {done} nodes")
        return ""
    return f"{wanted - done} of {wanted} nodes are not done"


STEPS: dict[str, Callable[[httpx.Client, str], str]] = {"end": end, "ready": ready}


if __name__ == "__main__":
    _, step, namespace, name, seconds = sys.argv
    sys.exit(main(step, namespace, name, int(seconds)))
