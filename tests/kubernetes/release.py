"""The chart in a cluster, as a user has it there."""

import json
from collections.abc import Mapping
from typing import Any, Final

from tests.kubernetes.cluster import OVER_OTHERS, Cluster, wait_for
from tests.kubernetes.machine import OWN
from tests.release.charts.chart import CHART, merged

REPOSITORY: Final = "docker.io/library/ipamd"
POSTGRES: Final = "docker.io/library/ipamd-postgres:test"
FOLDERS: Final = [folder for folder in OWN if folder not in ("/var/log", "/var/lib/cni")]
"""The nodes' own ones in which something of ours may stand."""

COMMON: Final[Mapping[str, Any]] = {
    "image": {"repository": REPOSITORY, "tag": "test", "pullPolicy": "Never"},
    "server": {"logFormat": "text"},
    "service": {"clusterIP": "10.98.0.77"},
}


class Release:
    """A release named ipamd in a namespace of that name, and what the nodes were before it."""

    def __init__(self, cluster: Cluster, values: Mapping[str, Any]) -> None:
        self.cluster = cluster
        self.values = merged(COMMON, values)
        self.before = (self.files(), self.interfaces())

    def upgrade(self, change: Mapping[str, Any] | None = None, *, over_others: bool = False) -> None:
        """Install it, or upgrade it with other values, and wait until all of it is ready."""
        told = ["upgrade", "--install", "ipamd", str(CHART), "--wait", "--timeout", "240s", "-f", "-"]
        told += OVER_OTHERS if over_others else []
        self.helm(*told, given=json.dumps(merged(self.values, change or {})))
        self._wait()

    def roll_back(self, revision: int) -> None:
        """Go back to what it was, and wait until all of that is ready."""
        self.helm("rollback", "ipamd", str(revision), "--wait", "--timeout", "240s")
        self._wait()

    def _wait(self) -> None:
        """Helm 3 is content with one replica less than there should be."""
        for what in ("deployment/ipamd", "daemonset/ipamd-node"):
            self.kubectl("rollout", "status", what, "--timeout=110s")

    def helm(self, *arguments: str, given: str = "") -> str:
        return self.cluster.helm("-n", "ipamd", *arguments, given=given)

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        """What kubectl says in the release's namespace."""
        return self.cluster.kubectl("-n", "ipamd", *arguments, check=check)

    def scale(self, replicas: int) -> None:
        """Have so many replicas of ipamd, and wait until it is so."""
        self.kubectl("scale", "deployment/ipamd", f"--replicas={replicas}")
        servers = ("pod", "-l", "app.kubernetes.io/component=server")
        if replicas == 0:
            self.kubectl("wait", "--for=delete", *servers, "--timeout=110s")
        self.kubectl("rollout", "status", "deployment/ipamd", "--timeout=110s")

    def ipamctl(self, *arguments: str) -> Any:
        inside = ("exec", "deployment/ipamd", "-c", "ipamd", "--", "ipamctl", "-o", "json")
        return json.loads(self.kubectl(*inside, *arguments))

    def held(self) -> list[dict[str, Any]]:
        """The allocations that containers have; not the free addresses that nodes hold in advance."""
        found: list[dict[str, Any]] = self.ipamctl("allocation", "list")["items"]
        return [one for one in found if not (one["owner"] or "").startswith(("lease:", "node:"))]

    def daemons(self) -> int:
        """On how many nodes the agent's pod is, or is about to be."""
        wanted: int = self.cluster.get("-n", "ipamd", "daemonset", "ipamd-node")["status"][
            "desiredNumberScheduled"
        ]
        return wanted

    def log_of_agents(self) -> str:
        """What the agents have said lately."""
        which = ("-l", "app.kubernetes.io/component=node", "-c", "agent", "--tail=20")
        return self.kubectl("logs", *which, check=False)

    def remove(self, node: str) -> None:
        """Free what a machine held that is gone, and let another one join under its name."""
        inside = ("exec", "deployment/ipamd", "-c", "ipamd", "--", "ipamctl", "node")
        self.kubectl(*inside, "remove", node, "--why", "it is lost", "--even-if-alive", "--yes")

    def uninstall(self) -> None:
        """Uninstall it, and see that nothing of it is left, in the cluster and on the nodes."""
        self.helm("uninstall", "ipamd", "--timeout", "200s")
        # The pods end after helm has.
        kinds = "pods,daemonsets,deployments,statefulsets,services,jobs,configmaps,secrets,serviceaccounts"
        kinds += ",roles,rolebindings,poddisruptionbudgets,networkpolicies"
        wait_for(lambda: "ipamd" not in self.kubectl("get", kinds, "-o", "name"), "an empty namespace")
        try:
            wait_for(lambda: (self.files(), self.interfaces()) == self.before, "nodes as they were")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self._left()}") from None

    def _left(self) -> list[set[str]]:
        """The files and interfaces of each node that were not there before."""
        files, interfaces = self.before
        left = [
            set(now.split()) - set(before.split()) for now, before in zip(self.files(), files, strict=True)
        ]
        return left + [now - before for now, before in zip(self.interfaces(), interfaces, strict=True)]

    def files(self) -> list[str]:
        """What stands in the nodes' own folders."""
        every = ["(", "-type", "f", "-o", "-type", "l", "-o", "-type", "s", ")"]
        return [machine.run("find", *FOLDERS, *every) for machine in self.cluster.machines]

    def interfaces(self) -> list[set[str]]:
        """The names of the nodes' interfaces."""
        return [
            {line.split(": ")[1].split("@")[0] for line in machine.run("ip", "-o", "link").splitlines()}
            for machine in self.cluster.machines
        ]
