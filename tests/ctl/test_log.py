"""`ipamctl log`."""

from tests.ctl.conftest import Ipamctl


def test_the_log_says_in_a_line_what_changed(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "lab", "--subnet", "10.42.0.0/24")
    ipamctl("pool", "edit", "lab", "--cooldown", "5")
    ipamctl("node", "label", "n1", "rack=r1")

    lines = ipamctl("log", "lab").splitlines()
    of_nodes = ipamctl.json("log", "--kind", "node")["items"]

    assert lines[0].split() == ["TIME", "BY", "ACTION", "KIND", "NAME", "WHAT", "CHANGED"]
    assert lines[1].split()[1:] == ["loopback", "change", "pool", "lab", "cooldown:", "60", "->", "5"]
    assert lines[2].split()[1:] == ["loopback", "create", "pool", "lab", "-"]
    assert [each["after"]["labels"] for each in of_nodes] == [{"rack": "r1"}]
    assert ipamctl.rows("log", "--by", "nobody") == []
    assert ipamctl.rows("log", "--before", "2020-01-01") == []
    assert len(ipamctl.rows("log", "--after", "2020-01-01")) == 3
    assert "--after" in ipamctl.run("log", "--after", "soon").stderr
