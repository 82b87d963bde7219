"""`ipamctl owner`."""

from tests.ctl.conftest import Ipamctl


def test_an_owner_is_made_listed_and_released(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "pods", "--subnet", "10.1.0.0/24", "--owner-keep", "600")

    assert "owner team/vm has 10.1.0.9" in ipamctl("owner", "create", "team/vm", "--address", "10.1.0.9")
    ipamctl("owner", "create", "team/db", "--pool", "pods")

    assert [row[:4] for row in ipamctl.rows("owner", "list", "--namespace", "team")] == [
        ["default", "team", "db", "10.1.0.2"],
        ["default", "team", "vm", "10.1.0.9"],
    ]
    [shown] = ipamctl.json("owner", "show", "team/vm")["items"]
    assert (shown["address"], shown["holders"], shown["begun_by"]) == ("10.1.0.9", [], None)
    assert "team/vm" in ipamctl("allocation", "list")
    released = ipamctl("owner", "release", "team/vm", "--why", "it is gone")
    assert "owner team/vm released: 10.1.0.9" in released
    assert "it is gone" in ipamctl("history", "--owner", "vm")
    assert "there is no owner 'team/vm': cluster default has none of that name" in ipamctl.refused(
        "owner", "release", "team/vm"
    )
    assert ipamctl.run("owner", "show", "vm").returncode == 2
    assert "'a/b' is not a name of an owner" in ipamctl.refused("owner", "create", "team/a/b")
