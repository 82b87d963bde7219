"""What the chart makes fits Kubernetes, and is what its README promises."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.release.charts.chart import (
    CHART,
    EXAMPLES,
    HELMS,
    LEAST,
    OPERATOR,
    Manifest,
    helm,
    manifests,
    merged,
    pods,
    template,
    validate,
)
from tests.service import IpamdProcess
from veth_plugin.configuration import Settings

VERSIONS = ("1.20", "1.21", "1.24", "1.25", "1.31", "1.37")
EVERYTHING = merged(
    LEAST,
    {
        "networkPolicy": {"enabled": True, "from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
        "monitoring": {part: {"enabled": True} for part in ("serviceMonitor", "prometheusRule", "dashboard")},
        "imagePullSecrets": [{"name": "registry"}],
        "ingress": {"enabled": True, "className": "nginx", "host": "ipamd.example.org", "tlsSecret": "page"},
        "reservations": [{"address": "10.64.0.77", "namespace": "web", "name": "front"}],
        "quotas": [{"name": "team-a", "limit": 50, "namespaces": ["team-a"]}],
        "nodes": {"conflist": {"enabled": True, "plugin": "ptp", "mtu": 1400}},
        "server": {"hostNetwork": True, "tolerations": [{"key": "x", "operator": "Exists"}]},
    },
)


@pytest.mark.parametrize("by", HELMS, ids=["helm3", "helm4"])
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_helm_finds_nothing_to_complain_of(by: Path, example: Path) -> None:
    done = helm(by, "lint", "--strict", str(CHART), "-f", str(example))

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_of_kubernetes_knows_every_field(version: str, scratch: Path) -> None:
    made = [template("--kube-version", version, "-f", str(example)) for example in EXAMPLES]

    done = validate("\n---\n".join(made), version, scratch / "made.yaml")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", ["1.20", "1.37"])
def test_all_that_may_be_switched_on_fits_too(version: str, scratch: Path) -> None:
    text = template("--kube-version", version, *OPERATOR, values=EVERYTHING)
    of_kubernetes = [
        one
        for one in yaml.safe_load_all(text)
        if one is not None and not one["apiVersion"].startswith("monitoring.")
    ]

    done = validate(yaml.safe_dump_all(of_kubernetes), version, scratch / "made.yaml")

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_field_that_is_none_would_be_found(scratch: Path) -> None:
    text = template(values=LEAST).replace("replicas: 2", "replicas: two")

    done = validate(text, "1.37", scratch / "made.yaml")

    assert done.returncode != 0


@pytest.mark.parametrize("by", HELMS, ids=["helm3", "helm4"])
def test_both_helms_make_the_same(by: Path) -> None:
    given = merged(LEAST, {"tokens": {"existingSecret": "t"}, "tls": {"existingSecret": "c"}})

    assert list(yaml.safe_load_all(template(values=given, by=by))) == list(
        yaml.safe_load_all(template(values=given))
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_service_and_all_jobs_are_restricted_but_for_a_network_that_was_asked_for(example: Path) -> None:
    made = pods(manifests("-f", str(example)))
    asked = (yaml.safe_load(example.read_text()).get("server") or {}).get("hostNetwork", False)

    for (kind, name), pod in made.items():
        if kind == "DaemonSet":
            continue
        assert restricted(pod, host_network=asked or name.startswith("ipamd-uninstall")), (kind, name)


def restricted(pod: Manifest, *, host_network: bool) -> bool:
    """Whether a pod is what PodSecurity calls restricted; its network the node's only where asked."""
    own = pod["securityContext"]
    containers = pod["containers"] + pod.get("initContainers", [])
    return (
        (host_network or not pod.get("hostNetwork", False))
        and own["runAsNonRoot"] is True
        and own["runAsUser"] > 0
        and own["seccompProfile"]["type"] == "RuntimeDefault"
        and all("hostPath" not in volume for volume in pod.get("volumes", []))
        and all(
            one["securityContext"]["allowPrivilegeEscalation"] is False
            and one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            for one in containers
        )
    )


def test_nobody_may_ask_the_api_of_the_cluster_but_who_sees_to_it_that_nodes_are_clean() -> None:
    made = manifests(*OPERATOR, values=EVERYTHING)

    assert [key for key in made if key[0] in ("ClusterRole", "ClusterRoleBinding")] == []
    [role] = [one for (kind, _), one in made.items() if kind == "Role"]
    sets = {"apiGroups": ["apps"], "resources": ["daemonsets"]}
    assert role["rules"] == [
        {**sets, "resourceNames": ["ipamd-uninstall"], "verbs": ["get"]},
        {**sets, "resourceNames": ["ipamd-node"], "verbs": ["get", "delete"]},
    ]
    for (kind, name), pod in pods(made).items():
        cleans = kind == "Job" and name.startswith("ipamd-uninstall")
        assert pod.get("automountServiceAccountToken", True) is cleans, (kind, name)


def test_one_pod_may_write_the_status_of_nodes_and_none_if_nobody_waits_for_that() -> None:
    example = str(CHART / "examples" / "pod-network.yaml")
    made = manifests("-f", example)

    may = made["ClusterRole", "net-ipamd-conditions"]["rules"]
    assert may == [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]},
    ]
    accounts = {key: pod.get("serviceAccountName") for key, pod in pods(made).items()}
    assert [key for key, name in accounts.items() if name == "ipamd-conditions"] == [
        ("Deployment", "ipamd-conditions")
    ]
    without = {"nodes": {"podNetwork": {"clearUnavailable": False}}}
    assert [key for key in manifests("-f", example, values=without) if key[0] == "ClusterRole"] == []


def test_one_pod_may_read_the_nodes_if_what_is_gone_is_to_be_removed() -> None:
    made = manifests(values=merged(LEAST, {"nodes": {"removeAfter": "36h"}}))

    assert made["ClusterRole", "net-ipamd-inventory"]["rules"] == [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}
    ]
    pod = pods(made)["Deployment", "ipamd-inventory"]
    [container] = pod["containers"]
    assert container["command"][-2:] == ["default", str(36 * 3600)]
    tokens = next(volume["secret"]["items"] for volume in pod["volumes"] if volume["name"] == "tokens")
    assert [item["key"] for item in tokens] == ["inventory"]
    assert "inventory" in made["Secret", "ipamd-tokens"]["data"]
    [server] = pods(made)["Deployment", "ipamd"]["containers"]
    assert any(each["name"] == "IPAMD_INVENTORY_TOKEN_FILE" for each in server["env"])

    without = manifests(values=LEAST)
    assert [key for key in without if "inventory" in key[1]] == []
    [server] = pods(without)["Deployment", "ipamd"]["containers"]
    assert not any(each["name"] == "IPAMD_INVENTORY_TOKEN_FILE" for each in server["env"])


def test_every_mount_names_a_volume_and_the_installation_sees_who_manages_the_network() -> None:
    for (kind, name), pod in pods(manifests(*OPERATOR, values=EVERYTHING)).items():
        volumes = {one["name"]: one.get("hostPath", {}).get("path") for one in pod.get("volumes", [])}
        mounts = [
            (one["name"], mount)
            for one in pod["containers"] + pod.get("initContainers", [])
            for mount in one.get("volumeMounts", [])
        ]
        assert [mount for _, mount in mounts if mount["name"] not in volumes] == [], (kind, name)
        if kind == "DaemonSet":
            seen = {
                mount["mountPath"]: volumes[mount["name"]]
                for of, mount in mounts
                if of in ("install", "uninstall")
            }
            for path in ("/etc/systemd", "/etc/NetworkManager", "/etc/sysctl.d", "/run/systemd/netif"):
                assert seen[f"/host{path}"] == path


def test_without_a_conflist_nodes_get_executables_and_credentials_only() -> None:
    made = manifests(values=LEAST)

    [install] = made["DaemonSet", "ipamd-node"]["spec"]["template"]["spec"]["initContainers"]
    assert not [part for part in install["command"] if "conflist" in part]
    assert "--endpoint=https://10.96.0.77:8750" in install["command"]
    assert ("ConfigMap", "ipamd-conflist") not in made


def test_an_address_of_the_other_family_is_written_as_one() -> None:
    made = manifests(values=merged(LEAST, {"service": {"clusterIP": "fd00:98::77"}}))

    [install] = made["DaemonSet", "ipamd-node"]["spec"]["template"]["spec"]["initContainers"]
    assert "--endpoint=https://[fd00:98::77]:8750" in install["command"]


@pytest.mark.parametrize(
    ("given", "main"),
    [
        ({}, {"type": "ipamd-veth", "mode": "routed"}),
        (
            {"mode": "bridge", "bridge": "pods0"},
            {"type": "ipamd-veth", "mode": "bridge", "bridge": "pods0", "isGateway": True},
        ),
        ({"plugin": "bridge"}, {"type": "bridge", "bridge": "cni0", "isGateway": True}),
        ({"plugin": "ptp", "mtu": 1400}, {"type": "ptp", "mtu": 1400}),
    ],
)
def test_the_conflist_names_the_plugin_and_the_pools_that_were_asked_for(
    given: dict[str, Any], main: dict[str, Any]
) -> None:
    network = {"enabled": True, "pools": [["pods-v4"]], **given}
    made = manifests(values=merged(LEAST, {"server": {"hostNetwork": True}, "nodes": {"conflist": network}}))

    conflist = json.loads(made["ConfigMap", "ipamd-conflist"]["data"]["10-pods.conflist"])
    assert main.items() <= conflist["plugins"][0].items()
    assert conflist["plugins"][0]["ipam"] == {"type": "ipamd-ipam", "pools": [["pods-v4"]]}


@pytest.mark.parametrize(
    ("given", "plugins"),
    [
        ({}, ["ipamd-veth", "portmap"]),
        ({"portmap": False}, ["ipamd-veth"]),
        ({"portmap": False, "plugin": "ptp"}, ["ptp"]),
    ],
)
def test_a_node_without_reference_plugins_is_asked_for_none(
    given: dict[str, Any], plugins: list[str]
) -> None:
    network = {"enabled": True, **given}
    made = manifests(values=merged(LEAST, {"server": {"hostNetwork": True}, "nodes": {"conflist": network}}))

    conflist = json.loads(made["ConfigMap", "ipamd-conflist"]["data"]["10-pods.conflist"])
    assert [plugin["type"] for plugin in conflist["plugins"]] == plugins


@pytest.mark.parametrize("mode", ["routed", "bridge"])
def test_our_main_plugin_knows_every_key_that_the_chart_gives_it(mode: str) -> None:
    network = {"enabled": True, "mode": mode, "mtu": 1400}
    made = manifests(values=merged(LEAST, {"server": {"hostNetwork": True}, "nodes": {"conflist": network}}))

    conflist = json.loads(made["ConfigMap", "ipamd-conflist"]["data"]["10-pods.conflist"])
    given = {"cniVersion": conflist["cniVersion"], "name": conflist["name"], **conflist["plugins"][0]}
    assert Settings(given, "").masquerades


def test_agents_carry_the_pod_network_and_its_settings_are_those_that_were_given() -> None:
    settings = {
        "mode": "vxlan",
        "vxlanPort": 4790,
        "masqueradeExcept": ["192.0.2.0/24", "fd00::/16"],
        "checkSources": False,
    }
    network = {"enabled": True, "addresses": ["eth1"], "settings": settings}
    example = str(CHART / "examples" / "pod-network.yaml")
    made = manifests("-f", example, values={"nodes": {"podNetwork": network}, "cluster": "east"})

    conflist = json.loads(made["ConfigMap", "ipamd-conflist"]["data"]["10-pods.conflist"])
    [agent] = made["DaemonSet", "ipamd-node"]["spec"]["template"]["spec"]["containers"]
    [job] = made["Job", "ipamd-pools"]["spec"]["template"]["spec"]["containers"]
    assert (conflist["plugins"][0]["podNetwork"], "ipMasq" in conflist["plugins"][0]) == (True, False)
    assert agent["command"] == ["ipamd-agent", "run", "--network-address=eth1"]
    assert {"name": "IPAMD_AGENT_POD_NETWORK", "value": "1"} in agent["env"]
    assert "NET_RAW" in agent["securityContext"]["capabilities"]["add"]
    assert (
        'ipamctl network edit "--cluster=$CLUSTER" --mode=vxlan --vxlan-port=4790 '
        "--masquerade-except=192.0.2.0/24 --masquerade-except=fd00::/16 --no-check-sources"
    ) in job["command"][-1]
    assert {"name": "CLUSTER", "value": "east"} in job["env"]


@pytest.mark.parametrize(("most", "given"), [(0, ["--leases=0"]), (16, ["--leases=16"]), (None, [])])
def test_a_node_holds_as_many_addresses_in_advance_as_the_value_says(
    most: int | None, given: list[str]
) -> None:
    made = manifests(values=merged(LEAST, {"nodes": {"leases": {"max": most}}}))

    [install] = made["DaemonSet", "ipamd-node"]["spec"]["template"]["spec"]["initContainers"]
    assert [option for option in install["command"] if option.startswith("--leases")] == given


@pytest.mark.parametrize(("is_put_back", "given"), [(False, []), (True, ["--after-restore"])])
def test_every_replica_hears_that_the_database_was_put_back(is_put_back: bool, given: list[str]) -> None:
    made = manifests(values=merged(LEAST, {"server": {"afterRestore": is_put_back}}))

    [server] = made["Deployment", "ipamd"]["spec"]["template"]["spec"]["containers"]
    assert server["command"] == ["ipamd", "serve", *given]


def test_who_uninstalls_a_node_can_ask_ipamd_as_its_agent_does() -> None:
    made = manifests(values=LEAST)

    [agent] = made["DaemonSet", "ipamd-node"]["spec"]["template"]["spec"]["containers"]
    [taker] = made["DaemonSet", "ipamd-uninstall"]["spec"]["template"]["spec"]["initContainers"]
    assert all(mount in taker["volumeMounts"] for mount in agent["volumeMounts"])


def test_settings_that_are_not_given_are_left_alone() -> None:
    made = manifests("-f", str(CHART / "examples" / "pod-network.yaml"))

    [job] = made["Job", "ipamd-pools"]["spec"]["template"]["spec"]["containers"]
    assert "network edit" not in job["command"][-1]


def test_before_there_is_a_pod_network_nothing_waits_for_one() -> None:
    made = pods(manifests("-f", str(CHART / "examples" / "trial.yaml")))

    assert [key for key, pod in made.items() if not pod.get("hostNetwork")] == []
    server = made["Deployment", "ipamd"]
    assert "node.kubernetes.io/not-ready" in [one["key"] for one in server["tolerations"]]


def test_one_database_file_has_one_replica_and_two_never_at_once() -> None:
    made = manifests("-f", str(CHART / "examples" / "sqlite.yaml"))

    server = made["Deployment", "ipamd"]["spec"]
    assert (server["replicas"], server["strategy"]["type"]) == (1, "Recreate")
    assert ("PodDisruptionBudget", "ipamd") not in made


def test_every_port_names_its_protocol_which_server_side_apply_wants() -> None:
    made = manifests("-f", str(CHART / "examples" / "trial.yaml"))

    ports = [port for one in made.values() if one["kind"] == "Service" for port in one["spec"]["ports"]]
    ports += [
        port for pod in pods(made).values() for one in pod["containers"] for port in one.get("ports", [])
    ]
    assert len(ports) == 4
    assert [port for port in ports if port.get("protocol") != "TCP"] == []


def test_an_ingress_leads_to_the_service_over_tls_and_passes_on_what_is_live_at_once() -> None:
    values = {"ingress": {"enabled": True, "host": "ipamd.example.org", "annotations": {"x": "y"}}}
    made = manifests(values=merged(LEAST, values))
    ingress, service = made["Ingress", "ipamd"], made["Service", "ipamd"]

    [rule], [tls] = ingress["spec"]["rules"], ingress["spec"]["tls"]
    [path] = rule["http"]["paths"]
    assert (rule["host"], tls) == ("ipamd.example.org", {"hosts": ["ipamd.example.org"]})
    assert path["backend"]["service"] == {
        "name": service["metadata"]["name"],
        "port": {"number": service["spec"]["ports"][0]["port"]},
    }
    known = ingress["metadata"]["annotations"]
    assert known["nginx.ingress.kubernetes.io/backend-protocol"] == "HTTPS"
    assert known["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    assert known["x"] == "y"
    ours = {"nginx.ingress.kubernetes.io/proxy-buffering": "on"}
    overridden = manifests(values=merged(LEAST, merged(values, {"ingress": {"annotations": ours}})))
    assert ours.items() <= overridden["Ingress", "ipamd"]["metadata"]["annotations"].items()
    assert ("Ingress", "ipamd") not in manifests(values=LEAST)


def test_pools_and_quotas_are_handed_to_ipamctl_as_they_were_given() -> None:
    pools = [{"name": "p", "subnet": "10.9.0.0/24", "selectors": {"namespaces": ["web"]}, "cooldown": 30}]
    quotas = [{"name": "each", "limit": 20, "namespaces": ["*"], "pool": "p"}]

    made = manifests(values=merged(LEAST, {"pools": pools, "quotas": quotas}))

    given = yaml.safe_load(made["ConfigMap", "ipamd-pools"]["data"]["pools.yaml"])
    assert given == {"pools": pools, "reservations": [], "quotas": quotas}
    assert (
        made["Job", "ipamd-pools"]["metadata"]["annotations"]["helm.sh/hook"]
        == "post-install,post-upgrade,post-rollback"
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_ipamd_takes_what_an_example_hands_to_it(example: Path, lasting_ipamd: IpamdProcess) -> None:
    made = manifests("-f", str(example))
    given = made.get(("ConfigMap", "ipamd-pools"))
    lists = yaml.safe_load(given["data"]["pools.yaml"]) if given else {"pools": []}

    answer = lasting_ipamd.http.post("/v1/apply", json={**lists, "dry_run": True})

    assert answer.status_code == 200, answer.text


def test_nodes_are_cleaned_before_the_release_is_deleted_and_by_nothing_else() -> None:
    made = manifests(values=LEAST)

    cleaning = {key for key, one in made.items() if hook(one) == "pre-delete"}
    assert {("DaemonSet", "ipamd-uninstall"), ("Job", "ipamd-uninstall")} < cleaning
    agents = made["DaemonSet", "ipamd-node"]["spec"]["template"]["spec"]["containers"]
    assert [one for one in agents if "lifecycle" in one] == []


def hook(manifest: Manifest) -> str | None:
    found: str | None = (manifest["metadata"].get("annotations") or {}).get("helm.sh/hook")
    return found


def test_what_is_monitored_comes_from_the_files_that_are_tested() -> None:
    made = manifests(*OPERATOR, values=EVERYTHING)

    rules = yaml.safe_load((CHART / "monitoring" / "rules.yaml").read_text())
    assert made["PrometheusRule", "ipamd"]["spec"] == rules
    dashboard = (CHART / "monitoring" / "dashboard.json").read_text()
    assert json.loads(made["ConfigMap", "ipamd-dashboard"]["data"]["ipamd.json"]) == json.loads(dashboard)
