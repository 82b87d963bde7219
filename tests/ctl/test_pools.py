"""`ipamctl pool` and `ipamctl route`."""

from tests.ctl.conftest import Ipamctl


def test_a_pool_is_made_listed_shown_and_deleted(ipamctl: Ipamctl) -> None:
    said = ipamctl("pool", "create", "pods", "--subnet", "10.1.0.0/24")

    assert said == "pool pods created with 10.1.0.0/24\n"
    assert [row[:4] for row in ipamctl.rows("pool", "list")] == [
        ["pods", "default", "10.1.0.0/24", "10.1.0.1"]
    ]
    assert "cooldown" in ipamctl("pool", "show", "pods")
    assert ipamctl("pool", "delete", "pods") == "pool pods deleted\n"
    assert ipamctl.json("pool", "list") == {"items": [], "next": None}


def test_every_option_of_a_pool_reaches_the_service(ipamctl: Ipamctl) -> None:
    made = ipamctl.json(
        *("pool", "create", "all", "--subnet", "10.2.0.0/16", "--space", "lab", "--gateway", "10.2.0.9"),
        *("--range", "10.2.1.0/24", "--range", "10.2.2.0-10.2.2.99", "--exclude", "10.2.1.5"),
        *("--route", "0.0.0.0/0", "--route", "10.9.0.0/16,10.2.0.8", "--dns", "10.2.0.53"),
        *("--dns-domain", "pods.example", "--dns-search", "example", "--dns-option", "ndots:2"),
        *("--block-size", "28", "--affinity", "node", "--cooldown", "5", "--priority", "7"),
        *(
            "--no-auto-assign",
            "--masquerade",
            "--no-borrow",
            "--sticky",
            "--owner-keep",
            "600",
            "--cluster",
            "east",
            "--network",
            "pods",
        ),
        *("--node", "n1", "--node-label", "rack=r1", "--namespace", "web"),
    )

    assert made == ipamctl.json("pool", "show", "all")
    assert made["space"] == "lab"
    assert made["gateway"] == "10.2.0.9"
    assert made["ranges"] == ["10.2.1.0/24", "10.2.2.0-10.2.2.99"]
    assert made["exclusions"] == ["10.2.1.5"]
    assert made["routes"] == [{"dst": "0.0.0.0/0"}, {"dst": "10.9.0.0/16", "gw": "10.2.0.8"}]
    assert made["dns"] == {
        "nameservers": ["10.2.0.53"],
        "domain": "pods.example",
        "search": ["example"],
        "options": ["ndots:2"],
    }
    numbers = [made[field] for field in ("block_size", "affinity", "cooldown", "priority")]
    assert numbers == [28, "node", 5, 7]
    assert (made["auto_assign"], made["masquerade"], made["borrow"]) == (False, True, False)
    assert (made["sticky"], made["owner_keep"]) == (True, 600)
    assert made["selectors"] == {
        "clusters": ["east"],
        "networks": ["pods"],
        "nodes": ["n1"],
        "node_labels": {"rack": "r1"},
        "namespaces": ["web"],
    }


def test_a_pool_may_have_no_gateway(ipamctl: Ipamctl) -> None:
    made = ipamctl.json("pool", "create", "flat", "--subnet", "10.3.0.0/24", "--no-gateway")

    assert made["gateway"] is None


def test_usage_is_a_row_for_each_pool(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "a", "--subnet", "10.4.0.0/29")
    ipamctl("pool", "create", "b", "--subnet", "fd04::/64")
    ipamctl("allocation", "create", "printer", "--pool", "a")

    assert ipamctl.json("pool", "usage", "a") == {
        "pool": "a",
        "size": 8,
        "allocated": 1,
        "leased": 0,
        "held": 0,
        "away": 0,
        "cooling": 0,
        "reserved": 0,
        "excluded": 3,
        "free": 4,
        "waiting": 0,
        "prefixes": {},
    }
    assert [row[:3] for row in ipamctl.rows("pool", "usage")] == [["a", "8", "1"], ["b", str(1 << 64), "0"]]


def test_what_an_edit_does_not_name_stays(ipamctl: Ipamctl) -> None:
    before = ipamctl.json(
        *("pool", "create", "p", "--subnet", "10.5.0.0/24", "--dns", "10.5.0.53", "--dns-domain", "example"),
        *("--namespace", "web", "--node-label", "rack=r1", "--exclude", "10.5.0.7"),
    )

    after = ipamctl.json(
        *("pool", "edit", "p", "--state", "draining", "--dns", "10.5.0.54", "--cluster", "east"),
        *("--add-exclude", "10.5.0.64/26"),
    )

    assert after == {
        **before,
        "state": "draining",
        "dns": {**before["dns"], "nameservers": ["10.5.0.54"]},
        "selectors": {**before["selectors"], "clusters": ["east"]},
        "exclusions": ["10.5.0.7", "10.5.0.64/26"],
    }


def test_exclusions_are_taken_away_by_what_they_mean(ipamctl: Ipamctl) -> None:
    ipamctl(
        "pool", "create", "p", "--subnet", "10.6.0.0/24", "--exclude", "10.6.0.7", "--exclude", "10.6.0.9"
    )

    ipamctl("pool", "edit", "p", "--remove-exclude", "10.6.0.7/32")
    sentence = ipamctl.refused("pool", "edit", "p", "--remove-exclude", "10.6.0.8")

    assert ipamctl.json("pool", "show", "p")["exclusions"] == ["10.6.0.9"]
    assert sentence == "pool p does not exclude 10.6.0.8; it excludes 10.6.0.9"


def test_fields_of_a_pool_can_be_emptied(ipamctl: Ipamctl) -> None:
    ipamctl(
        *("pool", "create", "p", "--subnet", "10.7.0.0/24", "--dns", "10.7.0.53", "--route", "0.0.0.0/0"),
        *("--namespace", "web", "--node-label", "rack=r1", "--exclude", "10.7.0.7"),
    )

    fields = ("dns", "routes", "exclusions", "namespaces", "node-labels")
    after = ipamctl.json("pool", "edit", "p", *(part for field in fields for part in ("--clear", field)))

    assert (after["routes"], after["exclusions"], after["dns"]["nameservers"]) == ([], [], [])
    assert not any(after["selectors"].values())


def test_an_option_that_cannot_be_meant_is_quoted(ipamctl: Ipamctl) -> None:
    unknown = ipamctl.run("pool", "edit", "p", "--clear", "foo").stderr
    assert "'--clear': 'foo' is not one of 'ranges', 'exclusions'" in unknown
    asked = ("allocation", "create", "vm", "--pool", "p")
    assert 'equal to 600, not "86400"' in ipamctl.run(*asked, "--wait", "86400").stderr
    length = ipamctl.run(*asked, "--prefix-length", "/28")
    assert (length.returncode, 'a valid integer, not "/28"' in length.stderr) == (2, True)
    assert "'xml' is not one of" in ipamctl.run("--output", "xml", "pool", "list").stderr


def test_a_subnet_grows(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "p", "--subnet", "10.8.0.0/25")

    assert ipamctl.json("pool", "edit", "p", "--subnet", "10.8.0.0/24")["subnet"] == "10.8.0.0/24"


def test_an_edit_of_an_old_version_is_refused(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "p", "--subnet", "10.9.0.0/24")

    ipamctl.refused("pool", "edit", "p", "--cooldown", "1", "--if-match", "999")

    assert ipamctl.json("pool", "show", "p")["cooldown"] == 60


def test_pools_that_overlap_are_refused_in_one_sentence(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "first", "--subnet", "10.10.0.0/24")

    sentence = ipamctl.refused("pool", "create", "second", "--subnet", "10.10.0.128/25")

    assert "first" in sentence
    assert [row[0] for row in ipamctl.rows("pool", "list")] == ["first"]


def test_a_pool_that_does_not_exist_is_refused(ipamctl: Ipamctl) -> None:
    for command in ("show", "usage", "delete"):
        assert "nowhere" in ipamctl.refused("pool", command, "nowhere")
    assert "nowhere" in ipamctl.refused("pool", "edit", "nowhere", "--cooldown", "1")


def test_a_value_that_cannot_be_meant_is_refused_by_name(ipamctl: Ipamctl) -> None:
    sentence = ipamctl.refused("pool", "create", "p", "--subnet", "10.0.0.1/24")

    assert "subnet" in sentence
    assert "10.0.0.0/24" in sentence


def test_routes_of_a_pool_come_and_go(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "p", "--subnet", "10.11.0.0/24")

    ipamctl("route", "add", "p", "0.0.0.0/0")
    ipamctl("route", "add", "p", "10.99.0.0/16", "--gw", "10.11.0.2", "--mtu", "1400")
    both = ipamctl.rows("route", "list", "p")
    ipamctl("route", "remove", "p", "0.0.0.0/0")

    assert [row[:3] for row in both] == [["0.0.0.0/0", "-", "-"], ["10.99.0.0/16", "10.11.0.2", "1400"]]
    assert [route["dst"] for route in ipamctl.json("route", "list", "p")["items"]] == ["10.99.0.0/16"]
    assert "0.0.0.0/0" in ipamctl.refused("route", "remove", "p", "0.0.0.0/0")
