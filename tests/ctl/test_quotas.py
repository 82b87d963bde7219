"""`ipamctl quota`."""

from tests.ctl.conftest import Ipamctl


def test_a_quota_is_stated_shown_changed_and_deleted(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "pods", "--subnet", "10.1.0.0/24")

    assert "uses 0 of 50" in ipamctl("quota", "create", "team-a", "--limit", "50", "--namespace", "team-a")
    every = ipamctl("quota", "create", "all", "--limit", "9", "--namespace", "*", "--shared", "--family", "4")
    assert "all together use 0 of 9" in every
    assert "warning: this quota matches every namespace" in every

    assert ipamctl.rows("quota", "list") == [
        ["all", "all", "of", "*", "IPv4", "9", "0", "ok"],
        ["team-a", "each", "of", "team-a", "all", "50", "0", "ok"],
    ]
    ipamctl("quota", "edit", "team-a", "--limit", "40", "--pool", "pods")
    shown = ipamctl.json("quota", "show", "team-a")
    assert (shown["limit"], shown["pool"], shown["uses"]) == (40, "pods", [])
    ipamctl("quota", "edit", "team-a", "--clear", "pool", "--cluster", "default")
    assert ipamctl.json("quota", "show", "team-a")["pool"] is None
    assert "deleted" in ipamctl("quota", "delete", "all")
    assert "NAMESPACE" in ipamctl("quota", "show", "team-a")


def test_what_an_option_cannot_mean_is_said(ipamctl: Ipamctl) -> None:
    wrong = ipamctl.run("quota", "create", "q", "--limit", "1", "--namespace", "a", "--family", "5")
    assert wrong.returncode == 2
    assert "nothing to change" in ipamctl.run("quota", "edit", "q").stderr
    assert "a * may stand at the end only" in ipamctl.refused(
        "quota", "create", "q", "--limit", "1", "--namespace", "a*b"
    )


def test_what_is_exported_can_be_applied(ipamctl: Ipamctl) -> None:
    ipamctl("quota", "create", "team-a", "--limit", "50", "--namespace", "team-*", "--shared")
    file = ipamctl.home / "network.yaml"
    file.write_text(ipamctl("export"))

    assert "nothing to do; 1 unchanged" in ipamctl("apply", "-f", str(file))
    file.write_text(file.read_text().replace("limit: 50", "limit: 60"))
    assert "limit: 50 -> 60" in ipamctl("apply", "-f", str(file))
    file.write_text("quotas: []")
    assert "- quota team-a" in ipamctl("apply", "-f", str(file), "--prune")


def test_a_file_takes_a_pool_away_only_with_its_quota(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "pods", "--subnet", "10.1.0.0/24")
    ipamctl("quota", "create", "team-a", "--limit", "50", "--namespace", "team-a", "--pool", "pods")
    file = ipamctl.home / "network.yaml"

    file.write_text("pools: []")
    refused = ipamctl.run("apply", "-f", str(file), "--prune")
    assert refused.returncode == 1
    assert "pool pods: quota team-a is for pool pods alone" in refused.stderr

    file.write_text("pools: []\nquotas: [{name: team-a, limit: 50, namespaces: [team-a]}]")
    assert "- pool pods" in ipamctl("apply", "-f", str(file), "--prune")
    assert ipamctl.json("quota", "show", "team-a")["pool"] is None
