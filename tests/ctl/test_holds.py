"""`ipamctl hold`."""

from tests.ctl.conftest import Ipamctl


def test_a_hold_is_made_shown_changed_and_released(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "pods", "--subnet", "10.1.0.0/24")
    asked = ("--size", "50", "--pool", "pods", "--namespace", "team-a", "--for", "2h")

    made = ipamctl("hold", "create", "rollout", *asked, "--workload", "web-*")

    assert "hold rollout created: 50 addresses of pool pods until 2" in made
    [row] = ipamctl.rows("hold", "list")
    assert row[:9] == ["rollout", "team-a,", "workload", "web-*", "pods", "50", "50", "0", row[8]]
    assert row[-1] == "standing"
    usage = ipamctl.json("pool", "usage", "pods")
    assert (usage["held"], usage["allocated"]) == (50, 0)
    ipamctl("hold", "edit", "rollout", "--for", "1d", "--cluster", "default")
    shown = ipamctl.json("hold", "show", "rollout")
    assert (shown["seconds"], shown["clusters"], shown["left"]) == (86_400, ["default"], 50)
    assert "left" in ipamctl("hold", "show", "rollout")
    assert "hold rollout released" in ipamctl("hold", "release", "rollout")
    assert ipamctl.json("hold", "list")["items"] == []


def test_a_hold_that_is_too_large_says_how_full_the_pool_is(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "pods", "--subnet", "10.1.0.0/28")

    refused = ipamctl.refused(
        "hold", "create", "x", "--size", "20", "--pool", "pods", "--namespace", "a", "--for", "60"
    )

    assert "hold x was not made, since it cannot have all its 20 addresses" in refused
    assert "pool pods has 0 of 16 allocated" in refused


def test_what_an_option_cannot_mean_is_said(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "pods", "--subnet", "10.1.0.0/28")
    asked = ("--size", "1", "--pool", "pods", "--namespace")

    wrong = ipamctl.run("hold", "create", "x", *asked, "a", "--for", "soon")
    assert (wrong.returncode, "write 90m, 2h or 1d" in wrong.stderr) == (2, True)
    for span in ("400d", "0"):
        wrong = ipamctl.run("hold", "create", "x", *asked, "a", "--for", span)
        assert (wrong.returncode, f"a hold is for 1s to 366d, not for {span}" in wrong.stderr) == (2, True)
    assert "size: Input should be less than or equal to 4096, not 5000" in ipamctl.refused(
        "hold", "create", "x", "--size", "5000", *asked[2:], "a", "--for", "60"
    )
    assert ipamctl.refused("hold", "release", "x").endswith("'x': `ipamctl hold list` shows what there is")
    assert "nothing to change" in ipamctl.run("hold", "edit", "x").stderr
    assert "a * may stand at the end only" in ipamctl.refused(
        "hold", "create", "x", *asked, "a*b", "--for", "60"
    )
    every = ipamctl("hold", "create", "x", *asked, "*", "--for", "60")
    assert "warning: this hold is for every workload" in every
