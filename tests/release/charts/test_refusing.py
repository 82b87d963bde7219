"""Values that cannot be meant are refused, with what to do, before anything is made."""

from typing import Any

import pytest
import yaml

from tests.release.charts.chart import CHART, LEAST, merged, refusal

CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"database": {"existingSecret": ""}}, "database.existingSecret is missing"),
    ({"database": {"kind": "trial"}}, "is for database.kind postgresql"),
    (
        {"database": {"kind": "sqlite", "existingSecret": ""}, "server": {"replicas": 2}},
        "SQLite serves one replica",
    ),
    ({"service": {"clusterIP": ""}}, "nodes cannot ask the cluster's DNS"),
    ({"nodes": {"enabled": False, "conflist": {"enabled": True}}}, "needs nodes.enabled"),
    ({"nodes": {"conflist": {"enabled": True}}}, "set server.hostNetwork to true"),
    ({"nodes": {"podNetwork": {"enabled": True}}}, "nodes.conflist.enabled"),
    (
        {
            "server": {"hostNetwork": True},
            "nodes": {"conflist": {"enabled": True, "mode": "bridge"}, "podNetwork": {"enabled": True}},
        },
        "in mode routed",
    ),
    ({"nodes": {"removeAfter": "14m"}}, "give it 15m at least"),
    ({"prunePools": True}, "would delete every pool"),
    ({"tls": {"existingSecret": "c", "names": ["a"]}}, "take one of the two out"),
    ({"monitoring": {"serviceMonitor": {"enabled": True}}}, "install the Prometheus operator first"),
]

NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"replicas": 3}, "replicas"),
    ({"server": {"replicas": 0}}, "/server/replicas"),
    ({"server": {"port": 80}}, "/server/port"),
    ({"database": {"kind": "mysql"}}, "/database/kind"),
    ({"service": {"clusterIP": "ipamd.example"}}, "/service/clusterIP"),
    ({"nodes": {"endpoints": ["http://10.0.0.1:8750"]}}, "/nodes/endpoints/0"),
    ({"nodes": {"conflist": {"plugin": "macvlan"}}}, "/nodes/conflist/plugin"),
    ({"nodes": {"conflist": {"mode": "tunnelled"}}}, "/nodes/conflist/mode"),
    ({"nodes": {"conflist": {"name": "Pods"}}}, "/nodes/conflist/name"),
    ({"nodes": {"podNetwork": {"settings": {"mode": "bgp"}}}}, "/nodes/podNetwork/settings/mode"),
    ({"nodes": {"podNetwork": {"addresses": ["$(id)"]}}}, "/nodes/podNetwork/addresses/0"),
    ({"nodes": {"leases": {"max": 65}}}, "/nodes/leases/max"),
    ({"nodes": {"removeAfter": "1 day"}}, "/nodes/removeAfter"),
    ({"nodes": {"paths": {"cniBin": "opt/cni/bin"}}}, "/nodes/paths/cniBin"),
    ({"pools": [{"name": "p"}]}, "/pools/0"),
    ({"pools": [{"name": "p", "subnet": "10.0.0.0"}]}, "/pools/0/subnet"),
    ({"quotas": [{"name": "q", "limit": 5}]}, "/quotas/0"),
    ({"quotas": [{"name": "q", "limit": "5", "namespaces": ["a"]}]}, "/quotas/0/limit"),
]


@pytest.mark.parametrize(("values", "sentence"), CONTRADICTIONS)
def test_values_that_contradict_each_other_are_one_sentence(values: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(merged(LEAST, values))


@pytest.mark.parametrize(("values", "where"), NONSENSE)
def test_a_value_that_is_none_is_named_with_its_place(values: dict[str, Any], where: str) -> None:
    said = refusal(merged(LEAST, values))

    assert "values don't meet the specifications of the schema" in said
    assert where in said


def test_a_kubernetes_that_is_too_old_is_refused() -> None:
    assert "which is incompatible with Kubernetes v1.19" in refusal(LEAST, "--kube-version", "1.19")


def test_every_value_is_in_the_readme() -> None:
    readme = (CHART / "README.md").read_text()

    values = yaml.safe_load((CHART / "values.yaml").read_text())

    assert [name for name in names(values) if f"`{name}`" not in readme] == []


def names(values: dict[str, Any], before: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        free = key in ("resources", "nodeSelector", "labels")
        if isinstance(value, dict) and value and not free:
            found += names(value, f"{before}{key}.")
        else:
            found.append(f"{before}{key}")
    return found
